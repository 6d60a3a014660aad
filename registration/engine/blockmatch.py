"""Square blocks of one image searched for in another: each block's own best place, free of any model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.features import Feature, Overview, fill_smoothly
from registration.engine.geometry import Points, Size
from registration.engine.matrices import Matrix, shift
from registration.engine.resample import warp_array
from registration.engine.source import Mask

#: A block needs this share of real scene, in both images, and this share of the image's mean contrast.
SCENE_NEEDED = 0.6
CONTRAST_NEEDED = 0.3


@dataclass(frozen=True)
class Layout:
    """tile : side of a block. search : px to each side. stride : block to block. start : first corner."""

    tile: int
    search: int
    stride: int
    start: int = 0


@dataclass(frozen=True)
class Blocks:
    """centres, shifts : (N, 2) float64, xy, fixed px. score : (N,) correlation at the best place.

    The content of the fixed image at a centre lies at centre + shift in the pulled moving image.
    """

    centres: Points
    shifts: Points
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True)
class Agreement:
    """How often free peaks fall where a transform predicts them, and how far that is from chance.

    share : of the blocks. z : (hits - expected) / standard deviation of a binomial with the chance rate.
    """

    share: float
    z: float
    blocks: int


def pull(moving: Overview, matrix: Matrix, size: Size, margin: int) -> tuple[Feature, Mask]:
    """The moving image in the fixed frame, `margin` px wider on each side, with its mask."""
    around = Size(size.width + 2 * margin, size.height + 2 * margin)
    outward = matrix @ shift(-margin, -margin)
    values, valid = warp_array(moving.feature, outward, around, fill=0)
    mask, _ = warp_array(moving.mask.astype(np.uint8), outward, around, "nearest", fill=0)
    known = valid & (mask > 0)
    return fill_smoothly(values, known), known


def match_blocks(fixed: Overview, moving: Overview, matrix: Matrix, layout: Layout) -> Blocks:
    """Free peaks of the fixed image's blocks in the moving image pulled through `matrix`."""
    rows, columns = fixed.shape
    pulled, known = pull(moving, matrix, Size(columns, rows), layout.search)
    return match_pulled(fixed.feature, fixed.mask, pulled, known, layout)


def match_pulled(feature: Feature, mask: Mask, pulled: Feature, known: Mask, layout: Layout) -> Blocks:
    """As match_blocks, with the moving image pulled already: layout.search px wider on each side."""
    wanted = CONTRAST_NEEDED * _typical_contrast(feature, mask)
    found = []
    for top, left in _corners(feature.shape, layout):
        tile = (slice(top, top + layout.tile), slice(left, left + layout.tile))
        side = layout.tile + 2 * layout.search
        window = (slice(top, top + side), slice(left, left + side))
        first_row, first_column = top + layout.search, left + layout.search
        inner = (
            slice(first_row, first_row + layout.tile),
            slice(first_column, first_column + layout.tile),
        )
        if min(mask[tile].mean(), known[inner].mean()) < SCENE_NEEDED or feature[tile].std() < wanted:
            continue
        x, y, score = _peak(pulled[window], feature[tile])
        middle = layout.tile / 2
        found.append((left + middle, top + middle, x - layout.search, y - layout.search, score))
    table = np.array(found, dtype=np.float64).reshape(-1, 5)
    return Blocks(table[:, 0:2], table[:, 2:4], table[:, 4])


def agreement(blocks: Blocks, layout: Layout, tolerance: float) -> Agreement:
    """Whether the free peaks lie within `tolerance` px of no shift, against chance."""
    count = len(blocks)
    if count == 0:
        return Agreement(0.0, 0.0, 0)
    hits = int((np.hypot(*blocks.shifts.T) <= tolerance).sum())
    chance = min(0.9, math.pi * tolerance**2 / (2 * layout.search + 1) ** 2)
    z = (hits - count * chance) / math.sqrt(count * chance * (1 - chance))
    return Agreement(hits / count, z, count)


def parabola_offset(before: float, peak: float, after: float) -> float:
    """Where between two px a peak lies: the vertex of the parabola through three values, within half a px."""
    curvature = before - 2 * peak + after
    if curvature >= 0:
        return 0.0
    return float(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5))


def _peak(window: Feature, tile: Feature) -> tuple[float, float, float]:
    scores = cv2.matchTemplate(window, tile, cv2.TM_CCOEFF_NORMED)
    scores = np.nan_to_num(scores, nan=-1.0, posinf=-1.0, neginf=-1.0)
    row, column = (int(i) for i in np.unravel_index(int(np.argmax(scores)), scores.shape))
    x, y = float(column), float(row)
    if 0 < column < scores.shape[1] - 1:
        x += parabola_offset(*(float(v) for v in scores[row, column - 1 : column + 2]))
    if 0 < row < scores.shape[0] - 1:
        y += parabola_offset(*(float(v) for v in scores[row - 1 : row + 2, column]))
    return x, y, float(scores[row, column])


def _typical_contrast(feature: Feature, mask: Mask) -> float:
    return float(feature[mask].std()) if mask.any() else 0.0


def _corners(shape: tuple[int, ...], layout: Layout) -> list[tuple[int, int]]:
    rows = range(layout.start, shape[0] - layout.tile + 1, layout.stride)
    columns = range(layout.start, shape[1] - layout.tile + 1, layout.stride)
    return [(row, column) for row in rows for column in columns]
