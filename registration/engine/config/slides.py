"""Settings of the slide-level alignment (stages A to C)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SlideConfig:
    """overview_px : square root of the area of the images that the slides are aligned on, working px."""

    overview_px: int = 860
