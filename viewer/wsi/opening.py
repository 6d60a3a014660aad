"""Which reader opens a path."""

from __future__ import annotations

from pathlib import Path

from openslide import OpenSlide

from viewer.wsi.errors import SlideError
from viewer.wsi.files import check_readable, parts
from viewer.wsi.openslide_reader import OpenSlideReader
from viewer.wsi.plain_reader import PlainReader
from viewer.wsi.reader import SlideReader
from viewer.wsi.tiffcheck import check_complete


def open_slide(path: Path, um_per_px: tuple[float, float] | None = None) -> SlideReader:
    """Open a slide file, a DICOM folder or a plain image; a context manager.

    um_per_px : (x, y), overrides what the file says.
    SlideError not_found, unreadable, empty_file, truncated, not_a_slide, no_overview,
    several_slides, too_large_plain_image, unsupported_pixels.
    """
    check_readable(path)
    file = parts(path)[0] if path.is_dir() else path
    if file.stat().st_size == 0:
        raise SlideError("empty_file", f"{path.name} is empty (0 bytes); copy it again from its source.")
    check_complete(file)
    reader: SlideReader
    if OpenSlide.detect_format(file):
        reader = OpenSlideReader(file, um_per_px)
    else:
        reader = PlainReader(file, um_per_px)
    reader.name = path.name
    return reader
