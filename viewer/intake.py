"""Paths that users send: only what lies under the slide folders is ever touched."""

from pathlib import Path
from typing import Any

from django.conf import settings

from viewer import services
from viewer.errors import InvalidInput
from viewer.models import Slide, SlideStatus


def add_readable_slide(path: str, owner: Any, *, field: str = "path", **facts: Any) -> Slide:
    """The slide at `path`, which must lie under the slide folders; InvalidInput naming `field` if unreadable.

    facts : stain, um_per_px and patient, as services.add_slide takes them.
    """
    slide = services.add_slide(slide_path(path, field), owner, **facts)
    if slide.status == SlideStatus.FAILED:
        raise InvalidInput("slide_unreadable", slide.error, field)
    return slide


def slide_path(text: str, field: str = "path") -> Path:
    """The file or folder named by `text`, symlinks resolved, under one of settings.SLIDE_ROOTS.

    Raises InvalidInput. Nothing is said about what exists outside the slide folders.
    """
    if not settings.SLIDE_ROOTS:
        remedy = "Add slides with `manage.py add_slides`, or set SLIDEPAIR_SLIDE_ROOTS."
        raise InvalidInput("no_slide_roots", f"This server takes no slides by path. {remedy}", field)
    path = _resolved(text)
    if path is None or not any(path.is_relative_to(root) for root in settings.SLIDE_ROOTS):
        message = "The path must be absolute and lie under one of this server's slide folders."
        raise InvalidInput("path_not_allowed", message, field)
    if not _is_there(path):
        raise InvalidInput("not_found", f"There is no slide at {path}. Check its spelling.", field)
    return path


def _resolved(text: str) -> Path | None:
    if not text.startswith("/"):
        return None
    try:
        return Path(text).resolve()
    except (OSError, RuntimeError, ValueError):  # no permission, a circle of links, a null byte
        return None


def _is_there(path: Path) -> bool:
    try:
        return path.is_file() or path.is_dir()
    except OSError:  # a name too long, a folder without permission
        return False
