"""Settings of the slide-level alignment (stages A to C); lengths in working px, as um/px may be unknown."""

from __future__ import annotations

import math
from dataclasses import dataclass

from registration.engine.config.levelzero import bad_config


@dataclass(frozen=True)
class SlideConfig:
    """Raises EngineError("bad_config").

    overview_px : square root of the area of the images that the slides are aligned on. step_degrees : between
    the turns that are tried. smallest_overlap : of the two, as a share of the smaller one's scene.
    candidates_per_cue : different places that are followed up, of each cue. scale_range, scale_steps : moving
    px per fixed px that are tried where um/px is unknown, in even ratios. stretch_range : the smallest and
    largest stretch that is believed, against the scale that um/px predicts (or that was tried).
    """

    overview_px: int = 860
    step_degrees: int = 8
    smallest_overlap: float = 0.22
    candidates_per_cue: int = 2
    scale_range: tuple[float, float] = (0.5, 2.0)
    scale_steps: int = 11
    stretch_range: tuple[float, float] = (0.7, 1.4)

    def __post_init__(self) -> None:
        if not 256 <= self.overview_px <= 4096:
            raise bad_config("overview_px", "the overview must be 256 to 4096 px")
        if self.step_degrees not in range(1, 46):
            raise bad_config("step_degrees", "the turns must be 1 to 45 degrees apart")
        if not 0 < self.smallest_overlap < 1:
            raise bad_config("smallest_overlap", "the smallest overlap must lie between 0 and 1")
        if self.candidates_per_cue < 1:
            raise bad_config("candidates_per_cue", "at least one candidate is needed")
        if self.scale_steps < 2:
            raise bad_config("scale_steps", "the smallest and the largest scale are tried at least")
        for name, (low, high) in (("scale_range", self.scale_range), ("stretch_range", self.stretch_range)):
            if not 0 < low <= 1 <= high < math.inf:
                raise bad_config(name, "it must reach from below 1 to above 1")

    @property
    def unknown_scales(self) -> tuple[float, ...]:
        """What is tried where um/px is unknown."""
        low, high = self.scale_range
        return tuple(
            low * (high / low) ** (step / (self.scale_steps - 1)) for step in range(self.scale_steps)
        )
