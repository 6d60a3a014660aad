"""A smooth displacement field from scattered matches: least squares with a bending penalty.

Minimised over the nodes u (both components):

    sum w |u - target|^2  +  bending * sum (u_xx^2 + 2 u_xy^2 + u_yy^2),

with second differences between nodes. An affine field bends nothing, so where there are no matches the field
goes on as its surroundings do. Solved by conjugate gradients, preconditioned with the operator's mean in
cosine space.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.robust import cauchy

Nodes = NDArray[np.float64]
#: (2, rows, columns): the components apart, for the solver.
Planes = NDArray[np.float64]

#: Nodes added beyond the region on each side, where nothing is measured and the field just goes on.
RIM = 2
_STEPS = 200
#: The solver stops where the rest is this small against the first one, or the mean error this small in px.
#: Measured: where something matches, the nodes are then right to 0.1 px.
_ENOUGH, _ENOUGH_PX = 1e-3, 5e-4
_ROBUST_ROUNDS = 3


@dataclass(frozen=True)
class Grid:
    """Nodes of a field over a region: node [RIM, RIM] is the middle of the first spacing x spacing square.

    rows, columns : of nodes, rim included. spacing : level-0 px.
    """

    rows: int
    columns: int
    spacing: int

    @classmethod
    def over(cls, width: int, height: int, spacing: int) -> Grid:
        """Rows and columns are even, as the cosine transform needs them."""
        columns, rows = (-(-side // spacing) + 2 * RIM for side in (width, height))
        return cls(rows + rows % 2, columns + columns % 2, spacing)

    @property
    def first(self) -> float:
        """Where node [0, 0] lies relative to the region's corner, level-0 px, in x and in y."""
        return (0.5 - RIM) * self.spacing

    def node_points(self) -> Nodes:
        """(rows * columns, 2): xy of the nodes, level-0 px from the region's corner."""
        xs, ys = (self.first + self.spacing * np.arange(count) for count in (self.columns, self.rows))
        return np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)

    def node_weights(self, matches: Matches) -> NDArray[np.float64]:
        """(rows, columns): the mean weight of the cells in each node's square."""
        cells = _cells_per_square(self, matches)
        return _square_sums(self, matches, matches.weight) / cells

    def at_cells(self, values: NDArray[np.float64], matches: Matches) -> NDArray[np.float64]:
        """values : (rows, columns), per node. Returns what the node of each cell's square has."""
        rows, columns = _square_of(self, matches)
        found: NDArray[np.float64] = values[rows[:, None], columns[None, :]]
        return found

    def zeros(self) -> Nodes:
        return np.zeros((self.rows, self.columns, 2))

    def evaluate(self, nodes: Nodes, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> Nodes:
        """The field at every (x, y) of a grid, level-0 px from the region's corner: (len(ys), len(xs), 2)."""
        along = _taps(nodes, (ys - self.first) / self.spacing, axis=0)
        return _taps(along, (xs - self.first) / self.spacing, axis=1)

    def evaluate_at(self, nodes: Nodes, points: Nodes) -> Nodes:
        """The field at `points` (N, 2), xy, level-0 px from the region's corner: (N, 2)."""
        x, y = np.clip((points - self.first) / self.spacing, 0, (self.columns - 1, self.rows - 1)).T
        column = np.minimum(x.astype(np.intp), self.columns - 2)
        row = np.minimum(y.astype(np.intp), self.rows - 2)
        right, below = (x - column)[:, None], (y - row)[:, None]
        upper = nodes[row, column] * (1 - right) + nodes[row, column + 1] * right
        lower = nodes[row + 1, column] * (1 - right) + nodes[row + 1, column + 1] * right
        found: Nodes = upper * (1 - below) + lower * below
        return found


@dataclass(frozen=True)
class Matches:
    """Displacements measured on a regular grid of cells.

    xs, ys : (cols,), (rows,) cell centres, level-0 px from the region's corner. target : (rows, cols, 2)
    total displacement, level-0 px. weight : (rows, cols), 0 to 1.
    """

    xs: NDArray[np.float64]
    ys: NDArray[np.float64]
    target: Nodes
    weight: NDArray[np.float64]


@dataclass(frozen=True)
class Pins:
    """Places whose displacement a person has given; no residual makes them lose weight.

    points : (N, 2) xy from the region's corner, in the grid's px. target : (N, 2) displacement, the same px.
    weight : (N,), > 0; 1 counts as much as a node's square full of perfect matches.
    """

    points: Nodes
    target: Nodes
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.points)


