"""What the slide-level stages (A to C) saw and found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from registration.engine.geometry import Size
from registration.engine.report import draw
from registration.engine.resample import warp_array
from registration.engine.source import Mask, Rgb

if TYPE_CHECKING:
    from registration.engine.blockmatch import Blocks
    from registration.engine.features import Overview
    from registration.engine.matrices import Matrix

_SIDE = 480
_CANDIDATE_SIDE = 150
_MOST_CANDIDATES = 18


def overviews(fixed: Overview, moving: Overview) -> Rgb:
    """Both slides as the search sees them; pale blue is left out of it."""
    pictures = [draw.shaded(draw.gray(image.feature), image.mask) for image in (fixed, moving)]
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
        return draw.labelled(draw.gray(fixed.feature), "no candidate")
    return draw.tiled(pictures, max(1, 900 // (pictures[0].shape[1] + 8)))


def overlay(fixed: Overview, moving: Overview, matrix: Matrix) -> Rgb:
    """Both features on top of each other. matrix : moving_from_fixed, px of these two images."""
    first, second, _ = _pair(fixed, moving, matrix)
    return draw.fused(first, second)


def affine(fixed: Overview, moving: Overview, matrix: Matrix) -> Rgb:
    """The two slides after `matrix` (moving_from_fixed, px of these images): fused, and as a checkerboard."""
    first, second, _ = _pair(fixed, moving, matrix)
    return draw.beside(draw.fused(first, second), draw.checkerboard(first, second))


def blocks(fixed: Overview, found: Blocks, tolerance: float) -> Rgb:
    """Free peaks as arrows, three times as long as they are: blue where they agree, orange where not.

    tolerance : the longest shift that agrees, px of `fixed`.
    """
    picture = draw.gray(fixed.feature)
    near = np.hypot(*found.shifts.T) <= tolerance if len(found) else np.zeros(0, bool)
    for chosen, colour in ((~near, draw.ORANGE), (near, draw.BLUE)):
        picture = draw.arrows(picture, found.centres[chosen], 3 * found.shifts[chosen], colour)
    return picture


def _pair(fixed: Overview, moving: Overview, matrix: Matrix) -> tuple[Rgb, Rgb, Mask]:
    rows, columns = fixed.shape
    pulled, valid = warp_array(moving.feature, matrix, Size(columns, rows), fill=0)
    return draw.gray(fixed.feature), draw.gray(np.where(valid, pulled, 0)), valid
