"""Slide access without Django: open a slide, read pixels at any place and scale."""

from viewer.wsi.errors import SlideError
from viewer.wsi.files import find_slides, fingerprint
from viewer.wsi.opening import open_slide
from viewer.wsi.reader import SlideReader

__all__ = ["SlideError", "SlideReader", "find_slides", "fingerprint", "open_slide"]
