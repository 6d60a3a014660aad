"""What the slide-level stages (A to C) saw and found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from registration.engine.geometry import Size, point_from_index
from registration.engine.matrices import apply
from registration.engine.report import draw
from registration.engine.resample import sample, warp_array
from registration.engine.source import Rgb

if TYPE_CHECKING:
    from registration.engine.blockmatch import Blocks
    from registration.engine.features import Overview
    from registration.engine.matrices import Matrix
    from registration.engine.transforms import DisplacementField

_CANDIDATE_SIDE = 150
_MOST_CANDIDATES = 18


def overviews(fixed: Overview, moving: Overview) -> Rgb:
    """Both slides as the search sees them; pale blue is left out of it."""
    pictures = [
        draw.fitted(draw.shaded(draw.gray(image.feature, image.inside), image.mask))
        for image in (fixed, moving)
    ]
    return draw.beside(draw.labelled(pictures[0], "first slide"), draw.labelled(pictures[1], "second slide"))


def candidates(fixed: Overview, moving: Overview, matrices: Sequence[Matrix], best: int | None = None) -> Rgb:
    """Each place that was tried, fused. matrices : moving_from_fixed, px of these two images.

    best : the number of the one that was chosen, if it is among them.
    """
    pictures = []
    for number, matrix in enumerate(matrices[:_MOST_CANDIDATES]):
        picture = draw.enlarged(overlay(fixed, moving, matrix), _CANDIDATE_SIDE)
        pictures.append(draw.labelled(picture, f"{number + 1}{' (chosen)' if number == best else ''}"))
    if not pictures:
        return draw.labelled(seen(fixed), "no candidate")
    return draw.tiled(pictures, max(1, 900 // (pictures[0].shape[1] + 8)))


def overlay(fixed: Overview, moving: Overview, matrix: Matrix) -> Rgb:
    """Both features on top of each other. matrix : moving_from_fixed, px of these two images."""
    first, second = _pair(fixed, moving, matrix)
    return draw.fused(first, second)


def affine(fixed: Overview, moving: Overview, matrix: Matrix) -> Rgb:
    """The two slides after `matrix` (moving_from_fixed, px of these images): fused, and as a checkerboard."""
    first, second = _pair(fixed, moving, matrix)
    return draw.beside(draw.fitted(draw.fused(first, second)), draw.fitted(draw.checkerboard(first, second)))


def blocks(fixed: Overview, found: Blocks, tolerance: float) -> Rgb:
    """Free peaks as arrows, three times as long as they are: blue where they agree, orange where not.

    tolerance : the longest shift that agrees, px of `fixed`.
    """
    return blocks_on(seen(fixed), found, tolerance)


def blocks_on(picture: Rgb, found: Blocks, tolerance: float) -> Rgb:
    """As `blocks`, on any picture of the same px."""
    near = np.hypot(*found.shifts.T) <= tolerance if len(found) else np.zeros(0, bool)
    for chosen, colour in ((~near, draw.ORANGE), (near, draw.BLUE)):
        picture = draw.arrows(picture, found.centres[chosen], 3 * found.shifts[chosen], colour)
    return picture


def overlay_with_field(fixed: Overview, moving: Overview, matrix: Matrix, field: DisplacementField) -> Rgb:
    """As `overlay`, through the field first. field : in px of `fixed`."""
    rows, columns = fixed.shape
    xs, ys = point_from_index(np.arange(columns)), point_from_index(np.arange(rows))
    points = apply(matrix, field.on_grid(xs, ys).reshape(-1, 2)).reshape(rows, columns, 2)
    pulled, valid = sample(moving.feature, points, fill=0)
    known, _ = sample(moving.mask.astype(np.uint8), points, "nearest", fill=0)
    return draw.fused(seen(fixed), draw.gray(pulled, valid & (known > 0)))


def seen(image: Overview) -> Rgb:
    """The slide as it is compared, white where it is not."""
    return draw.gray(image.feature, image.mask)


def _pair(fixed: Overview, moving: Overview, matrix: Matrix) -> tuple[Rgb, Rgb]:
    rows, columns = fixed.shape
    size = Size(columns, rows)
    pulled, valid = warp_array(moving.feature, matrix, size, fill=0)
    known, _ = warp_array(moving.mask.astype(np.uint8), matrix, size, "nearest", fill=0)
    return seen(fixed), draw.gray(pulled, valid & (known > 0))