def fit_field(
    grid: Grid,
    matches: Matches,
    start: Nodes,
    bending: float,
    robust_px: float,
    rounds: int = _ROBUST_ROUNDS,
    *,
    pins: Pins | None = None,
) -> Nodes:
    """The field that the matches ask for, from `start` on; one further than `robust_px` off loses weight.

    rounds : of solving and weighting anew; one is enough from a start that is nearly right.
    """
    nodes = start
    for _ in range(rounds):
        residual = matches.target - grid.evaluate(nodes, matches.xs, matches.ys)
        weight = matches.weight * cauchy(np.hypot(residual[..., 0], residual[..., 1]), robust_px)
        total, pull = _gathered(grid, matches, residual, weight)
        if pins is not None and len(pins):
            total, pull = _pinned(grid, nodes, pins, total, pull)
        nodes = _solve(nodes + pull, total, nodes, bending)
    return nodes


def smallest_jacobian(grid: Grid, nodes: Nodes) -> float:
    """The smallest determinant of x -> x + field(x) on the grid's squares; below 0 the field folds."""
    return float(jacobians(grid, nodes).min())


def jacobians(grid: Grid, nodes: Nodes) -> NDArray[np.float64]:
    """(rows - 1, cols - 1): the smallest determinant of x -> x + field(x) at the corners of each square."""
    slope_x = np.diff(nodes, axis=1) / grid.spacing
    slope_y = np.diff(nodes, axis=0) / grid.spacing
    corners = [
        _determinants(slope_x[rows], slope_y[:, columns])
        for rows in (slice(None, -1), slice(1, None))
        for columns in (slice(None, -1), slice(1, None))
    ]
    smallest: NDArray[np.float64] = np.minimum.reduce(corners)
    return smallest


def _determinants(slope_x: Nodes, slope_y: Nodes) -> NDArray[np.float64]:
    determinant: NDArray[np.float64] = (1 + slope_x[..., 0]) * (1 + slope_y[..., 1]) - (
        slope_x[..., 1] * slope_y[..., 0]
    )
    return determinant


def _taps(values: Nodes, position: NDArray[np.float64], axis: int) -> Nodes:
    """Linear interpolation along one axis, the edge's value outside."""
    length = values.shape[axis]
    position = np.clip(position, 0, length - 1)
    lower = np.minimum(position.astype(np.intp), max(length - 2, 0))
    fraction = np.expand_dims(position - lower, tuple(i for i in range(values.ndim) if i != axis))
    upper = np.minimum(lower + 1, length - 1)
    taken: Nodes = values.take(lower, axis) * (1 - fraction) + values.take(upper, axis) * fraction
    return taken


def _gathered(
    grid: Grid, matches: Matches, residual: Nodes, weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], Nodes]:
    """Each node's mean weight, and the weighted mean residual of the cells in its square."""
    total = _square_sums(grid, matches, weight)
    cells = _cells_per_square(grid, matches)
    pull = np.stack([_square_sums(grid, matches, weight * residual[..., i]) for i in (0, 1)], axis=-1)
    return total / cells, pull / np.maximum(total, 1e-9)[..., None]


def _pinned(
    grid: Grid, nodes: Nodes, pins: Pins, total: NDArray[np.float64], pull: Nodes
) -> tuple[NDArray[np.float64], Nodes]:
    """The nodes' weights and pulls with the pins in their squares added."""
    residual = pins.target - grid.evaluate_at(nodes, pins.points)
    index = np.floor(pins.points / grid.spacing).astype(np.intp) + RIM
    column, row = np.clip(index, 0, (grid.columns - 1, grid.rows - 1)).T
    more, sums = np.zeros_like(total), pull * total[..., None]
    np.add.at(more, (row, column), pins.weight)
    np.add.at(sums, (row, column), pins.weight[:, None] * residual)
    return total + more, sums / np.maximum(total + more, 1e-9)[..., None]


