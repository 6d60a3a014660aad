"""Correlation of two aligned images at every small shift, in windows around the cells of a grid.

Product sums are made per cell (multiply, then area-average) and blurred over cells; the correlation
coefficient in a Gaussian window then costs a few operations per cell and shift.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise, product

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.correlate import parabola
from registration.engine.source import Mask
from registration.engine.stains import Channel

Plane = NDArray[np.float32]

#: Least standard deviation, in grey levels of the hematoxylin image, of a window that can be matched.
SMALLEST_CONTRAST = 4.0
#: A window with less valid scene than this is not matched.
VALID_NEEDED = 0.8
_TILE = 512
#: Bands of whole rows of cells are worked on at a time, so that their sums take about this many bytes; with a
#: halo, so that it does not show where one ends.
_BAND_BYTES = 48_000_000
#: The Gaussian windows are cut off at so many sigmas.
_KERNEL_SIGMAS = 3
_THREADS = 2

#: (first, last) row to those rows of an image.
Rows = Callable[[int, int], Channel]


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
    moving: Rows,
    valid: Plane,
    cell: int,
    reach: int,
    sigma: float,
    *,
    with_gap: bool = False,
) -> Peaks:
    """fixed : (h, w) uint8. moving : the rows of an image of (h + 2 reach, w + 2 reach) uint8, aligned but
    for what is sought.

    valid : (rows, cols) float32, any size: over the same area, 1 where both images show scene. Content at x
    in `fixed` is at x + shift in `moving`. Cells are cell x cell px from the top left; a rest is left out.
    """
    rows, columns = fixed.shape[0] // cell, fixed.shape[1] // cell
    share = _blur(np.asarray(cv2.resize(valid, (columns, rows)), np.float32), sigma)
    halo = _reach_of(sigma)
    parts = []
    for first, last in _bands(rows, columns, cell, reach, halo):
        above, below = max(0, first - halo), min(rows, last + halo)
        f, m = fixed[above * cell : below * cell], moving(above * cell, below * cell + 2 * reach)
        scores, variance = _scores(f, m, cell, reach, sigma)
        inner = slice(first - above, last - above)
        textured = (variance[inner] >= SMALLEST_CONTRAST**2) & (share[first:last] >= VALID_NEEDED)
        parts.append(_peaks(scores[:, inner], reach, textured, with_gap))
    return _joined(parts)


def _bands(rows: int, columns: int, cell: int, reach: int, halo: int) -> Iterator[tuple[int, int]]:
    """First and last row of each."""
    side = 2 * reach + 1
    bytes_of_row = 4 * max(1, columns) * (side**2 + 2 * min(cell, side) ** 2)
    most = max(halo, _BAND_BYTES // bytes_of_row - 2 * halo)
    count = -(-rows // most)
    edges = [rows * number // count for number in range(count + 1)]
    yield from pairwise(edges)


def _joined(parts: Sequence[Peaks]) -> Peaks:
    columns = zip(*((p.shift, p.score, p.curvature, p.gap, p.usable, p.textured) for p in parts), strict=True)
    return Peaks(*(np.concatenate(column) for column in columns))


def _scores(fixed: Channel, moving: Channel, cell: int, reach: int, sigma: float) -> tuple[Plane, Plane]:
    """Correlations (shifts, rows, cols) and the variance of the fixed image's windows (rows, cols)."""
    sums = _Sums.empty(fixed.shape[0] // cell, fixed.shape[1] // cell, cell, reach)
    rows, columns = sums.fixed_mean.shape
    tiles = _tiles(rows, columns, max(1, _TILE // cell))

    def correlate(index: int) -> None:
        m_mean, m_var = _window_moments(*sums.moments(index), sigma)
        covariance = _blur(sums.cross[index], sigma) - f_mean * m_mean
        sums.cross[index] = covariance / np.sqrt(np.maximum(f_var, 1) * np.maximum(m_var, 1))

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda tile: sums.add(fixed, moving, *tile), tiles))
        f_mean, f_var = _window_moments(sums.fixed_mean, sums.fixed_square, sigma)
        list(pool.map(correlate, range(len(sums.cross))))
    return sums.cross, f_var


def _tiles(rows: int, columns: int, step: int) -> Iterator[tuple[slice, slice]]:
    for top, left in product(range(0, rows, step), range(0, columns, step)):
        yield slice(top, min(rows, top + step)), slice(left, min(columns, left + step))


@dataclass(frozen=True)
class _Sums:
    """Means over cells: of f and f^2 (rows, cols); of f m at each shift (shifts, rows, cols); of m and m^2.

    Shifts that differ by whole cells have the moving image's means in common: those are kept by what is left
    of the shift (phase), (phases, rows + more, cols + more).
    """

    cell: int
    side: int
    fixed_mean: Plane
    fixed_square: Plane
    cross: Plane
    mean: Plane
    square: Plane

    @classmethod
    def empty(cls, rows: int, columns: int, cell: int, reach: int) -> _Sums:
        side = 2 * reach + 1
        phases, more = min(cell, side) ** 2, 2 * reach // cell
        shapes = [(rows, columns)] * 2 + [(side * side, rows, columns)]
        shapes += [(phases, rows + more, columns + more)] * 2
        return cls(cell, side, *(np.empty(shape, np.float32) for shape in shapes))

    def moments(self, index: int) -> tuple[Plane, Plane]:
        """(rows, cols): means of m and m^2 at a shift."""
        (down, y), (along, x) = (divmod(shift, self.cell) for shift in divmod(index, self.side))
        rows, columns = self.fixed_mean.shape
        part = y * min(self.cell, self.side) + x, slice(down, down + rows), slice(along, along + columns)
        return self.mean[part], self.square[part]

    def add(self, fixed: Channel, moving: Channel, rows: slice, columns: slice) -> None:
        """A tile, given in cells. Products of two uint8 fit into uint16, which is fastest."""
        y, x = (slice(part.start * self.cell, part.stop * self.cell) for part in (rows, columns))
        m = moving[y.start : y.stop + self.side - 1, x.start : x.stop + self.side - 1]
        f, f16, m16 = fixed[y, x].astype(np.float32), fixed[y, x].astype(np.uint16), m.astype(np.uint16)
        self.fixed_mean[rows, columns] = _cell_means(f, self.cell)
        self.fixed_square[rows, columns] = _cell_means(f * f, self.cell)
        height, width = f.shape
        for index, (dy, dx) in enumerate(product(range(self.side), repeat=2)):
            shifted = m16[dy : dy + height, dx : dx + width]
            self.cross[index, rows, columns] = _cell_means(cv2.multiply(f16, shifted), self.cell)
        self._add_moments(m, rows.start, columns.start)

    def _add_moments(self, m: Channel, top: int, left: int) -> None:
        size, phases = (self.cell, self.cell), min(self.cell, self.side)
        # Of the cell x cell px whose first corner is the pixel.
        means = cv2.boxFilter(m, cv2.CV_32F, size, anchor=(0, 0))
        squares = cv2.sqrBoxFilter(m, cv2.CV_32F, size, anchor=(0, 0))
        height, width = (length - self.cell + 1 for length in m.shape)
        for index, (y, x) in enumerate(product(range(phases), repeat=2)):
            at = slice(y, height, self.cell), slice(x, width, self.cell)
            rows, columns = means[at].shape
            part = index, slice(top, top + rows), slice(left, left + columns)
            self.mean[part], self.square[part] = means[at], squares[at]


def _cell_means(image: cv2.typing.MatLike, cell: int) -> Plane:
    """Means of cell x cell px, float32; halved as often as that goes, which OpenCV does fastest. Of uint16
    the first means are rounded, which may do to products but not to what is multiplied with them.
    """
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
    off_x, curve_x = parabola(_at(scores, centre - 1), middle, _at(scores, centre + 1))
    off_y, curve_y = parabola(_at(scores, centre - side), middle, _at(scores, centre + side))
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
