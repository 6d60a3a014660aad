"""Micrometres per pixel: what a file may say, and what a person may state."""

from __future__ import annotations

import math

FINEST_UM, COARSEST_UM = 0.01, 100.0  # what a person may state
_COARSEST_IN_FILE_UM = 25.0  # a file that says more states a printing resolution: 600 dpi is 42 µm/px


def is_statable(um: float) -> bool:
    """Whether `um` can be the um/px of a microscope image."""
    return math.isfinite(um) and FINEST_UM <= um <= COARSEST_UM


def plausible(x: str | float | None, y: str | float | None) -> tuple[float, float] | None:
    """A file's um/px as (x, y); None where it is missing, malformed or a printing resolution."""
    try:
        values = float(x or "nan"), float(y or "nan")
    except ValueError:
        return None
    return values if all(FINEST_UM <= um <= _COARSEST_IN_FILE_UM for um in values) else None
