"""Open slides of this process, shared by its requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from viewer.models import Slide
from viewer.services import open_record
from viewer.wsi import SlideError, SlideReader
from viewer.wsi.files import stamp
from viewer.wsi.pool import ReaderPool

_pool = ReaderPool(count=16, held_bytes=2**30)


@contextmanager
def shared_reader(slide: Slide) -> Iterator[SlideReader]:
    """A reader of `slide`, opened anew once its file changes. SlideError as `services.open_record`."""
    key = (slide.pk, slide.path, slide.mpp_x, slide.mpp_y, stamp(Path(slide.path)))
    try:
        yield _pool.get(key, lambda: open_record(slide))
    except SlideError:
        _pool.discard(key)
        raise
