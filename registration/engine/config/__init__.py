"""The methods a user can choose, and the settings that decide a result's bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from registration.engine.config.levelzero import LevelZeroConfig
from registration.engine.config.midscale import MidscaleConfig
from registration.engine.config.slides import SlideConfig
from registration.engine.errors import EngineError


@dataclass(frozen=True)
class RegistrationConfig:
    """model : "field" (affine and smooth field), "similarity" (turn, shift, scale) or "orb" (the peer)."""

    method: str
    model: str
    seed: int = 0
    slides: SlideConfig = field(default_factory=SlideConfig)
    midscale: MidscaleConfig = field(default_factory=MidscaleConfig)
    level_zero: LevelZeroConfig = field(default_factory=LevelZeroConfig)
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
