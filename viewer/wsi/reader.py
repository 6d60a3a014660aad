"""What every slide reader is: a size, a scale, levels, and pixels of any box at any scale."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from viewer.wsi.area import Floats, area_average
from viewer.wsi.levels import Level, level_for

Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]
BLOCK = 1024  # level px a side that are read at a time, whatever is asked for
_OPAQUE = 254  # mean alpha from which a pixel counts as measured


@dataclass(frozen=True)
class LevelPixels:
    """Stored pixels. rgba : (h, w, 4) uint8; x, y : level px (corner-based) of its top left corner."""

    rgba: NDArray[np.uint8]
    x: float
    y: float


class SlideReader(ABC):
    """A whole-slide image, read in level-0 px, corner-based. Reads may run in several threads at once.

    Fits the engine's PixelSource. um_per_px : (x, y) or None where unknown; it is never guessed.
    """

    name: str
    vendor: str
    um_per_px: tuple[float, float] | None
    levels: tuple[Level, ...]
    held_bytes: int = 0  # memory that stays taken while the reader is open

    @property
    def width(self) -> int:
        return self.levels[0].width

    @property
    def height(self) -> int:
        return self.levels[0].height

    @abstractmethod
    def close(self) -> None:
        """Let go of the file; reading afterwards is an error."""

    @abstractmethod
    def stored(self, level: int, x: int, y: int, columns: int, rows: int) -> LevelPixels:
        """Pixels of a level that cover the box [x, x+columns) x [y, y+rows) in level px, inside the level."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, x: float, y: float, columns: int, rows: int, downsample: float) -> tuple[Rgb, Mask]:
        """Pixels of a box at a scale; memory besides the result does not grow with the box.

        x, y : level-0 px of the top left corner, corner-based, may be fractional or outside.
        downsample : level-0 px per output px, > 0, may be fractional.
        Returns RGB uint8 (rows, columns, 3) on white, and validity bool (rows, columns). Output px [r, c] is
        the area mean of [x + c*d, x + (c+1)*d) x [y + r*d, y + (r+1)*d), taken from the coarsest level that
        is fine enough; between stored px (d below the level's) it is linear. Valid: at least half of it lies
        on the slide and the file holds pixels there. ValueError for an empty box or scale.
        """
        if columns < 1 or rows < 1 or not (downsample > 0 and math.isfinite(x + y + downsample)):
            raise ValueError(f"nothing to read: {columns} x {rows} px at {x}, {y}, downsample {downsample}")
        rgb = np.full((rows, columns, 3), 255, np.uint8)
        valid = np.zeros((rows, columns), np.bool_)
        level = level_for(self.levels, downsample)
        across, down = (max(1, int(BLOCK * ratio / downsample)) for ratio in self.levels[level].downsample)
        for top, bottom in _stretches(rows, down):
            for left, right in _stretches(columns, across):
                columns_at = x + downsample * np.arange(left, right + 1, dtype=np.float64)
                rows_at = y + downsample * np.arange(top, bottom + 1, dtype=np.float64)
                part = np.s_[top:bottom, left:right]
                self._fill(rgb[part], valid[part], level, columns_at, rows_at)
        return rgb, valid

    def thumbnail(self, max_side: int) -> Rgb:
        """The whole slide, its longer side at most `max_side` px: RGB uint8 (h, w, 3)."""
        downsample = max(1.0, max(self.width, self.height) / max_side)
        columns, rows = (max(1, round(side / downsample)) for side in (self.width, self.height))
        return self.read(0, 0, columns, rows, downsample)[0]

    def _fill(self, rgb: Rgb, valid: Mask, level: int, x: Floats, y: Floats) -> None:
        """Fill one block whose pixel borders are at x, y (level-0 px)."""
        stored = self.levels[level]
        x_on, x_valid, x_spans = _spans(x, self.width, stored.width, stored.downsample[0])
        y_on, y_valid, y_spans = _spans(y, self.height, stored.height, stored.downsample[1])
        if not (len(x_spans) and len(y_spans)):
            return
        left, right = _whole(x_spans)
        top, bottom = _whole(y_spans)
        pixels = self.stored(level, left, top, right - left, bottom - top)
        colour, measured = _resampled(pixels, x_spans, y_spans)
        rgb[y_on, x_on] = colour
        valid[y_on, x_on] = np.outer(y_valid, x_valid) & measured


