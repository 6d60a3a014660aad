"""Blocks of one image compared with another at every shift of a search, and the peaks chosen among them."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.correlate import parabola
from registration.engine.midfeatures import Seen
from registration.engine.source import Mask

Values = NDArray[np.float32]

#: A block needs this share of real scene in both images, and this share of the usual energy.
_SCENE_NEEDED, _ENERGY_NEEDED = 0.6, 0.15
#: The next best peak is looked for beyond this share of a tile.
_APART_SHARE = 5 / 48
_THREADS = 2
#: Blocks whose peaks are looked for at a time, which bounds what that takes.
_AT_ONCE = 128


@dataclass(frozen=True)
class Lattice:
    """Blocks of `tile` px whose middles lie at first + i * stride, px; they may reach beyond the image."""

    tile: int
    stride: int
    first: float

    @classmethod
    def covering(cls, tile: int, stride: int) -> Lattice:
        """The squares of `stride` about the middles cover the image."""
        return cls(tile, stride, stride / 2)

    def middles(self, length: int) -> NDArray[np.float64]:
        return np.arange(self.first, length, self.stride, dtype=np.float64)

    def corners(self, length: int) -> NDArray[np.intp]:
        return np.floor(self.middles(length) - self.tile / 2 + 1e-9).astype(np.intp)


@dataclass(frozen=True)
class Volume:
    """scores : (rows, cols, side, side) float32, correlation of each block at each shift; the middle one is
    none. usable : (rows, cols) bool, the blocks with enough scene and structure.
    """

    scores: Values
    usable: Mask
    lattice: Lattice

    @property
    def apart(self) -> float:
        return self.lattice.tile * _APART_SHARE


@dataclass(frozen=True)
class Peaks:
    """shifts : (rows, cols, 2) float64, xy, px. height, gap : (rows, cols), of the best place, and its lead.

    inner : (rows, cols) bool, peaks that do not lie on the border of the search. place : (rows, cols, 2),
    row and column of the best score.
    """

    shifts: NDArray[np.float64]
    height: Values
    gap: Values
    inner: Mask
    place: NDArray[np.intp]


def score_volume(fixed: Seen, moving: Seen, lattice: Lattice, reach: int) -> Volume:
    """moving : `reach` px wider on each side than fixed.

    Correlation without taking the mean away (the channels have none), so what is masked takes no part.
    """
    tile, window = lattice.tile, lattice.tile + 2 * reach
    tops, lefts = (lattice.corners(side) for side in fixed.shape)
    usable = _usable(fixed, moving, (tops, lefts), tile, reach)
    side = 2 * reach + 1
    scores = np.full((len(tops), len(lefts), side, side), -1, np.float32)

    def match_row(row: int) -> None:
        columns = np.flatnonzero(usable[row])
        if not len(columns):
            return
        wide, other = _rows(fixed, tops[row], tile, tile), _rows(moving, tops[row], window, tile)
        for column in columns:
            left = lefts[column] + tile
            scores[row, column] = cv2.matchTemplate(
                other[:, left : left + window], wide[:, left : left + tile], cv2.TM_CCORR_NORMED
            )
        np.nan_to_num(scores[row], copy=False, nan=-1.0, posinf=-1.0, neginf=-1.0)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(match_row, range(len(tops))))
    return Volume(scores, usable, lattice)


def agreed(volume: Volume, step: float, jump: float) -> Values:
    """(rows, cols, side, side): the scores, each block's in standard deviations of its own from its own mean,
    together with what all blocks in its row and column make of them.

    A neighbour's shift may differ at `step` for each px of |dx| + |dy|, and at no more than `jump`. Summed
    over four directions by dynamic programming: Hirschmueller 2008, "Stereo processing by semi-global
    matching and mutual information". No third array of that size is held.
    """
    total = np.zeros_like(volume.scores)
    if not total.size:
        return total
    mean, deviation = _usual(volume)
    for axis in (0, 1):
        every = (np.moveaxis(each, axis, 0) for each in (volume.scores, total, mean, deviation))
        lines, sums, means, deviations = every
        for order in (range(len(lines)), range(len(lines) - 1, -1, -1)):
            told: Values | np.float32 = np.float32(0)
            for number in order:
                own = _shifts_first(lines[number])
                own -= means[number]
                own /= deviations[number]
                # The block's own scores come with each of the four directions; they count once.
                gathered = np.float32(0.25) * own + told
                sums[number] += np.asarray(cv2.transpose(gathered)).reshape(sums[number].shape)
                told = _passed_on(own + told, np.float32(step), np.float32(jump))
    return total


def strongest(scores: Values, apart: float) -> Peaks:
    """The best shift of each block to a fraction of a px, and its lead over all more than `apart` px off."""
    rows, columns, side, _ = scores.shape
    flat = scores.reshape(-1, side, side)
    parts = [_strongest(flat[at : at + _AT_ONCE], apart) for at in range(0, max(1, len(flat)), _AT_ONCE)]
    whole = (np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Peaks))
    return Peaks(*(one.reshape(rows, columns, *one.shape[1:]) for one in whole))


def _strongest(flat: Values, apart: float) -> Peaks:
    """flat : (blocks, side, side)."""
    side = flat.shape[-1]
    number = np.arange(len(flat))
    at = flat.reshape(len(flat), side * side).argmax(axis=1)
    row, column = at // side, at % side
    best = flat[number, row, column]
    inner_row, inner_column = (np.clip(place, 1, side - 2) for place in (row, column))
    x = column + parabola(*(flat[number, row, inner_column + step] for step in (-1, 0, 1)))[0]
    y = row + parabola(*(flat[number, inner_row + step, column] for step in (-1, 0, 1)))[0]
    inner = (row == inner_row) & (column == inner_column)
    x, y = np.where(inner, x, column), np.where(inner, y, row)
    steps = np.arange(side)
    near_row = (steps[None, :, None] - row[:, None, None]) ** 2
    near = near_row + (steps[None, None, :] - column[:, None, None]) ** 2 <= apart**2
    second = np.where(near, -np.inf, flat).reshape(len(flat), side * side).max(axis=1)
    shifts = np.stack((x, y), axis=-1) - (side - 1) // 2
    return Peaks(shifts, best, best - second, inner, np.stack((row, column), axis=-1))


def _usual(volume: Volume) -> tuple[Values, Values]:
    """Mean and standard deviation of each block's scores, (rows, cols); infinite where it is not usable."""
    mean, deviation = (np.empty(volume.usable.shape, np.float32) for _ in range(2))
    for row, scores in enumerate(volume.scores):
        mean[row], deviation[row] = scores.mean(axis=(1, 2)), scores.std(axis=(1, 2))
    return mean, np.where(volume.usable, np.maximum(deviation, np.float32(1e-6)), np.float32(np.inf))


