"""Blocks of one image compared with another at every shift of a search, and the peaks chosen among them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.features import Feature
from registration.engine.source import Mask

Values = NDArray[np.float32]

#: A block needs this share of real scene in both images, and this share of the usual energy.
_SCENE_NEEDED, _ENERGY_NEEDED = 0.6, 0.15
#: The next best peak is looked for beyond so many px, or this share of a tile.
_APART_PX, _APART_SHARE = 5.0, 1 / 12
_THREADS = 2


@dataclass(frozen=True)
class Lattice:
    """Blocks of `tile` px whose middles lie at first + i * stride, px; they may reach beyond the image."""

    tile: int
    stride: int
    first: float

    @classmethod
    def thirds(cls, tile: int) -> Lattice:
        """A third of a tile apart, so that the squares of `stride` about the middles cover the image."""
        stride = round(tile / 3)
        return cls(tile, stride, stride / 2)

    def middles(self, length: int) -> NDArray[np.float64]:
        return np.arange(self.first, length, self.stride, dtype=np.float64)

    def corners(self, length: int) -> NDArray[np.intp]:
        return np.floor(self.middles(length) - self.tile / 2 + 1e-9).astype(np.intp)


@dataclass(frozen=True)
class Volume:
    """scores : (rows, cols, side, side) float32, correlation of each block at each shift, side = 2 reach + 1.

    usable : (rows, cols) bool, the blocks with enough scene and structure.
    """

    scores: Values
    usable: Mask
    lattice: Lattice

    @property
    def reach(self) -> int:
        return int(self.scores.shape[2] - 1) // 2

    @property
    def apart(self) -> float:
        return max(_APART_PX, self.lattice.tile * _APART_SHARE)


@dataclass(frozen=True)
class Peaks:
    """shifts : (rows, cols, 2) float64, xy, px. height, gap : (rows, cols), of the best place, and its lead.

    inner : (rows, cols) bool, peaks that do not lie on the border of the search.
    """

    shifts: NDArray[np.float64]
    height: Values
    gap: Values
    inner: Mask


def score_volume(
    fixed: Feature, fixed_mask: Mask, moving: Feature, moving_mask: Mask, lattice: Lattice, reach: int
) -> Volume:
    """fixed : (rows, cols[, channels]) float32, 0 outside its mask; moving : `reach` px wider on each side.

    Correlation without taking the mean away (the channels have none), so what is masked takes no part.
    """
    pad = lattice.tile
    wide, known = _padded(fixed, pad), _padded(fixed_mask.astype(np.uint8), pad)
    other, other_known = _padded(moving, pad), _padded(moving_mask.astype(np.uint8), pad)
    tops, lefts = (lattice.corners(side) + pad for side in fixed_mask.shape)
    usable = _usable((wide, known, other_known), (tops, lefts), lattice.tile, reach)
    side = 2 * reach + 1
    scores = np.full((len(tops), len(lefts), side, side), -1, np.float32)
    tile, window = lattice.tile, lattice.tile + 2 * reach

    def match_row(row: int) -> None:
        top = tops[row]
        for column in np.flatnonzero(usable[row]):
            left = lefts[column]
            scores[row, column] = cv2.matchTemplate(
                other[top : top + window, left : left + window],
                wide[top : top + tile, left : left + tile],
                cv2.TM_CCORR_NORMED,
            )

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(match_row, range(len(tops))))
    np.nan_to_num(scores, copy=False, nan=-1.0, posinf=-1.0, neginf=-1.0)
    return Volume(scores, usable, lattice)


def standardised(volume: Volume) -> Values:
    """Each block's scores in standard deviations of its own from its own mean."""
    scores = volume.scores
    mean = scores.mean(axis=(2, 3), keepdims=True)
    deviation = np.maximum(scores.std(axis=(2, 3), keepdims=True), 1e-6)
    return np.where(volume.usable[..., None, None], (scores - mean) / deviation, 0).astype(np.float32)


def nearer(scores: Values, expected: NDArray[np.float64], width: float) -> Values:
    """Scores less |shift - expected|^2 / (2 width^2): a Gaussian prior about `expected` (rows, cols, 2)."""
    reach = (scores.shape[2] - 1) // 2
    steps = np.arange(-reach, reach + 1)
    off_x = (steps - expected[..., 0, None]) ** 2 / (2 * width**2)
    off_y = (steps - expected[..., 1, None]) ** 2 / (2 * width**2)
    penalised = scores - off_x[:, :, None, :].astype(np.float32)
    penalised -= off_y[:, :, :, None].astype(np.float32)
    return penalised


