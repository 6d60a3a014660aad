"""How far a field deforms what lies in it, and a fit that bends no nucleus out of shape.

On the squares between nodes (about the size of a nucleus or a little more) the field x -> x + u(x) stretches
by the singular values of I + grad u. A shear shows in them too: one rises, the other falls.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.nonrigid import Grid, Matches, Nodes, Pins, fit_field

#: What matches around a square that is deformed too far still count.
_TRUST = 0.02
#: They lose it in an ever wider surrounding, up to so many nodes: a gap is bridged the more gently the wider.
_WIDEST = 8
#: If that does not help, the whole field is made stiffer by these factors.
_STIFFER = (10.0, 1000.0)


def largest_strain(grid: Grid, nodes: Nodes) -> NDArray[np.float64]:
    """(rows - 1, cols - 1): the largest |singular value - 1| at the corners of each square; above 1 it
    folds."""
    slope_x = np.diff(nodes, axis=1) / grid.spacing
    slope_y = np.diff(nodes, axis=0) / grid.spacing
    corners = [
        _strain(slope_x[rows], slope_y[:, columns])
        for rows in (slice(None, -1), slice(1, None))
        for columns in (slice(None, -1), slice(1, None))
    ]
    largest: NDArray[np.float64] = np.maximum.reduce(corners)
    return largest


def fit_rigidly(
    grid: Grid,
    matches: Matches,
    start: Nodes,
    bending: float,
    robust_px: float,
    limit: float,
    pins: Pins | None = None,
) -> tuple[Nodes, NDArray[np.bool_]]:
    """fit_field, and the nodes (rows, cols) around which it had to be made stiffer so that no square is
    strained beyond `limit`. Where matches count less, the bending term carries the field on from its
    surroundings. The start where nothing helps.
    """
    touched = np.zeros((grid.rows, grid.columns), np.bool_)
    nodes = fit_field(grid, matches, start, bending, robust_px, pins=pins)
    for width in range(1, _WIDEST + 1):
        beyond = largest_strain(grid, nodes) > limit
        if not beyond.any():
            return nodes, touched
        touched |= _around(beyond, grid, width)
        looser = _trusted(grid, matches, np.where(touched, _TRUST, 1.0))
        nodes = fit_field(grid, looser, nodes, bending, robust_px, 1, pins=pins)
    for factor in _STIFFER:
        if not (largest_strain(grid, nodes) > limit).any():
            return nodes, touched
        touched[:] = True
        nodes = fit_field(grid, matches, start, bending * factor, robust_px, 2, pins=pins)
    strained = (largest_strain(grid, nodes) > limit).any()
    return start if strained else nodes, touched


def _strain(slope_x: Nodes, slope_y: Nodes) -> NDArray[np.float64]:
    """From the 2 x 2 gradient's columns: singular values of I + grad u in closed form.

    They are the sum and the difference of the sizes of the matrix's conformal and anticonformal parts; a
    mirrored (folded) square has a larger anticonformal part, which gives a strain above 1.
    """
    a, c = 1 + slope_x[..., 0], slope_x[..., 1]
    b, d = slope_y[..., 0], 1 + slope_y[..., 1]
    conformal = np.hypot(a + d, c - b) / 2
    anticonformal = np.hypot(a - d, c + b) / 2
    return np.maximum(conformal + anticonformal - 1, 1 - (conformal - anticonformal))


def _around(squares: NDArray[np.bool_], grid: Grid, width: int) -> NDArray[np.bool_]:
    """(rows, cols): the nodes that lie within `width` nodes of one of the squares."""
    nodes = np.zeros((grid.rows, grid.columns), np.uint8)
    nodes[:-1, :-1] = squares
    kernel = np.ones((2 * width, 2 * width), np.uint8)
    return cv2.dilate(nodes, kernel, anchor=(width, width)).astype(np.bool_)


def _trusted(grid: Grid, matches: Matches, trust: NDArray[np.float64]) -> Matches:
    if (trust == 1).all():
        return matches
    shares = grid.at_cells(trust, matches)
    return Matches(matches.xs, matches.ys, matches.target, matches.weight * shares)
