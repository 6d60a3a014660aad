"""An image in memory that can be read like a slide."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from registration.engine.geometry import Size, point_from_index
from registration.engine.resample import sample
from registration.engine.source import Mask, Rgb

#: Samples a side that are averaged for a px at most.
_MOST_TAPS = 64


@dataclass(frozen=True, eq=False)
class ArraySource:
    """A PixelSource over rgb (height, width, 3) uint8."""

    rgb: Rgb
    um_per_px: tuple[float, float] | None = None

    @property
    def width(self) -> int:
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        return int(self.rgb.shape[0])

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)

    def read(self, x: float, y: float, columns: int, rows: int, downsample: float) -> tuple[Rgb, Mask]:
        """As PixelSource.read; averages about downsample x downsample samples (64 x 64 at most)."""
        taps = min(_MOST_TAPS, max(1, round(downsample)))
        step = downsample / taps
        xs = x + point_from_index(np.arange(columns * taps), step)
        ys = y + point_from_index(np.arange(rows * taps), step)
        points = np.stack(np.meshgrid(xs, ys), axis=-1)
        values, valid = sample(self.rgb, points, "linear", fill=255)
        if taps == 1:
            return values, valid
        averaged = cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA)
        share = cv2.resize(valid.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
        return np.asarray(averaged, dtype=np.uint8), np.asarray(share) > 0.5
