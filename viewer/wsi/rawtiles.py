"""Tiles of a TIFF level decoded by ourselves.

OpenSlide takes places in whole level-0 px: at a level whose ratio is not whole (2.0005) it interpolates, and
its pixels are not those of the file. Here they are.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, TiffFileError, TiffPage

from viewer.wsi.errors import SlideError

Rgba = NDArray[np.uint8]


class RawLevel:
    """One level of a TIFF file: RGB, 8 bit, tiled, no tile missing."""

    def __init__(self, path: Path, page: TiffPage) -> None:
        self.size = page.imagewidth, page.imagelength
        self._tile = page.tilewidth, page.tilelength
        self._across = -(-page.imagewidth // page.tilewidth)
        self._offsets, self._counts = page.dataoffsets, page.databytecounts
        self._tables, self._decode = page.jpegtables, page.decode
        self._path = path

    def read(self, x: int, y: int, columns: int, rows: int) -> Rgba:
        """RGBA (rows, columns, 4) uint8 of a box in level px, inside the level; opaque.

        SlideError unreadable where a tile is damaged.
        """
        out = np.full((rows, columns, 4), 255, np.uint8)
        width, height = self._tile
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            for row in range(y // height, -(-(y + rows) // height)):
                for column in range(x // width, -(-(x + columns) // width)):
                    self._paste(
                        out, self._tile_at(descriptor, column, row), column * width - x, row * height - y
                    )
        finally:
            os.close(descriptor)
        return out

    def _tile_at(self, descriptor: int, column: int, row: int) -> NDArray[np.uint8]:
        index = row * self._across + column
        data = os.pread(descriptor, self._counts[index], self._offsets[index])
        try:
            decoded, _, _ = self._decode(data, index, jpegtables=self._tables)
        except (RuntimeError, ValueError) as error:
            raise self._damaged(column, row) from error
        if decoded is None:
            raise self._damaged(column, row)
        tile: NDArray[np.uint8] = decoded[0]
        return tile

    def _damaged(self, column: int, row: int) -> SlideError:
        width, height = self.size
        return SlideError(
            "unreadable",
            f"{self._path.name} is damaged: tile {column}, {row} of its {width} x {height} px level "
            "can't be decoded. Copy it again from its source.",
        )

    @staticmethod
    def _paste(out: Rgba, tile: NDArray[np.uint8], left: int, top: int) -> None:
        """Put `tile` where its corner is at (left, top) of `out`, as far as it reaches in."""
        x0, y0 = max(0, left), max(0, top)
        x1, y1 = min(out.shape[1], left + tile.shape[1]), min(out.shape[0], top + tile.shape[0])
        out[y0:y1, x0:x1, :3] = tile[y0 - top : y1 - top, x0 - left : x1 - left]


def raw_levels(path: Path) -> dict[tuple[int, int], RawLevel]:
    """The levels of `path` that can be read this way, by (width, height); none if it is no TIFF."""
    try:
        with TiffFile(path) as file:
            return {
                (page.imagewidth, page.imagelength): RawLevel(path, page)
                for page in file.pages
                if isinstance(page, TiffPage) and _is_plain(page)
            }
    except (TiffFileError, ValueError):
        return {}


def _is_plain(page: TiffPage) -> bool:
    return bool(
        page.is_tiled
        and page.planarconfig == 1
        and page.samplesperpixel == 3
        and page.bitspersample == 8
        and all(page.databytecounts)
    )