def _cells_per_square(grid: Grid, matches: Matches) -> float:
    if not len(matches.xs):
        return 1.0
    return max(1.0, (grid.spacing / max(1.0, 2 * float(matches.xs[0]))) ** 2)


def _square_of(grid: Grid, matches: Matches) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of the node in whose square each line of cells lies."""
    rows, columns = ((line // grid.spacing).astype(np.intp) + RIM for line in (matches.ys, matches.xs))
    return rows, columns


def _square_sums(grid: Grid, matches: Matches, values: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = _square_of(grid, matches)
    sums = np.zeros((grid.rows, grid.columns))
    np.add.at(sums, (rows[:, None], columns[None, :]), values)
    return sums


def _solve(target: Nodes, weight: NDArray[np.float64], start: Nodes, bending: float) -> Nodes:
    """(W + bending * B^T B) u = W target by conjugate gradients, both components at once."""
    if not weight.any():
        return start
    precondition = _cosine_preconditioner(weight, bending)
    nodes = _planes(start)
    residual = weight * (_planes(target) - nodes) - bending * _bending(nodes)
    direction = precondition(residual)
    power = _dot(residual, direction)
    enough = max(_ENOUGH**2 * float(power.max()), _ENOUGH_PX**2 * float(weight.sum()), 1e-300)
    for _ in range(_STEPS):
        if power.max() <= enough:
            break
        image = weight * direction + bending * _bending(direction)
        alpha = power / np.maximum(_dot(direction, image), 1e-300)
        nodes += alpha * direction
        residual -= alpha * image
        step = precondition(residual)
        power, previous = _dot(residual, step), power
        direction = step + power / np.maximum(previous, 1e-300) * direction
    return np.ascontiguousarray(np.moveaxis(nodes, 0, -1))


def _planes(nodes: Nodes) -> Planes:
    """A copy."""
    return np.moveaxis(nodes, -1, 0).copy()


def _dot(a: Planes, b: Planes) -> NDArray[np.float64]:
    """(2, 1, 1): one product per component; by einsum, not through BLAS: the same bits with any number of
    threads.
    """
    products: NDArray[np.float64] = np.einsum("kij,kij->k", a, b)
    return products[:, None, None]


def _bending(u: Planes) -> Planes:
    """The gradient of half the bending energy: second differences, differenced back."""
    out = np.zeros_like(u)
    xx = u[:, :, :-2] - 2 * u[:, :, 1:-1] + u[:, :, 2:]
    out[:, :, :-2] += xx
    out[:, :, 1:-1] -= 2 * xx
    out[:, :, 2:] += xx
    yy = u[:, :-2] - 2 * u[:, 1:-1] + u[:, 2:]
    out[:, :-2] += yy
    out[:, 1:-1] -= 2 * yy
    out[:, 2:] += yy
    xy = 2 * (u[:, 1:, 1:] - u[:, 1:, :-1] - u[:, :-1, 1:] + u[:, :-1, :-1])
    out[:, 1:, 1:] += xy
    out[:, 1:, :-1] -= xy
    out[:, :-1, 1:] -= xy
    out[:, :-1, :-1] += xy
    return out


def _cosine_preconditioner(weight: NDArray[np.float64], bending: float) -> Callable[[Planes], Planes]:
    """Solves (mean weight + bending * L^2) u = r, L the Laplacian with mirrored edges."""
    rows, columns = (2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in weight.shape)
    inverse = 1 / (weight.mean() + bending * (rows[:, None] + columns[None, :]) ** 2)

    def solve(residual: Planes) -> Planes:
        return np.stack([cv2.idct(cv2.dct(part) * inverse) for part in residual])

    return solve
