"""The inverse in the stored form, with the error that going there and back was measured to have."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from registration.engine.errors import EngineError
from registration.engine.geometry import Box, Points
from registration.engine.transforms.affine import AffineTransform
from registration.engine.transforms.base import Transform
from registration.engine.transforms.displacement import DisplacementField
from registration.engine.transforms.folding import areas
from registration.engine.transforms.itk import covered
from registration.engine.transforms.sampled import Sampled, sampled, split

#: The inverse's nodes are set closer until it is about as exact as this between them (fixed px) ...
WANTED_PX = 0.02
#: ... or there are so many, or they are so many times closer than the field's own.
MOST_NODES = 400_000
_CLOSEST = 8.0
_CHECKED = 90_000
_SHARE = 95


@dataclass(frozen=True)
class CheckedInverse:
    """transform : the map back, its frames called "fixed" and "moving" again: what was moving is fixed now.

    round_trip_p95_px, round_trip_max_px : |inverse(transform(x)) - x| over the part of the fixed slide that
    the field covers (the whole slide without a field), px of that slide.
    """

    transform: Transform
    round_trip_p95_px: float
    round_trip_max_px: float


def checked_inverse(transform: Transform) -> CheckedInverse:
    """The inverse of an affine, or of an affine after one field.

    Raises EngineError: field_folds (there is no inverse), transform_not_storable.
    """
    affine, field = split(transform)
    if field is None:
        return _checked(transform, affine.inverse(), transform.fixed.size.box)
    check_folding(field)
    box = covered(field)
    return _checked(transform, _inverse(transform, affine, field, box).transform, box)


def folded_share(transform: Transform) -> float:
    """Share (0 to 1) of the cells between the field's nodes that fold somewhere; 0 for an affine."""
    _, field = split(transform)
    return 0.0 if field is None else float(np.mean(areas(field.values, field.spacing) <= 0))


def check_folding(field: DisplacementField) -> None:
    """Raises EngineError("field_folds") with the place of the worst fold."""
    smallest = areas(field.values, field.spacing)
    if smallest.min() > 0:
        return
    row, column = np.unravel_index(int(smallest.argmin()), smallest.shape)
    x, y = (
        origin + spacing * (number - 0.5)
        for origin, spacing, number in zip(field.origin, field.spacing, (column, row), strict=True)
    )
    raise EngineError(
        "field_folds",
        f"The displacement field folds in {np.mean(smallest <= 0):.2%} of its cells, most near "
        f"x {x:.0f}, y {y:.0f}; where it folds it has no inverse. Register the region again.",
    )


def _inverse(transform: Transform, affine: AffineTransform, field: DisplacementField, box: Box) -> Sampled:
    exact = transform.inverse()
    target = _around(transform(_outline(box)))
    # Not below what MOST_NODES allow, however dense the field is.
    spacing = max(min(field.spacing) * affine.scale, math.sqrt(target.area / MOST_NODES))
    found = sampled(exact, target, spacing)
    nodes = (target.width / spacing + 1) * (target.height / spacing + 1)
    # Where the field has kinks the deviation falls only as fast as the spacing.
    closer = min(math.ceil(found.deviation_px / WANTED_PX), math.sqrt(MOST_NODES / nodes), _CLOSEST)
    return sampled(exact, target, spacing / closer) if closer > 1 else found


def _checked(transform: Transform, back: Transform, box: Box) -> CheckedInverse:
    points = _spread_over(box)
    there = transform(points)
    off = np.hypot(*(back(there) - points).T)
    return CheckedInverse(renamed(back), float(np.percentile(off, _SHARE)), float(off.max()))


def _spread_over(box: Box) -> Points:
    """Evenly spread points that fall in step with no grid (Roberts 2018: the plastic number's sequence)."""
    plastic = 1.324717957244746
    steps = np.arange(1, _CHECKED + 1)[:, None] / np.array((plastic, plastic**2))
    points: Points = (box.x, box.y) + (0.5 + steps) % 1.0 * (box.width, box.height)
    return points


def renamed(transform: Transform) -> Transform:
    """The same map with its frames called "fixed" and "moving", as transform.json has them."""
    affine, field = split(transform)
    fixed, moving = replace(transform.fixed, name="fixed"), replace(transform.moving, name="moving")
    outer = AffineTransform(affine.matrix, fixed, moving)
    if field is None:
        return outer
    return outer @ DisplacementField(field.values, field.origin, field.spacing, fixed)


def _outline(box: Box, steps: int = 200) -> Points:
    along = np.linspace(0, 1, steps)[:, None]
    corners = box.corners()
    return np.concatenate(
        [a + along * (b - a) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)]
    )


def _around(points: Points) -> Box:
    left, top = (math.floor(value) - 1 for value in points.min(axis=0))
    right, bottom = (math.ceil(value) + 1 for value in points.max(axis=0))
    return Box(left, top, right - left, bottom - top)
