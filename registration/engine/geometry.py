"""Sizes, boxes and frames of slides, and the only two functions that know of the half pixel.

Coordinates are continuous and corner-based: pixel i covers [i, i + 1), its centre is i + 0.5.
Points and sizes are (x, y) / (width, height); arrays are [row, column].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: (..., 2) float64, xy
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """Width and height in px."""

    width: int
    height: int

    @property
    def diagonal(self) -> float:
        return math.hypot(self.width, self.height)

    @property
    def box(self) -> Box:
        return Box(0, 0, self.width, self.height)


@dataclass(frozen=True)
class Box:
    """Half-open rectangle [x, right) x [y, bottom), ints, level-0 px."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)

    @property
    def area(self) -> int:
        return self.width * self.height

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y), corner-based."""
        return self.x + self.width / 2, self.y + self.height / 2

    def corners(self) -> Points:
        """(4, 2) float64, xy, clockwise from top left."""
        return np.array(
            [(self.x, self.y), (self.right, self.y), (self.right, self.bottom), (self.x, self.bottom)],
            dtype=np.float64,
        )

    def inside(self, size: Size) -> bool:
        """Whether the whole box lies on a slide of this size; an empty box does not."""
        return (
            self.width > 0
            and self.height > 0
            and self.x >= 0
            and self.y >= 0
            and self.right <= size.width
            and self.bottom <= size.height
        )

    def intersection(self, other: Box) -> Box:
        """The common part; of zero width or height (never negative) where there is none."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        width = max(0, min(self.right, other.right) - x)
        height = max(0, min(self.bottom, other.bottom) - y)
        return Box(x, y, width, height)


@dataclass(frozen=True)
class Frame:
    """A slide's coordinate system at level 0.

    name : "fixed" or "moving". um_per_px : (x, y), None where unknown.
    """

    name: str
    size: Size
    um_per_px: tuple[float, float] | None


def index_from_point(points: ArrayLike, downsample: float = 1.0) -> Points:
    """Centre-based array index (as cv2, scipy and skimage count) of corner-based points.

    points : (..., 2), xy, level-0 px. Returns (..., 2) float64, xy, in px of the image at `downsample`.
    """
    return np.asarray(points, dtype=np.float64) / downsample - 0.5


def point_from_index(index: ArrayLike, downsample: float = 1.0) -> Points:
    """The inverse of index_from_point: where the centre of array element `index` lies at level 0."""
    return (np.asarray(index, dtype=np.float64) + 0.5) * downsample
