"""Small helpers on 3 x 3 matrices; all act on corner-based px."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Points, index_from_point

Matrix = NDArray[np.float64]


def shift(x: float, y: float) -> Matrix:
    return np.array([(1, 0, x), (0, 1, y), (0, 0, 1)], dtype=np.float64)


def scaling(factor: float) -> Matrix:
    return np.diag((factor, factor, 1.0)).astype(np.float64)


def turn(degrees: float, mirrored: bool = False) -> Matrix:
    """Rotation about the corner, after an optional flip of x."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    flip = -1.0 if mirrored else 1.0
    return np.array([(c * flip, -s, 0), (s * flip, c, 0), (0, 0, 1)], dtype=np.float64)


def apply(matrix: Matrix, points: Points) -> Points:
    """points : (N, 2) float64, xy. Returns (N, 2) float64."""
    mapped: Points = points @ matrix[:2, :2].T + matrix[:2, 2]
    return mapped


def between_scales(matrix: Matrix, fixed_factor: float, moving_factor: float) -> Matrix:
    """The same map between images that are `fixed_factor` and `moving_factor` times finer."""
    rescaled: Matrix = scaling(moving_factor) @ matrix @ scaling(1 / fixed_factor)
    return rescaled


def corners_apart(one: Matrix, other: Matrix, shape: tuple[int, int]) -> float:
    """How far from each other the two take the corners of an image (rows, cols), at most; px they map to."""
    rows, columns = shape
    corners = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)], np.float64)
    return float(np.abs(apply(one, corners) - apply(other, corners)).max())


def corner_based(matrix: Matrix) -> Matrix:
    """matrix : a map between array indices, as OpenCV counts them. Returns the same between points."""
    offset = float(index_from_point(np.zeros(2))[0])
    cornered: Matrix = shift(-offset, -offset) @ matrix @ shift(offset, offset)
    return cornered


def singular_values(matrix: Matrix) -> tuple[float, float]:
    """The largest and smallest stretch of the 2 x 2 part."""
    large, small = np.linalg.svd(matrix[:2, :2], compute_uv=False)
    return float(large), float(small)
