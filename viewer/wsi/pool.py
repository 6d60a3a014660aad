"""Open readers kept for the next tile, a limited number of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from viewer.wsi.reader import SlideReader


class _Place:
    """Where one reader is, or is being opened."""

    def __init__(self) -> None:
        self.opening = threading.Lock()
        self.reader: SlideReader | None = None


class ReaderPool:
    """Least recently used readers by key, at most `count` of them and `held_bytes` of memory.

    A reader that is put out is not closed but let go: it closes when its last user is done with it.
    """

    def __init__(self, count: int, held_bytes: int) -> None:
        self._count, self._held_bytes = count, held_bytes
        self._lock = threading.Lock()
        self._places: OrderedDict[Hashable, _Place] = OrderedDict()

    def get(self, key: Hashable, open_reader: Callable[[], SlideReader]) -> SlideReader:
        """The reader for `key`, opened by one thread only while others wait; its errors are passed on."""
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
        with place.opening:
            if place.reader is None:
                place.reader = self._opened(key, open_reader)
                self._put_out_others(key)
            return place.reader

    def discard(self, key: Hashable) -> None:
        """Forget a reader, such as one that met an error."""
        with self._lock:
            self._places.pop(key, None)

    def __len__(self) -> int:
        return len(self._places)

    def _opened(self, key: Hashable, open_reader: Callable[[], SlideReader]) -> SlideReader:
        reader = None
        try:
            reader = open_reader()
        finally:
            if reader is None:
                self.discard(key)
        return reader

    def _put_out_others(self, key: Hashable) -> None:
        with self._lock:
            while len(self._places) > 1 and self._is_over():
                oldest = next(other for other in self._places if other != key)
                del self._places[oldest]

    def _is_over(self) -> bool:
        held = sum(place.reader.held_bytes for place in self._places.values() if place.reader)
        return len(self._places) > self._count or held > self._held_bytes
