"""Stage A: a slide at the scale of the search, and the smaller images made from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from registration.engine.features import Overview, read_overview, reduced
from registration.engine.inputs import mean_um
from registration.engine.source import PixelSource

#: The overview of the larger slide may have this many times the wanted side.
_LARGEST = 2.0
#: The longer side of an overview may have this many times the wanted side (strips).
_LONGEST = 3.0
#: The finer slide is enlarged at most so many times: beyond, there is nothing to see but interpolation.
_ENLARGED = 4.0


@dataclass(frozen=True)
class Levels:
    """One slide at about 860, 430, 215 and 61 px (square root of the area)."""

    full: Overview
    half: Overview
    quarter: Overview
    thumb: Overview


QUARTER, THUMB = 4, 14


def downsamples(fixed: PixelSource, moving: PixelSource, side: int) -> tuple[float, float]:
    """Level-0 px per overview px of each slide: the same um, about `side` px (square root of the area).

    The geometric mean of the two areas sets the scale; _LARGEST, _LONGEST and _ENLARGED bound it. Where um/px
    is unknown the px of both count as equal.
    """
    lengths = [math.sqrt(s.width * s.height) * mean_um(s) for s in (fixed, moving)]
    longest = max(max(s.width, s.height) * mean_um(s) for s in (fixed, moving))
    finest = min(mean_um(fixed), mean_um(moving)) / _ENLARGED
    um = max(
        math.sqrt(lengths[0] * lengths[1]) / side,
        max(lengths) / (_LARGEST * side),
        longest / (_LONGEST * side),
        finest,
    )
    return um / mean_um(fixed), um / mean_um(moving)


def read_levels(source: PixelSource, downsample: float) -> Levels:
    full = read_overview(source, downsample)
    return Levels(full, reduced(full, 2), reduced(full, QUARTER), reduced(full, THUMB))
