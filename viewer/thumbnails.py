"""Small pictures of whole slides, stored once by fingerprint."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from viewer import atomic
from viewer.encode import encode
from viewer.wsi import SlideReader

MAX_SIDE = 512


def thumbnail_path(fingerprint: str) -> Path:
    return Path(settings.DATA_DIR) / "thumbnails" / f"{fingerprint}.jpg"


def store_thumbnail(fingerprint: str, reader: SlideReader) -> Path:
    """Make and store the thumbnail unless it is there. SlideError where the slide is damaged."""
    path = thumbnail_path(fingerprint)
    if not path.is_file():
        atomic.write_bytes(path, encode(reader.thumbnail(MAX_SIDE), "jpeg"))
    return path