def strongest(scores: Values, apart: float) -> Peaks:
    """The best place of each block to a fraction of a px, and its lead over all places further off."""
    rows, columns, side, _ = scores.shape
    flat = scores.reshape(-1, side, side)
    number = np.arange(len(flat))
    at = flat.reshape(len(flat), side * side).argmax(axis=1)
    row, column = at // side, at % side
    best = flat[number, row, column]
    inner_row, inner_column = (np.clip(place, 1, side - 2) for place in (row, column))
    x = column + _offset(*(flat[number, row, inner_column + step] for step in (-1, 0, 1)))
    y = row + _offset(*(flat[number, inner_row + step, column] for step in (-1, 0, 1)))
    inner = (row == inner_row) & (column == inner_column)
    x, y = np.where(inner, x, column), np.where(inner, y, row)
    steps = np.arange(side)
    near_row = (steps[None, :, None] - row[:, None, None]) ** 2
    near = near_row + (steps[None, None, :] - column[:, None, None]) ** 2 <= apart**2
    second = np.where(near, -np.inf, flat).reshape(len(flat), side * side).max(axis=1)
    shifts = np.stack((x, y), axis=-1) - (side - 1) // 2
    shape = (rows, columns)
    gap = best - second
    return Peaks(shifts.reshape(*shape, 2), best.reshape(shape), gap.reshape(shape), inner.reshape(shape))


def backward(volume: Volume) -> Values:
    """Scores of the moving image's blocks in the fixed image, read off the same comparison.

    That of the moving block at y with the fixed one at y - d is what the fixed block there scored at d;
    between the blocks' middles it is interpolated.
    """
    scores = np.where(volume.usable[..., None, None], volume.scores, -1)
    side = scores.shape[2]
    out = np.empty_like(scores)
    for row in range(side):
        for column in range(side):
            by = [(place - volume.reach) / volume.lattice.stride for place in (column, row)]
            out[:, :, row, column] = _moved(scores[:, :, row, column], by)
    return out


def disagreement(volume: Volume, shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rows, cols): how far from its start a peak comes back when looked for from the other side, px."""
    back = strongest(backward(volume), volume.apart).shifts
    rows, columns = shifts.shape[:2]
    stride = volume.lattice.stride
    there_x = np.rint(np.arange(columns)[None, :] + shifts[..., 0] / stride).astype(np.intp)
    there_y = np.rint(np.arange(rows)[:, None] + shifts[..., 1] / stride).astype(np.intp)
    found = back[np.clip(there_y, 0, rows - 1), np.clip(there_x, 0, columns - 1)]
    return np.asarray(np.hypot(*np.moveaxis(found - shifts, -1, 0)), np.float64)


def _moved(image: Values, by: list[float]) -> Values:
    """out[y, x] = image[y - by[1], x - by[0]], linear, the edge's value outside."""
    for axis, distance in ((1, by[0]), (0, by[1])):
        length = image.shape[axis]
        place = np.clip(np.arange(length) - distance, 0, length - 1)
        lower = np.floor(place).astype(np.intp)
        share = np.expand_dims((place - lower).astype(np.float32), 1 - axis)
        upper = np.minimum(lower + 1, length - 1)
        image = image.take(lower, axis) * (1 - share) + image.take(upper, axis) * share
    return image


def _offset(before: Values, peak: Values, after: Values) -> NDArray[np.float64]:
    """The vertex of the parabola through three values, within half a px."""
    curvature = before.astype(np.float64) - 2 * peak + after
    bent = curvature < 0
    offset = 0.5 * (before - after) / np.where(bent, curvature, -1)
    return np.where(bent, np.clip(offset, -0.5, 0.5), 0.0)


def _padded(image: NDArray[Any], pad: int) -> NDArray[Any]:
    width = ((pad, pad), (pad, pad)) + ((0, 0),) * (image.ndim - 2)
    return np.ascontiguousarray(np.pad(image, width))


def _usable(
    images: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    corners: tuple[NDArray[np.intp], NDArray[np.intp]],
    tile: int,
    reach: int,
) -> Mask:
    wide, known, other_known = images
    scene = np.minimum(
        _tile_means(known, corners, tile), _tile_means(other_known, tuple(c + reach for c in corners), tile)
    )
    square = np.square(wide, dtype=np.float32).reshape(*known.shape, -1).sum(axis=2)
    energy = _tile_means(square, corners, tile)
    seen = scene >= _SCENE_NEEDED
    usual = float(np.median(energy[seen])) if seen.any() else 0.0
    return np.asarray(seen & (energy > max(_ENERGY_NEEDED * usual, 1e-9)))


def _tile_means(image: NDArray[Any], corners: tuple[NDArray[np.intp], ...], tile: int) -> NDArray[np.float64]:
    """The mean of `image` over the tiles at the corners (tops, lefts): (len(tops), len(lefts))."""
    total = cv2.integral(image.astype(np.float64) if image.dtype != np.uint8 else image)
    tops, lefts = (corner[:, None] if i == 0 else corner[None, :] for i, corner in enumerate(corners))
    sums = (
        total[tops + tile, lefts + tile]
        - total[tops, lefts + tile]
        - total[tops + tile, lefts]
        + total[tops, lefts]
    )
    return np.asarray(sums / tile**2, np.float64)
