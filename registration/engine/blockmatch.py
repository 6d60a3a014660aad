"""Square blocks of one image searched for in another: each block's own best place, free of any model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.chance import binomial_z
from registration.engine.correlate import parabola
from registration.engine.features import Feature, Overview, fill_smoothly, gradient_size
from registration.engine.geometry import Points, Size
from registration.engine.matrices import Matrix, shift
from registration.engine.midfeatures import MidImage, mid_image, seen
from registration.engine.midmatch import Lattice, score_volume, strongest
from registration.engine.resample import warp_quick
from registration.engine.source import Mask

#: A block needs this share of real scene, in both images, and this share of the image's mean contrast.
SCENE_NEEDED = 0.6
CONTRAST_NEEDED = 0.3
#: So many places an affine, of six numbers, can meet wherever they are.
_PLACES_MET = 3
#: Of the blocks that judge a slide, the share that counts, those whose best place is the most distinct one.
#: Measured on consecutive sections: of their upper half 40 % agree, of the lower one 13 %.
_CLEAREST = 0.5
#: Places with less than this share of the image's mean contrast are no match for anything.
_FLAT = 0.05
_THREADS = 2


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


def block_weights(blocks: Blocks) -> NDArray[np.float64]:
    """(N,), what each counts in a fit."""
    weights: NDArray[np.float64] = np.clip(blocks.score, 0.05, 1) ** 2
    return weights


@dataclass(frozen=True)
class Agreement:
    """How often free peaks fall where a transform predicts them, and how far that is from chance.

    share : of the blocks. z : in standard deviations; of a binomial with the chance rate (`agreement`), or of
    the normal that its exact tail corresponds to (`exact_agreement`, `spare_agreement`).
    """

    share: float
    z: float
    blocks: int


def pull(moving: Overview, matrix: Matrix, size: Size, margin: int) -> tuple[Feature, Mask]:
    """The moving image in the fixed frame, `margin` px wider on each side, with its mask."""
    around = Size(size.width + 2 * margin, size.height + 2 * margin)
    outward = matrix @ shift(-margin, -margin)
    values = warp_quick(moving.feature, outward, around)
    known = warp_quick(moving.mask.view(np.uint8), outward, around, outside="zero") > 0
    return fill_smoothly(values, known), known


def match_blocks(fixed: Overview, moving: Overview, matrix: Matrix, layout: Layout) -> Blocks:
    """Free peaks of the fixed image's blocks in the moving image pulled through `matrix`."""
    rows, columns = fixed.shape
    pulled, known = pull(moving, matrix, Size(columns, rows), layout.search)
    return match_pulled(fixed.feature, fixed.mask, pulled, known, layout)


def match_edges_too(fixed: Overview, moving: Overview, matrix: Matrix, layout: Layout) -> Blocks:
    """As match_blocks, by density and by its gradient's size, the two correlations added: slower, surer."""
    rows, columns = fixed.shape
    pulled, known = pull(moving, matrix, Size(columns, rows), layout.search)
    pairs = ((fixed.feature, pulled), (gradient_size(fixed.feature), gradient_size(pulled)))
    return _free_peaks(pairs, fixed.mask, known, layout)


def match_structure(fixed: Overview, moving: Overview, matrix: Matrix, layout: Layout) -> Blocks:
    """As match_blocks, by local orientation and contrast, which survive a change of stain (see midfeatures).

    Only those whose peak leads the next best one the most. Blocks may reach beyond the image: what is not
    scene takes no part.
    """
    rows, columns = fixed.shape
    values, known = pull(moving, matrix, Size(columns, rows), layout.search)
    lattice = Lattice(layout.tile, layout.stride, layout.start + layout.tile / 2)
    volume = score_volume(seen(mid_image(fixed)), seen(MidImage(values, known)), lattice, layout.search)
    peaks = strongest(volume.scores, volume.apart)
    middles = np.stack(np.meshgrid(lattice.middles(columns), lattice.middles(rows)), axis=-1)
    clear = volume.usable
    if clear.any():
        clear = clear & (peaks.gap >= np.quantile(peaks.gap[clear], 1 - _CLEAREST))
    return Blocks(middles[clear], peaks.shifts[clear], peaks.height[clear].astype(np.float64))


def match_pulled(feature: Feature, mask: Mask, pulled: Feature, known: Mask, layout: Layout) -> Blocks:
    """As match_blocks, with the moving image pulled already: layout.search px wider on each side."""
    return _free_peaks(((feature, pulled),), mask, known, layout)


def _free_peaks(pairs: Sequence[tuple[Feature, Feature]], mask: Mask, known: Mask, layout: Layout) -> Blocks:
    """pairs : of each cue the fixed and the pulled image; where blocks are tried depends on the first."""
    tops, lefts = _usable(pairs[0][0], mask, known, layout)
    pairs_and_flats = [
        (feature, pulled, _flat_places(pulled, known, layout.tile)) for feature, pulled in pairs
    ]
    reach = 2 * layout.search
    places, lines = np.empty((len(tops), 2), np.intp), np.empty((len(tops), 2, 3), np.float32)

    def match(number: int) -> None:
        top, left = int(tops[number]), int(lefts[number])
        scores = np.zeros((reach + 1, reach + 1), np.float32)
        for feature, pulled, flat in pairs_and_flats:
            tile = feature[top : top + layout.tile, left : left + layout.tile]
            window = pulled[top : top + layout.tile + reach, left : left + layout.tile + reach]
            found = np.asarray(cv2.matchTemplate(window, tile, cv2.TM_CCOEFF_NORMED), np.float32)
            if flat is not None:
                found[flat[top : top + reach + 1, left : left + reach + 1]] = -1
            scores += found
        places[number], lines[number] = _peak(scores)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(match, range(len(tops))))
    centres = np.stack((lefts, tops), axis=-1) + layout.tile / 2
    shifts = np.asarray(places - layout.search + parabola(*np.moveaxis(lines, -1, 0))[0], np.float64)
    return Blocks(centres, shifts, lines[:, 0, 1].astype(np.float64) / len(pairs))


