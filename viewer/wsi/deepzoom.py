"""Deep Zoom (DZI): which tiles there are, and their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from viewer.wsi.reader import Rgb, SlideReader

TILE_SIZE = 512


@dataclass(frozen=True)
class DeepZoomLayout:
    """Tiles of an image of width x height px, overlap 0; level 0 is 1 x 1 px, the last is full size."""

    width: int
    height: int

    @property
    def level_count(self) -> int:
        return (max(self.width, self.height) - 1).bit_length() + 1

    def downsample(self, level: int) -> int:
        return 1 << (self.level_count - 1 - level)

    def size(self, level: int) -> tuple[int, int]:
        """(width, height) of a level: ceil(side / downsample)."""
        step = self.downsample(level)
        return -(-self.width // step), -(-self.height // step)

    def box(self, level: int, column: int, row: int) -> tuple[int, int, int, int]:
        """x, y, columns, rows of a tile in px of its level. IndexError where there is no such tile."""
        if not 0 <= level < self.level_count:
            raise IndexError(f"no level {level}; levels are 0 to {self.level_count - 1}")
        width, height = self.size(level)
        x, y = column * TILE_SIZE, row * TILE_SIZE
        if not (0 <= x < width and 0 <= y < height):
            raise IndexError(f"no tile {column}, {row} at level {level}")
        return x, y, min(TILE_SIZE, width - x), min(TILE_SIZE, height - y)

    def dzi(self, image_format: str) -> str:
        """The XML descriptor for tiles called <column>_<row>.<image_format>."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format={quoteattr(image_format)} '
            f'Overlap="0" TileSize="{TILE_SIZE}">'
            f'<Size Width="{self.width}" Height="{self.height}"/></Image>\n'
        )


class DeepZoom:
    """Tiles of an open slide."""

    def __init__(self, reader: SlideReader) -> None:
        self.layout = DeepZoomLayout(reader.width, reader.height)
        self._reader = reader

    def tile(self, level: int, column: int, row: int) -> Rgb:
        """RGB uint8 (rows, columns, 3), at most 512 x 512. IndexError where there is no such tile.

        At a scale that the file stores, its pixels unchanged; in between, area means of the next finer one.
        """
        x, y, columns, rows = self.layout.box(level, column, row)
        step = self.layout.downsample(level)
        return self._reader.read(x * step, y * step, columns, rows, step)[0]
