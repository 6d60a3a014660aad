"""Plain PNG, JPEG and untiled TIFF images as slides: decoded once, kept in memory with a pyramid."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from viewer.wsi.errors import SlideError
from viewer.wsi.levels import Level
from viewer.wsi.reader import LevelPixels, SlideReader
from viewer.wsi.scale import plausible

PIXEL_LIMIT = 150_000_000  # 600 MB as RGBA, 800 MB with the pyramid
FORMATS = ("PNG", "JPEG", "TIFF")
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}
_SMALLEST_SIDE = 512
_UM_PER_UNIT = {2: 25400.0, 3: 10000.0}  # TIFF ResolutionUnit: inch, centimetre

Image.MAX_IMAGE_PIXELS = (
    None  # Pillow only warns at its limit; PIXEL_LIMIT refuses, before anything is decoded
)


class PlainReader(SlideReader):
    """An ordinary image. Levels are halvings by area mean; orientation tags are not applied."""

    vendor = "plain image"

    def __init__(self, path: Path, um_per_px: tuple[float, float] | None) -> None:
        self.name = path.name
        rgba, stated = _decoded(path)
        self.um_per_px = um_per_px or stated
        self._pyramid: list[NDArray[np.uint8]] = _halvings(rgba)
        self.levels = tuple(
            Level(level.shape[1], level.shape[0], (float(2**k), float(2**k)))
            for k, level in enumerate(self._pyramid)
        )
        self.held_bytes = sum(level.nbytes for level in self._pyramid)

    def close(self) -> None:
        self._pyramid = []

    def stored(self, level: int, x: int, y: int, columns: int, rows: int) -> LevelPixels:
        return LevelPixels(self._pyramid[level][y : y + rows, x : x + columns], x, y)


def _decoded(path: Path) -> tuple[NDArray[np.uint8], tuple[float, float] | None]:
    try:
        with Image.open(path, formats=FORMATS) as image:
            _check(path, image)
            stated = _tiff_um_per_px(image) if image.format == "TIFF" else None
            return np.array(image.convert("RGBA")), stated
    except UnidentifiedImageError as error:
        raise SlideError(
            "not_a_slide",
            f"{path.name} is neither a slide nor an image; see whether other software opens it.",
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise SlideError(
            "truncated", f"{path.name} can't be decoded to its end ({error}); copy it again from its source."
        ) from error


def _check(path: Path, image: Image.Image) -> None:
    if image.width * image.height > PIXEL_LIMIT:
        raise SlideError(
            "too_large_plain_image",
            f"{path.name} has {image.width} x {image.height} px, a plain image may have {PIXEL_LIMIT:,} px. "
            "Convert it to a tiled pyramidal TIFF.",
        )
    if image.mode not in _MODES:
        raise SlideError(
            "unsupported_pixels", f"{path.name} has pixels of kind {image.mode}; convert it to 8-bit RGB."
        )


def _tiff_um_per_px(image: Image.Image) -> tuple[float, float] | None:
    tags = image.getexif()
    unit = _UM_PER_UNIT.get(tags.get(296, 2))
    x, y = (float(tags.get(tag) or 0) for tag in (282, 283))
    return plausible(unit / x, unit / y) if unit and x > 0 and y > 0 else None


def _halvings(rgba: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """`rgba` and its halvings by 2 x 2 means (an odd last row or column is repeated)."""
    pyramid = [rgba]
    while max(pyramid[-1].shape[:2]) > _SMALLEST_SIDE:
        finer = pyramid[-1]
        rows, columns = finer.shape[:2]
        even = cv2.copyMakeBorder(finer, 0, rows % 2, 0, columns % 2, cv2.BORDER_REPLICATE)
        half = cv2.resize(even, (even.shape[1] // 2, even.shape[0] // 2), interpolation=cv2.INTER_AREA)
        pyramid.append(half.astype(np.uint8, copy=False))
    return pyramid
