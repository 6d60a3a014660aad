"""Stage A: a slide at the scale of the search, and the smaller images made from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from registration.engine.features import Overview, read_overview, reduced
from registration.engine.inputs import mean_um
from registration.engine.matrices import Matrix, scaling, shift
from registration.engine.source import PixelSource

#: The overview of the larger slide may have this many times the wanted side.
_LARGEST = 2.0
#: The longer side of an overview may have this many times the wanted side (strips).
_LONGEST = 3.0
#: The finer slide is enlarged at most so many times: beyond, there is nothing to see but interpolation.
_ENLARGED = 4.0
#: Where much of the slides is filling the scene is looked at so many times closer at most; not for less.
_CLOSER, _WORTH_READING_AGAIN = 1.4, 1.1

#: Square root of the scene's area in the images that the coarse search runs on, px.
_SEARCHED = 61
_REDUCTIONS = (4, 14)
#: Square root of the area around the scene in those images, px: where it is scattered it is seen less finely.
_LARGEST_THUMB = 92
QUARTER = 4


@dataclass(frozen=True)
class Levels:
    """One slide at about 860, 430 and 215 px (square root of the area)."""

    full: Overview
    half: Overview
    quarter: Overview


@dataclass(frozen=True)
class Thumb:
    """The part of a slide that shows anything, small. full_from_thumb : px of it to those of the overview."""

    image: Overview
    full_from_thumb: Matrix


def downsamples(fixed: PixelSource, moving: PixelSource, side: int, zoom: float = 1.0) -> tuple[float, float]:
    """Level-0 px per overview px of each slide: the same um, about `side` px (square root of the area).

    zoom : how many times finer than that, within the bounds. The geometric mean of the two areas sets the
    scale; _LARGEST, _LONGEST and _ENLARGED bound it. Where um/px is unknown the px of both count as equal.
    """
    lengths = [math.sqrt(s.width * s.height) * mean_um(s) for s in (fixed, moving)]
    longest = max(max(s.width, s.height) * mean_um(s) for s in (fixed, moving))
    finest = min(mean_um(fixed), mean_um(moving)) / _ENLARGED
    um = max(
        math.sqrt(lengths[0] * lengths[1]) / (zoom * side),
        max(lengths) / (_LARGEST * side),
        longest / (_LONGEST * side),
        finest,
    )
    return um / mean_um(fixed), um / mean_um(moving)


def closer(fixed: Overview, moving: Overview) -> float:
    """How many times finer both slides should be read: filling is no scene, though it takes up area.

    1.0 where that would be hardly any more, or where nothing but filling is seen.
    """
    both = float(fixed.mask.mean()) * float(moving.mask.mean())
    zoom = min(_CLOSER, both**-0.25) if both else 1.0
    return zoom if zoom >= _WORTH_READING_AGAIN else 1.0


def read_levels(source: PixelSource, downsample: float) -> Levels:
    full = read_overview(source, downsample)
    return Levels(full, reduced(full, 2), reduced(full, QUARTER))


def thumbs(fixed: Overview, moving: Overview) -> tuple[Thumb, Thumb]:
    """Both slides' scenes at one scale, about _SEARCHED px a side: a large canvas does not make them tiny."""
    scenes = [_scene(image) for image in (fixed, moving)]
    seen = _mean_side(*(float(image.mask.sum()) for image in (fixed, moving))) / _SEARCHED
    around = _mean_side(*(float(part.feature.size) for part, _ in scenes)) / _LARGEST_THUMB
    smallest, largest = _REDUCTIONS
    factor = min(largest, max(smallest, round(max(seen, around))))
    thumb_f, thumb_m = (Thumb(reduced(part, factor), start @ scaling(factor)) for part, start in scenes)
    return thumb_f, thumb_m


def _mean_side(first: float, second: float) -> float:
    """Of a square of the geometric mean of two areas."""
    return math.sqrt(math.sqrt(max(1.0, first) * max(1.0, second)))


def _scene(image: Overview) -> tuple[Overview, Matrix]:
    """The part of the image around all scene, and the way from its px to the image's."""
    rows, columns = (np.flatnonzero(image.mask.any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return image, shift(0, 0)
    part = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    cut = replace(image, feature=image.feature[part], mask=image.mask[part], inside=image.inside[part])
    return cut, shift(int(columns[0]), int(rows[0]))