def _flat_places(pulled: Feature, known: Mask, tile: int) -> Mask | None:
    """Where a tile of the pulled image shows next to nothing; None if nowhere."""
    flat: Mask = _box_deviation(pulled, tile) < _FLAT * _typical_contrast(pulled, known)
    return flat if flat.any() else None


def agreement(blocks: Blocks, layout: Layout, tolerance: float) -> Agreement:
    """Whether the free peaks lie within `tolerance` px of no shift, against chance."""
    count = len(blocks)
    if count == 0:
        return Agreement(0.0, 0.0, 0)
    hits, chance = _hits(blocks, layout, tolerance)
    z = (hits - count * chance) / math.sqrt(count * chance * (1 - chance))
    return Agreement(hits / count, z, count)


def exact_agreement(blocks: Blocks, layout: Layout, tolerance: float) -> Agreement:
    """As `agreement`, with z from the binomial's exact tail: few blocks can't give a large one by luck."""
    count = len(blocks)
    if count == 0:
        return Agreement(0.0, 0.0, 0)
    hits, chance = _hits(blocks, layout, tolerance)
    return Agreement(hits / count, binomial_z(hits, count, chance), count)


def spare_agreement(blocks: Blocks, layout: Layout, tolerance: float) -> Agreement:
    """As `exact_agreement`, for match_structure: z, at least 0, is beyond what any affine could meet.

    Three places can always be met, whatever two images show, and blocks that overlap see each place several
    times: so many of those that agree say nothing, and are neither hits nor misses.
    """
    count = len(blocks)
    if count == 0:
        return Agreement(0.0, 0.0, 0)
    hits, chance = _hits(blocks, layout, tolerance)
    met = round(_CLEAREST * _PLACES_MET * (layout.tile / layout.stride) ** 2)
    z = binomial_z(max(0, hits - met), max(0, count - met), chance)
    return Agreement(hits / count, max(0.0, z), count)


def _hits(blocks: Blocks, layout: Layout, tolerance: float) -> tuple[int, float]:
    """How many free peaks lie within `tolerance` px of no shift, and each one's probability to by chance."""
    hits = int((np.hypot(*blocks.shifts.T) <= tolerance).sum())
    return hits, min(0.9, math.pi * tolerance**2 / (2 * layout.search + 1) ** 2)


def _usable(feature: Feature, mask: Mask, known: Mask, layout: Layout) -> tuple[Points, Points]:
    """Top and left, (N,) each, of the blocks with scene in both images and contrast in the fixed one."""
    rows = np.arange(layout.start, feature.shape[0] - layout.tile + 1, layout.stride)
    columns = np.arange(layout.start, feature.shape[1] - layout.tile + 1, layout.stride)
    corners = np.ix_(rows, columns)
    inner = known[
        layout.search : known.shape[0] - layout.search, layout.search : known.shape[1] - layout.search
    ]
    scene = np.minimum(
        *(_box_mean(np.ascontiguousarray(m).view(np.uint8), layout.tile)[corners] for m in (mask, inner))
    )
    wanted = CONTRAST_NEEDED * _typical_contrast(feature, mask)
    usable = (scene >= SCENE_NEEDED) & (_box_deviation(feature, layout.tile)[corners] >= max(wanted, 1e-6))
    tops, lefts = np.nonzero(usable)
    return rows[tops], columns[lefts]


def _peak(scores: Feature) -> tuple[tuple[int, int], Feature]:
    """Column and row of the best score; (2, 3): it between its neighbours in x, in y, where it has two."""
    _, score, _, (column, row) = cv2.minMaxLoc(scores)
    lines = np.full((2, 3), score, np.float32)
    if 0 < column < scores.shape[1] - 1:
        lines[0] = scores[row, column - 1 : column + 2]
    if 0 < row < scores.shape[0] - 1:
        lines[1] = scores[row - 1 : row + 2, column]
    return (column, row), lines


def _typical_contrast(feature: Feature, mask: Mask) -> float:
    return float(feature[mask].std()) if mask.any() else 0.0


def _box_mean(image: NDArray[np.uint8], tile: int) -> NDArray[np.float64]:
    """Mean of each tile x tile box that fits, by its top left corner."""
    if min(image.shape) < tile:
        return np.zeros((max(0, image.shape[0] - tile + 1), max(0, image.shape[1] - tile + 1)))
    return _box_sum(cv2.integral(image), tile) / tile**2


def _box_deviation(image: Feature, tile: int) -> NDArray[np.float64]:
    """Standard deviation in each tile x tile box that fits, by its top left corner."""
    if min(image.shape) < tile:
        return np.zeros((max(0, image.shape[0] - tile + 1), max(0, image.shape[1] - tile + 1)))
    total, squares = cv2.integral2(image)
    mean = _box_sum(total, tile) / tile**2
    return np.sqrt(np.maximum(_box_sum(squares, tile) / tile**2 - mean * mean, 0))


def _box_sum(integral: NDArray[np.generic], tile: int) -> NDArray[np.float64]:
    summed = np.asarray(integral, np.float64)
    return summed[tile:, tile:] - summed[:-tile, tile:] - summed[tile:, :-tile] + summed[:-tile, :-tile]
