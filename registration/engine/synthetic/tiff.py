"""Writing a painted slide as a tiled pyramidal TIFF that OpenSlide, QuPath and others open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile

from registration.engine.source import Rgb
from registration.engine.synthetic.painter import BLOCK, Painter

TILE = 256
#: Each level is this much smaller than the one before ...
STEP = 4
#: ... until both sides are below this.
SMALLEST_LEVEL = 1024
JPEG_QUALITY = 85


def write_pyramid(path: Path, painter: Painter, um_per_px: float) -> None:
    """Draw level 0 strip by strip into the file, then the reduced levels. Replaces `path` at the end."""
    temporary = path.with_name(f".{path.name}.part")
    height, width = painter.size.height, painter.size.width
    reduced: list[Rgb] = []
    try:
        with tifffile.TiffWriter(temporary, bigtiff=False) as file:
            _write_level(file, _painted_tiles(painter, reduced), (height, width, 3), um_per_px, subfiletype=0)
            level, downsample = np.concatenate(reduced), STEP
            while True:
                _write_level(file, _tiles(level), level.shape, um_per_px * downsample, subfiletype=1)
                if max(level.shape) <= SMALLEST_LEVEL:
                    break
                level, downsample = _reduce(level), downsample * STEP
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_level(
    file: Any, tiles: Iterator[Rgb], shape: tuple[int, ...], um_per_px: float, subfiletype: int
) -> None:
    per_cm = 10_000 / um_per_px
    file.write(
        tiles,
        shape=shape,
        dtype=np.uint8,
        tile=(TILE, TILE),
        photometric="rgb",
        subsampling=(2, 2),
        compression="jpeg",
        compressionargs={"level": JPEG_QUALITY},
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
        subfiletype=subfiletype,
        metadata=None,
        software="SlidePair",
        maxworkers=1,
    )


def _painted_tiles(painter: Painter, reduced: list[Rgb]) -> Iterator[Rgb]:
    """Level 0's tiles, row by row; the next level's strips are left in `reduced`."""
    columns, rows = -(-painter.size.width // BLOCK), -(-painter.size.height // BLOCK)
    for row in range(rows):
        strip = np.concatenate([painter.block(column, row) for column in range(columns)], axis=1)
        reduced.append(_reduce(strip))
        yield from _tiles(strip)


def _tiles(level: Rgb) -> Iterator[Rgb]:
    """Whole tiles, row by row; the last ones are filled up with their edge."""
    height, width = level.shape[:2]
    padded = np.pad(level, ((0, -height % TILE), (0, -width % TILE), (0, 0)), mode="edge")
    for y in range(0, height, TILE):
        for x in range(0, width, TILE):
            yield np.ascontiguousarray(padded[y : y + TILE, x : x + TILE])


def _reduce(level: Rgb) -> Rgb:
    """STEP times smaller; a partly filled last cell counts."""
    height, width = level.shape[:2]
    padded = np.pad(level, ((0, -height % STEP), (0, -width % STEP), (0, 0)), mode="edge")
    size = (padded.shape[1] // STEP, padded.shape[0] // STEP)
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
