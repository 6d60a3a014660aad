"""The methods a user can choose, and the settings that decide a result's bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from registration.engine.config.levelzero import LevelZeroConfig, bad_config
from registration.engine.config.midscale import MidscaleConfig
from registration.engine.config.slides import SlideConfig
from registration.engine.errors import EngineError


@dataclass(frozen=True)
class RegistrationConfig:
    """Everything that decides a result's bytes, beside the pixels. Raises EngineError("bad_config").

    model : "field" (affine and smooth field), "similarity" (turn, shift, scale) or "orb" (the peer)."""

    method: str
    model: str
    seed: int = 0
    slides: SlideConfig = field(default_factory=SlideConfig)
    midscale: MidscaleConfig = field(default_factory=MidscaleConfig)
    level_zero: LevelZeroConfig = field(default_factory=LevelZeroConfig)
    orb_features: int = 50_000

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise bad_config("model", f"{self.model!r} is none of {', '.join(MODELS)}")
        if self.seed < 0 or self.orb_features < 1:
            raise bad_config(
                "seed", "the seed must be 0 or above, and there must be at least one ORB feature"
            )


MODELS = ("field", "similarity", "orb")

METHODS: Mapping[str, str] = {
    "accurate": "Affine and a smooth displacement field, fitted to the nuclei at full resolution",
    "fast": "As accurate, but cells are matched at half the resolution: a fraction of the time and memory",
    "rigid": "Turn, shift and uniform scale only: keeps angles and proportions",
    "roialign": "ORB keypoints and one partial affine, as the ROIAlign script does it; for comparison",
}

_MODELS = {"accurate": "field", "fast": "field", "rigid": "similarity", "roialign": "orb"}


def preset(name: str) -> RegistrationConfig:
    """The settings of a method in METHODS. Raises EngineError("unknown_method", field="method")."""
    if name not in METHODS:
        raise EngineError(
            "unknown_method",
            f"There is no method {name!r}; choose one of {', '.join(METHODS)}.",
            field="method",
        )
    level_zero = LevelZeroConfig.fast() if name == "fast" else LevelZeroConfig()
    return RegistrationConfig(method=name, model=_MODELS[name], level_zero=level_zero)


def config_hash(config: RegistrationConfig) -> str:
    """Sixteen hex digits that differ whenever a setting does."""
    text = json.dumps(asdict(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