def _stretches(total: int, step: int) -> Iterator[tuple[int, int]]:
    for start in range(0, total, step):
        yield start, min(start + step, total)


def _spans(edges: Floats, full: int, size: int, ratio: float) -> tuple[slice, Mask, Floats]:
    """One axis of a block: which output px touch the slide, which of them lie on it by half or more, and
    the span of level px, (n, 2), that each averages over."""
    covered = np.clip(edges[1:], 0, full) - np.clip(edges[:-1], 0, full)
    touched = np.flatnonzero(covered > 0)
    if not len(touched):
        return slice(0), np.zeros(0, np.bool_), np.zeros((0, 2))
    on = slice(int(touched[0]), int(touched[-1]) + 1)
    low, high = edges[:-1][on] / ratio, edges[1:][on] / ratio
    widen = np.maximum(0, 1 - (high - low)) / 2
    spans: Floats = np.stack([low - widen, high + widen], axis=1).round(7)
    return on, covered[on] >= np.diff(edges)[on] / 2, _inside(spans, size)


def _inside(spans: Floats, size: int) -> Floats:
    """Spans cut to the level; one beyond its last px (a writer may drop the rest) becomes that px."""
    cut = np.clip(spans, 0, size)
    lost = cut[:, 1] - cut[:, 0] < 1e-6
    start = np.clip(np.floor(cut[:, 0]), 0, size - 1)
    return np.where(lost[:, None], np.stack([start, start + 1], axis=1), cut)


def _whole(spans: Floats) -> tuple[int, int]:
    return math.floor(spans[0, 0]), math.ceil(spans[-1, 1])


def _resampled(pixels: LevelPixels, x_spans: Floats, y_spans: Floats) -> tuple[Rgb, Mask]:
    x, y = x_spans - pixels.x, y_spans - pixels.y
    alpha = pixels.rgba[..., 3:]
    if int(alpha.min()) == 255:
        rgb = np.asarray(cv2.cvtColor(pixels.rgba, cv2.COLOR_RGBA2RGB), np.uint8)
        colour = _averaged(rgb, x, y)
        return colour, np.ones(colour.shape[:2], np.bool_)
    colour = _averaged(on_white(pixels.rgba), x, y)
    return colour, area_average(alpha, x, y)[..., 0] >= _OPAQUE


def on_white(rgba: NDArray[np.uint8]) -> Rgb:
    """RGBA (h, w, 4) composited on white: RGB (h, w, 3)."""
    alpha = rgba[..., 3:].astype(np.uint16)
    mixed = rgba[..., :3] * alpha + 255 * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def _averaged(values: Rgb, x: Floats, y: Floats) -> Rgb:
    """`area_average`, by a shorter way where the spans are equal blocks of whole px."""
    across, down = _step(x), _step(y)
    if not (across and down):
        return area_average(values, x, y)
    left, top = int(x[0, 0]), int(y[0, 0])
    part = values[top : top + down * len(y), left : left + across * len(x)]
    if (across, down) == (1, 1):
        return part
    return cv2.resize(part, (len(x), len(y)), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _step(spans: Floats) -> int:
    """The common whole length of adjoining spans that start on whole px, or 0."""
    length = spans[0, 1] - spans[0, 0]
    first = spans[0, 0]
    expected = first + length * np.arange(len(spans))
    regular = np.array_equal(spans[:, 0], expected) and np.array_equal(spans[:, 1], expected + length)
    return int(length) if regular and length == int(length) and first == int(first) else 0
