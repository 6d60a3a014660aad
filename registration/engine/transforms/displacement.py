"""Displacement fields: x -> x + field(x), small shifts on a regular grid of nodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from registration.engine.errors import EngineError
from registration.engine.geometry import Frame, Points
from registration.engine.transforms.base import Transform
from registration.engine.transforms.folding import smallest_area

#: The inverse is iterated until no point moves by more than this (px) ...
INVERSE_TOLERANCE_PX = 1e-7
#: ... or is given up: each step shrinks the error by the field's steepest slope.
INVERSE_STEPS = 500
#: Where the field is so steep that whole steps overshoot, a share of them is taken.
INVERSE_SHARES = (1.0, 0.4, 0.1)


class DisplacementField(Transform):
    """x -> x + field(x) within one frame; bilinear between the nodes, the edge's value outside them.

    values : (rows, cols, 2) float32, xy, level-0 px of `frame`; kept as a read-only copy.
    origin : (x, y) of node [0, 0], corner-based level-0 px. spacing : (x, y) between nodes, level-0 px.
    Raises EngineError("bad_field").
    """

    def __init__(
        self,
        values: ArrayLike,
        origin: tuple[float, float],
        spacing: tuple[float, float],
        frame: Frame,
    ) -> None:
        self.values = _checked(values)
        self.origin = (float(origin[0]), float(origin[1]))
        self.spacing = (float(spacing[0]), float(spacing[1]))
        self._frame = frame
        if not np.isfinite(self.origin + self.spacing).all() or min(self.spacing) <= 0:
            raise EngineError(
                "bad_field", f"A field needs a finite origin and a spacing above 0, not {spacing}."
            )

    @property
    def fixed(self) -> Frame:
        return self._frame

    @property
    def moving(self) -> Frame:
        return self._frame

    def inverse(self) -> Transform:
        return InverseDisplacement(self)

    def shift(self, points: Points) -> Points:
        """The displacement alone. points : (N, 2) float64, level-0 px. Returns (N, 2) float64."""
        rows, columns = self.values.shape[:2]
        column, right = _between(points[:, 0], self.origin[0], self.spacing[0], columns)
        row, below = _between(points[:, 1], self.origin[1], self.spacing[1], rows)
        right, below = right[:, None], below[:, None]
        here, beside = row * columns + column, row * columns + np.minimum(column + 1, columns - 1)
        down = np.where(row + 1 < rows, columns, 0)
        nodes = self.values.reshape(-1, 2)
        upper = nodes.take(here, axis=0) * (1 - right) + nodes.take(beside, axis=0) * right
        lower = nodes.take(here + down, axis=0) * (1 - right) + nodes.take(beside + down, axis=0) * right
        shift: Points = upper * (1 - below) + lower * below
        return shift

    def on_grid(self, xs: ArrayLike, ys: ArrayLike) -> Points:
        """As Transform.on_grid, first along x, then y: much faster than point by point, the same bits."""
        x, y = np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64)
        column, right = _between(x, self.origin[0], self.spacing[0], self.values.shape[1])
        row, below = _between(y, self.origin[1], self.spacing[1], self.values.shape[0])
        next_column = np.minimum(column + 1, self.values.shape[1] - 1)
        next_row = np.minimum(row + 1, self.values.shape[0] - 1)
        right, below = right[None, :, None], below[:, None, None]
        needed = np.unique(np.concatenate((row, next_row)))
        strip = self.values[needed]
        strip = strip[:, column] * (1 - right) + strip[:, next_column] * right
        upper, lower = np.searchsorted(needed, row), np.searchsorted(needed, next_row)
        grid: Points = strip[upper] * (1 - below) + strip[lower] * below
        grid[..., 0] += x[None, :]
        grid[..., 1] += y[:, None]
        return grid

    def _map(self, points: Points) -> Points:
        return points + self.shift(points)


class InverseDisplacement(Transform):
    """The exact inverse of a field: for y the x with x + field(x) = y, by fixed-point iteration.

    Mapping raises EngineError("field_not_invertible") where the field folds.
    """

    def __init__(self, field: DisplacementField) -> None:
        self._field = field

    @property
    def fixed(self) -> Frame:
        return self._field.moving

    @property
    def moving(self) -> Frame:
        return self._field.fixed

    def inverse(self) -> Transform:
        return self._field

    def _map(self, points: Points) -> Points:
        found = points - self._field.shift(points)
        left = np.arange(len(points))
        for share in INVERSE_SHARES:
            left = self._iterate(points, found, left, share)
            if len(left) == 0:
                return found
            if not np.isfinite(points).all() or smallest_area(self._field.values, self._field.spacing) <= 0:
                break
        x, y = points[left[0]].tolist()
        raise EngineError(
            "field_not_invertible",
            f"The field folds ({len(left)} points, the first x {x:.0f}, y {y:.0f}, have no single place). "
            "Register the region again.",
        )

    def _iterate(
        self, points: Points, found: Points, left: NDArray[np.intp], share: float
    ) -> NDArray[np.intp]:
        """Improve found[left] in place; returns which are still not settled.

        Each point stops by itself, so it comes out the same whatever it is batched with.
        """
        for _ in range(INVERSE_STEPS):
            here = found[left]
            rest = points[left] - self._field.shift(here) - here
            found[left] = here + share * rest
            left = left[~(np.abs(rest).max(axis=1) <= INVERSE_TOLERANCE_PX)]
            if len(left) == 0:
                break
        return left


def _between(
    position: NDArray[np.float64], origin: float, spacing: float, nodes: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The node before each position and the share of the way to the next one, clamped to the nodes."""
    steps = np.clip((position - origin) / spacing, 0, nodes - 1)
    node = np.floor(steps).astype(np.intp)
    return node, steps - node


def _checked(values: ArrayLike) -> NDArray[np.float32]:
    checked = np.array(values, dtype=np.float32, order="C")
    if checked.ndim != 3 or checked.shape[2] != 2 or checked.size == 0:
        raise EngineError("bad_field", f"A field has shape (rows, cols, 2), not {checked.shape}.")
    if not np.isfinite(checked).all():
        raise EngineError("bad_field", "A field must hold finite numbers.")
    checked.flags.writeable = False
    return checked
