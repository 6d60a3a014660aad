"""The methods a user can choose, and the settings that decide a result's bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from registration.engine.errors import EngineError


@dataclass(frozen=True)
class CostPass:
    """One pass of the level-0 stage.

    downsample : of the images compared. cell : px of those images. reach : px searched to each side.
    sigma : of the Gaussian window, in cells.
    """

    downsample: int
    cell: int
    reach: int
    sigma: float


@dataclass(frozen=True)
class RegistrationConfig:
    """model : "field" (affine and a smooth field), "similarity" (turn, shift and scale) or "orb" (the peer).

    node_spacing : of the field, fixed level-0 px. bending : weight of the field's second differences.
    robust_px : residual at which a match begins to lose weight, in px of the images compared.
    check : a last, wider look, on the same cells as the last pass, that judges and does not fit.
    """

    method: str
    model: str
    seed: int = 0
    overview_px: int = 860
    node_spacing: int = 64
    bending: float = 0.1
    robust_px: float = 1.5
    passes: tuple[CostPass, ...] = (
        CostPass(8, 4, 6, 4.0),
        CostPass(4, 8, 5, 3.0),
        CostPass(4, 8, 4, 2.0),
        CostPass(2, 8, 4, 3.0),
        CostPass(1, 16, 2, 2.5),
    )
    check: CostPass = CostPass(2, 8, 4, 3.0)
    orb_features: int = 50_000


METHODS: Mapping[str, str] = {
    "accurate": "Affine and a smooth displacement field, fitted to the nuclei at full resolution",
    "rigid": "Turn, shift and uniform scale only: keeps angles and proportions",
    "roialign": "ORB keypoints and one partial affine, as the ROIAlign script does it; for comparison",
}

_MODELS = {"accurate": "field", "rigid": "similarity", "roialign": "orb"}


def preset(name: str) -> RegistrationConfig:
    """The settings of a method in METHODS. Raises EngineError("unknown_method", field="method")."""
    if name not in METHODS:
        raise EngineError(
            "unknown_method",
            f"There is no method {name!r}; choose one of {', '.join(METHODS)}.",
            field="method",
        )
    return RegistrationConfig(method=name, model=_MODELS[name])


def config_hash(config: RegistrationConfig) -> str:
    """Sixteen hex digits that differ whenever a setting does."""
    text = json.dumps(asdict(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
