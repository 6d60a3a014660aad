"""Hematoxylin unmixed from the stains that a slide really carries: eosin or DAB beside it.

One matrix for three stains explains eosin on an IHC slide, and DAB on an H&E slide, that are not there; what
it takes for them is missing from, or added to, the nuclei. With two stains to a slide the nuclei of both come
out alike. Vectors: Ruifrok and Johnston 2001, see stains; the third row is what is at right angles to both.
"""

from __future__ import annotations

import math
from enum import StrEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from registration.engine.inputs import mean_um
from registration.engine.source import PixelSource, Rgb
from registration.engine.stains import (
    HEMATOXYLIN_FULL_SCALE,
    STAIN_VECTORS,
    Channel,
    density_table,
    table_sum,
)

#: The slide is looked at in so many windows each way, of so many px a side, at this scale.
_WINDOWS, _WINDOW_PX = 6, 48
_UM_PER_PX, _UNKNOWN_DOWNSAMPLE = 2.0, 8.0
#: A pixel whose optical densities sum up to something between these is stained; more is pen, dirt or filling.
_STAINED, _BLACK = 0.3, 4.0
#: Fewer stained px say nothing.
_STAINED_NEEDED = 300
#: Eosin to hematoxylin. Measured: H&E 0.29 to 6, IHC and hematoxylin alone 0 to 0.13.
EOSIN_TO_HEMATOXYLIN = 0.2
_ROWS_AT_ONCE = 512


class Counterstain(StrEnum):
    """What is on the slide beside hematoxylin."""

    EOSIN = "eosin"
    DAB = "dab"
    UNKNOWN = "unknown"


def counterstain(source: PixelSource) -> Counterstain:
    """From a few windows spread over the slide; the same for every region of it."""
    downsample = max(1.0, _UM_PER_PX / mean_um(source)) if source.um_per_px else _UNKNOWN_DOWNSAMPLE
    downsample = min(downsample, max(1.0, math.sqrt(source.width * source.height) / (_WINDOWS * _WINDOW_PX)))
    densities = [_stained(source, row, column, downsample) for row, column in np.ndindex(_WINDOWS, _WINDOWS)]
    found = np.concatenate(densities)
    if len(found) < _STAINED_NEEDED:
        return Counterstain.UNKNOWN
    amounts = np.maximum(found @ np.linalg.inv(STAIN_VECTORS), 0)
    blue, eosin, _ = amounts.sum(axis=0)
    return Counterstain.EOSIN if eosin >= EOSIN_TO_HEMATOXYLIN * blue else Counterstain.DAB


def hematoxylin_beside(rgb: Rgb, beside: Counterstain) -> Channel:
    """rgb : (rows, cols, 3) uint8. Returns (rows, cols) uint8: hematoxylin density, 255 = full scale."""
    table = _table(beside)
    out = np.empty(rgb.shape[:2], np.uint8)
    for top in range(0, rgb.shape[0], _ROWS_AT_ONCE):
        strip = slice(top, top + _ROWS_AT_ONCE)
        out[strip] = np.clip(np.rint(table_sum(rgb[strip], table)), 0, 255)
    return out


def _stained(source: PixelSource, row: int, column: int, downsample: float) -> NDArray[np.float64]:
    """(N, 3): optical densities of the stained px of one window."""
    side = _WINDOW_PX * downsample
    x = (column + 0.5) * source.width / _WINDOWS - side / 2
    y = (row + 0.5) * source.height / _WINDOWS - side / 2
    rgb, valid = source.read(x, y, _WINDOW_PX, _WINDOW_PX, downsample)
    densities = density_table()[rgb[valid]].astype(np.float64)
    total = densities.sum(axis=1)
    found: NDArray[np.float64] = densities[(total > _STAINED) & (total < _BLACK)]
    return found


@cache
def _table(beside: Counterstain) -> NDArray[np.float32]:
    """(256, 3): what each grey level of each channel adds to the hematoxylin image."""
    vectors = np.array(STAIN_VECTORS)
    if beside is not Counterstain.UNKNOWN:
        kept = vectors[1 if beside is Counterstain.EOSIN else 2]
        across = np.cross(vectors[0], kept)
        vectors = np.stack((vectors[0], kept, across / np.linalg.norm(across)))
    row = 255 / HEMATOXYLIN_FULL_SCALE * np.linalg.inv(vectors)[:, 0]
    return (density_table()[:, None] * row).astype(np.float32)
