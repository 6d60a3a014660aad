"""Whether a sampled displacement field folds, exactly: no folding between the nodes is missed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Areas = NDArray[np.float64]


def areas(values: NDArray[np.floating], spacing: tuple[float, float]) -> Areas:
    """The smallest Jacobian determinant of x -> x + field(x) in each cell between four nodes.

    values : (rows, cols, 2), xy, px. spacing : (x, y), px. Returns (rows + 1, cols + 1) float64: one more
    ring of cells, in which the field goes on constant. Inside a cell the field is bilinear, so the
    determinant is linear in x and y and its smallest value lies at a corner. 0 or less: the cell folds.
    """
    field = np.pad(np.asarray(values, np.float64), ((1, 1), (1, 1), (0, 0)), mode="edge")
    along_x = np.diff(field, axis=1) / spacing[0] + (1, 0)
    along_y = np.diff(field, axis=0) / spacing[1] + (0, 1)
    upper, lower = along_x[:-1], along_x[1:]
    left, right = along_y[:, :-1], along_y[:, 1:]
    corners = [_area(x, y) for x in (upper, lower) for y in (left, right)]
    smallest: Areas = np.minimum.reduce(corners)
    return smallest


def smallest_area(values: NDArray[np.floating], spacing: tuple[float, float]) -> float:
    """The smallest Jacobian determinant anywhere; at or below 0 the field folds and has no inverse."""
    return float(areas(values, spacing).min())


def _area(x: Areas, y: Areas) -> Areas:
    area: Areas = x[..., 0] * y[..., 1] - x[..., 1] * y[..., 0]
    return area
