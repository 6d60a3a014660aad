"""Whole-slide formats through OpenSlide: SVS, generic TIFF, NDPI, MRXS, SCN, BIF, DICOM and others."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import openslide
from openslide import OpenSlide, OpenSlideCache, OpenSlideError

from viewer.wsi.errors import SlideError
from viewer.wsi.levels import make_levels
from viewer.wsi.rawtiles import RawLevel, raw_levels
from viewer.wsi.reader import LevelPixels, SlideReader
from viewer.wsi.scale import plausible

OVERVIEW_LIMIT = 2**34  # px of the coarsest level: an overview has to read them all
_COMPARED = 256  # px a side
CACHE_BYTES = 64 * 2**20
_cache = OpenSlideCache(CACHE_BYTES)  # one for all slides of the process


class OpenSlideReader(SlideReader):
    """A slide opened by OpenSlide; label and macro images are left alone."""

    def __init__(self, path: Path, um_per_px: tuple[float, float] | None) -> None:
        self.name = path.name
        try:
            self._slide = OpenSlide(path)
        except OpenSlideError as error:
            raise SlideError("not_a_slide", f"{path.name} can't be opened as a slide: {error}.") from error
        self._slide.set_cache(_cache)
        properties = self._slide.properties
        self.vendor = properties.get(openslide.PROPERTY_NAME_VENDOR, "")
        self.um_per_px = um_per_px or plausible(
            properties.get(openslide.PROPERTY_NAME_MPP_X), properties.get(openslide.PROPERTY_NAME_MPP_Y)
        )
        self.levels = make_levels(self._slide.level_dimensions)
        self._check_overview()
        self._ratios = self._slide.level_downsamples
        self._raw = self._exact_levels(path)

    def _check_overview(self) -> None:
        coarsest = self.levels[-1]
        if coarsest.width * coarsest.height > OVERVIEW_LIMIT:
            raise SlideError(
                "no_overview",
                f"{self.name} stores nothing coarser than {coarsest.width} x {coarsest.height} px; "
                f"at most {OVERVIEW_LIMIT:,} px. Convert it to a pyramidal TIFF.",
            )

    def close(self) -> None:
        self._slide.close()

    def stored(self, level: int, x: int, y: int, columns: int, rows: int) -> LevelPixels:
        if level in self._raw:
            return LevelPixels(self._raw[level].read(x, y, columns, rows), x, y)
        return self._through_openslide(level, x, y, columns, rows)

    def _through_openslide(self, level: int, x: int, y: int, columns: int, rows: int) -> LevelPixels:
        """OpenSlide takes a place in whole level-0 px and interpolates to it: where the level's ratio is not
        whole, the px come from up to one px further left and above."""
        ratio = self._ratios[level]
        at = math.floor(x * ratio), math.floor(y * ratio)
        start = at[0] / ratio, at[1] / ratio
        size = columns + (start[0] < x), rows + (start[1] < y)
        try:
            region = self._slide.read_region(at, level, size)
        except OpenSlideError as error:
            raise SlideError(
                "unreadable",
                f"{self.name} is damaged near {at[0]}, {at[1]} (level-0 px): its pixels can't be decoded "
                f"({error}). Copy it again from its source.",
            ) from error
        return LevelPixels(np.asarray(region), *start)

    def _exact_levels(self, path: Path) -> dict[int, RawLevel]:
        """Levels that OpenSlide would interpolate and that our own decoding gives as OpenSlide does."""
        slanted = [level for level, ratio in enumerate(self._ratios) if ratio != round(ratio)]
        raw = raw_levels(path) if slanted else {}
        sizes = {level: self._slide.level_dimensions[level] for level in slanted}
        found = {level: raw[size] for level, size in sizes.items() if size in raw}
        return {level: pixels for level, pixels in found.items() if self._agrees(level, pixels)}

    def _agrees(self, level: int, raw: RawLevel) -> bool:
        """Whether the level's top left corner, which OpenSlide doesn't interpolate, is the same both ways."""
        columns, rows = (min(side, _COMPARED) for side in raw.size)
        try:
            ours, theirs = (
                raw.read(0, 0, columns, rows),
                self._slide.read_region((0, 0), level, (columns, rows)),
            )
        except (SlideError, OpenSlideError):
            return False
        return np.array_equal(ours, np.asarray(theirs))