def _shifts_first(scores: Values) -> Values:
    """scores : (blocks, side, side). Returns a copy, (side * side, blocks): work on all blocks at once."""
    return np.asarray(cv2.transpose(np.ascontiguousarray(scores.reshape(len(scores), -1))))


def _passed_on(believed: Values, step: np.float32, jump: np.float32) -> Values:
    """believed : (side * side, blocks), which is used up. For each shift the best to come from, less its
    cost; the best is 0."""
    side = math.isqrt(len(believed))
    best = believed.max(axis=0)
    told = believed.reshape(side, side, -1)
    for axis in (0, 1):
        along = np.moveaxis(told, axis, 0)
        less = np.empty_like(along[0])
        for place in range(1, side):
            np.subtract(along[place - 1], step, out=less)
            np.maximum(along[place], less, out=along[place])
        for place in range(side - 2, -1, -1):
            np.subtract(along[place + 1], step, out=less)
            np.maximum(along[place], less, out=along[place])
    np.maximum(believed, best - jump, out=believed)
    believed -= best
    return believed


def _rows(image: Seen, top: int, count: int, pad: int) -> Values:
    """`count` rows of the channels from `top` on, with `pad` px on both sides: 0 beyond the image."""
    part = image.channels[max(0, top) : max(0, top + count)]
    above = min(count, max(0, -top))
    below = count - above - len(part)
    return np.asarray(cv2.copyMakeBorder(part, above, below, pad, pad, cv2.BORDER_CONSTANT), np.float32)


def _usable(
    fixed: Seen, moving: Seen, corners: tuple[NDArray[np.intp], NDArray[np.intp]], tile: int, reach: int
) -> Mask:
    other = tuple(corner + reach for corner in corners)
    scene = np.minimum(
        _tile_means(fixed.mask.view(np.uint8), corners, tile),
        _tile_means(moving.mask.view(np.uint8), other, tile),
    )
    energy = _tile_means(np.einsum("ijk,ijk->ij", fixed.channels, fixed.channels), corners, tile)
    seen = scene >= _SCENE_NEEDED
    usual = float(np.median(energy[seen])) if seen.any() else 0.0
    return np.asarray(seen & (energy > max(_ENERGY_NEEDED * usual, 1e-9)))


def _tile_means(image: NDArray[Any], corners: tuple[NDArray[np.intp], ...], tile: int) -> NDArray[np.float64]:
    """The mean of `image` over the tiles at the corners (tops, lefts): (len(tops), len(lefts)). Beyond the
    image it is 0.
    """
    total = cv2.integral(image)
    (top, bottom), (left, right) = (
        (np.clip(corner, 0, side), np.clip(corner + tile, 0, side))
        for corner, side in zip(corners, image.shape, strict=True)
    )
    sums = total[np.ix_(bottom, right)] - total[np.ix_(top, right)]
    sums += total[np.ix_(top, left)] - total[np.ix_(bottom, left)]
    return np.asarray(sums / tile**2, np.float64)
