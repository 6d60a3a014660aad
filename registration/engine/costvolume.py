"""Correlation of two aligned images at every small shift, in windows around the cells of a grid.

Product sums are made per cell (multiply, then area-average) and blurred over cells; the correlation
coefficient in a Gaussian window then costs a few operations per cell and shift.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.source import Mask
from registration.engine.stains import Channel

Plane = NDArray[np.float32]

#: Least standard deviation, in grey levels of the hematoxylin image, of a window that can be matched.
SMALLEST_CONTRAST = 4.0
#: A window with less valid scene than this is not matched.
VALID_NEEDED = 0.8
_TILE = 512
#: Cells times shifts that are worked on at a time, in bands of whole rows; with a halo, so that it does not
#: show. They cost 12 bytes each.
_BAND_SCORES = 6_000_000
#: The Gaussian windows are cut off at so many sigmas.
_KERNEL_SIGMAS = 3
_THREADS = 2


@dataclass(frozen=True)
class Peaks:
    """The best shift of each cell's window. All (rows, cols) of cells; shift has a last axis xy, px.

    score : correlation at the peak. curvature : how sharply it falls, per px^2, in the blunter direction.
    gap : if asked for, how far the peak stands above the best score that is not beside it.
    usable : textured, valid, and the peak not at the edge of the search.
    textured : textured and valid, wherever the peak lies.
    """

    shift: Plane
    score: Plane
    curvature: Plane
    gap: Plane
    usable: Mask
    textured: Mask


def match_cells(
    fixed: Channel,
    moving: Channel,
    valid: Plane,
    cell: int,
    reach: int,
    sigma: float,
    *,
    with_gap: bool = False,
) -> Peaks:
    """fixed : (h, w) uint8. moving : (h + 2 reach, w + 2 reach) uint8, aligned but for what is sought.

    valid : (rows, cols) float32, any size: over the same area, 1 where both images show scene. Content at x
    in `fixed` is at x + shift in `moving`. Cells are cell x cell px from the top left; a rest is left out.
    """
    rows, columns = fixed.shape[0] // cell, fixed.shape[1] // cell
    share = _blur(np.asarray(cv2.resize(valid, (columns, rows)), np.float32), sigma)
    halo = _reach_of(sigma)
    band = max(4, _BAND_SCORES // (max(1, columns) * (2 * reach + 1) ** 2) - 2 * halo)
    parts = []
    for first in range(0, rows, band):
        last = min(rows, first + band)
        above, below = max(0, first - halo), min(rows, last + halo)
        f = fixed[above * cell : below * cell]
        m = moving[above * cell : below * cell + 2 * reach]
        scores, variance = _scores(f, m, cell, reach, sigma)
        inner = slice(first - above, last - above)
        textured = (variance[inner] >= SMALLEST_CONTRAST**2) & (share[first:last] >= VALID_NEEDED)
        parts.append(_peaks(scores[:, inner], reach, textured, with_gap))
    return _joined(parts)


def _joined(parts: Sequence[Peaks]) -> Peaks:
    columns = zip(*((p.shift, p.score, p.curvature, p.gap, p.usable, p.textured) for p in parts), strict=True)
    return Peaks(*(np.concatenate(column) for column in columns))


def _scores(fixed: Channel, moving: Channel, cell: int, reach: int, sigma: float) -> tuple[Plane, Plane]:
    """Correlations (shifts, rows, cols) and the variance of the fixed image's windows (rows, cols)."""
    rows, columns = fixed.shape[0] // cell, fixed.shape[1] // cell
    side = 2 * reach + 1
    cross, mean, square = (np.empty((side * side, rows, columns), np.float32) for _ in range(3))
    fixed_mean, fixed_square = (np.empty((rows, columns), np.float32) for _ in range(2))

    def work(tile: tuple[slice, slice]) -> None:
        y, x = tile
        sums = _tile_sums(fixed, moving, (y, x), cell, reach)
        fixed_mean[y, x], fixed_square[y, x], cross[:, y, x], mean[:, y, x], square[:, y, x] = sums

    def correlate(index: int) -> None:
        m_mean, m_var = _window_moments(mean[index], square[index], sigma)
        covariance = _blur(cross[index], sigma) - f_mean * m_mean
        cross[index] = covariance / np.sqrt(np.maximum(f_var, 1) * np.maximum(m_var, 1))

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(work, _tiles(rows, columns, max(1, _TILE // cell))))
        f_mean, f_var = _window_moments(fixed_mean, fixed_square, sigma)
        list(pool.map(correlate, range(side * side)))
    return cross, f_var


def _tiles(rows: int, columns: int, step: int) -> Iterator[tuple[slice, slice]]:
    for top, left in product(range(0, rows, step), range(0, columns, step)):
        yield slice(top, min(rows, top + step)), slice(left, min(columns, left + step))


def _tile_sums(
    fixed: Channel, moving: Channel, cells: tuple[slice, slice], cell: int, reach: int
) -> tuple[Plane, Plane, Plane, Plane, Plane]:
    """Cell means of f, f^2, and for every shift of f m, m, m^2, for a tile given in cells."""
    y, x = (slice(part.start * cell, part.stop * cell) for part in cells)
    f = fixed[y, x].astype(np.float32)
    m = moving[y.start : y.stop + 2 * reach, x.start : x.stop + 2 * reach].astype(np.float32)
    m_box = _running_means(m, cell)
    square_box = _running_means(m * m, cell)
    shape = (f.shape[0] // cell, f.shape[1] // cell)
    side = 2 * reach + 1
    cross, mean, square = (np.empty((side * side, *shape), np.float32) for _ in range(3))
    for index, (dy, dx) in enumerate(product(range(side), repeat=2)):
        shifted = m[dy : dy + f.shape[0], dx : dx + f.shape[1]]
        cross[index] = _cell_means(np.asarray(cv2.multiply(f, shifted), np.float32), cell)
        at = (slice(dy, dy + f.shape[0], cell), slice(dx, dx + f.shape[1], cell))
        mean[index] = m_box[at]
        square[index] = square_box[at]
    return _cell_means(f, cell), _cell_means(f * f, cell), cross, mean, square


def _running_means(image: Plane, cell: int) -> Plane:
    """Mean of the cell x cell px whose first corner is the pixel."""
    return np.asarray(cv2.boxFilter(image, cv2.CV_32F, (cell, cell), anchor=(0, 0)), np.float32)


def _cell_means(image: Plane, cell: int) -> Plane:
    """Means of cell x cell px; halved as often as that goes, which OpenCV does fastest."""
    step = 2 if cell % 2 == 0 else cell
    size = (image.shape[1] // step, image.shape[0] // step)
    means = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)
    return means if step == cell else _cell_means(means, cell // step)


def _window_moments(mean: Plane, square: Plane, sigma: float) -> tuple[Plane, Plane]:
    blurred = _blur(mean, sigma)
    return blurred, _blur(square, sigma) - blurred * blurred


def _reach_of(sigma: float) -> int:
    """Of a Gaussian window to each side, in cells."""
    return math.ceil(_KERNEL_SIGMAS * sigma)


def _blur(cells: Plane, sigma: float) -> Plane:
    side = 2 * _reach_of(sigma) + 1
    return np.asarray(
        cv2.GaussianBlur(cells, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101), np.float32
    )


def _peaks(scores: Plane, reach: int, textured: Mask, with_gap: bool) -> Peaks:
    side = 2 * reach + 1
    best = scores.argmax(axis=0)
    row, column = best // side, best % side
    inside = (row > 0) & (row < side - 1) & (column > 0) & (column < side - 1)
    peak = _at(scores, best)
    centre = np.where(inside, best, side * reach + reach)
    middle = _at(scores, centre)
    off_x, curve_x = _parabola(_at(scores, centre - 1), middle, _at(scores, centre + 1))
    off_y, curve_y = _parabola(_at(scores, centre - side), middle, _at(scores, centre + side))
    shift = np.stack((column - reach + off_x * inside, row - reach + off_y * inside), axis=-1)
    curvature = np.where(inside, np.minimum(curve_x, curve_y), 0).astype(np.float32)
    gap = peak - _second(scores, row, column, side) if with_gap else np.zeros_like(peak)
    return Peaks(shift.astype(np.float32), peak, curvature, gap, inside & textured, textured)


def _second(scores: Plane, row: NDArray[np.int64], column: NDArray[np.int64], side: int) -> Plane:
    """The best score at least two px from the peak, in x or in y; -1 where there is no such place."""
    best = np.full(row.shape, -1, np.float32)
    for index, (y, x) in enumerate(product(range(side), repeat=2)):
        apart = (np.abs(row - y) > 1) | (np.abs(column - x) > 1)
        np.maximum(best, scores[index], out=best, where=apart)
    return best


def _at(scores: Plane, index: NDArray[np.int64]) -> Plane:
    taken: Plane = np.take_along_axis(scores, index[None], axis=0)[0]
    return taken


def _parabola(before: Plane, peak: Plane, after: Plane) -> tuple[Plane, Plane]:
    """Vertex offset within half a px, and curvature (positive at a maximum)."""
    curvature = np.maximum(2 * peak - before - after, 1e-6)
    offset = np.clip(0.5 * (after - before) / curvature, -0.5, 0.5)
    return offset.astype(np.float32), curvature.astype(np.float32)
