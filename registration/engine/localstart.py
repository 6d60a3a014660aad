"""Where a region's registration starts: the best affine around it, and what the slide-level field adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Box, Points
from registration.engine.matrices import Matrix, apply
from registration.engine.robust import fit, nearest_similarity
from registration.engine.transforms import AffineTransform, DisplacementField, Transform

#: Nodes along the longer side on which a field is taken over: about as close as the slide-level field's own
#: (with half as many a whole slide's field was up to 2 px of the overview off).
_NODES = 96
#: Places each way at which transforms are compared.
_PLACES = 9
#: A field that nowhere does more than this (fixed level-0 px) is left away.
_NOTHING_PX = 0.02


@dataclass(frozen=True)
class LocalStart:
    """affine @ rest, or the affine alone. rest : a field over the region's context, with no affine of its own
    to begin with.
    """

    affine: AffineTransform
    rest: DisplacementField | None = None

    @property
    def transform(self) -> Transform:
        return self.affine if self.rest is None else self.affine @ self.rest

    @property
    def reach(self) -> float:
        """The largest shift of the rest, fixed level-0 px."""
        return 0.0 if self.rest is None else float(np.abs(self.rest.values).max())

    def shift(self, points: Points) -> Points:
        """The rest's displacement at `points` (N, 2), fixed level-0 px."""
        return np.zeros_like(points) if self.rest is None else self.rest.shift(points)

    def corrected(self, correction: Matrix) -> LocalStart:
        """What follows where content expected at x lies at `correction` x: transform @ correction.

        affine (C x + u(C x)) = (affine C) (x + C^-1 u(C x)), with the inverse of the linear part of C.
        """
        affine = AffineTransform(self.affine.matrix @ correction, self.affine.fixed, self.affine.moving)
        if self.rest is None:
            return LocalStart(affine)
        moved = self.rest.shift(apply(correction, _nodes(self.rest)))
        values = moved @ np.linalg.inv(correction[:2, :2]).T
        return LocalStart(affine, _like(self.rest, values))


def local_start(transform: Transform, box: Box) -> LocalStart:
    """transform : moving_from_fixed. box : fixed level-0 px, the region with all of its context."""
    if isinstance(transform, AffineTransform):
        return LocalStart(transform)
    spacing = max(box.width, box.height) / _NODES
    xs, ys = (
        np.arange(first + spacing / 2, last + spacing, spacing)
        for first, last in ((box.x, box.right), (box.y, box.bottom))
    )
    nodes = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    targets = transform.on_grid(xs, ys).reshape(-1, 2)
    affine = AffineTransform(_best(nodes, targets), transform.fixed, transform.moving)
    values = affine.inverse()(targets) - nodes
    if np.abs(values).max() <= _NOTHING_PX:
        return LocalStart(affine)
    shaped = values.reshape(len(ys), len(xs), 2).astype(np.float32)
    field = DisplacementField(shaped, (xs[0], ys[0]), (spacing, spacing), transform.fixed)
    return LocalStart(affine, field)


def similarity_over(transform: Transform, box: Box, like: Matrix) -> AffineTransform:
    """The similarity nearest to `transform` over `box` (fixed level-0 px), mirrored where `like` is."""
    points = _places(box)
    matrix = nearest_similarity(points, transform(points), np.ones(len(points)), like)
    return AffineTransform(matrix, transform.fixed, transform.moving)


def apart(one: Transform, other: Transform, box: Box) -> float:
    """Median distance between where the two put `box` (fixed level-0 px), moving level-0 px."""
    points = _places(box)
    return float(np.median(np.linalg.norm(one(points) - other(points), axis=1)))


def _places(box: Box) -> Points:
    sides = (np.linspace(box.x, box.right, _PLACES), np.linspace(box.y, box.bottom, _PLACES))
    return np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)


def _best(nodes: Points, targets: Points) -> NDArray[np.float64]:
    """The least-squares affine, all nodes counted alike."""
    return fit(nodes, targets, np.ones(len(nodes)), "affine")


def _nodes(field: DisplacementField) -> Points:
    rows, columns = field.values.shape[:2]
    xs = field.origin[0] + field.spacing[0] * np.arange(columns)
    ys = field.origin[1] + field.spacing[1] * np.arange(rows)
    return np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)


def _like(field: DisplacementField, values: Points) -> DisplacementField:
    shaped = values.reshape(field.values.shape).astype(np.float32)
    return DisplacementField(shaped, field.origin, field.spacing, field.fixed)
