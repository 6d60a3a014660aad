"""Readers are shared, limited in number, and never closed under a user's hands."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.viewer.pyramids import noise, write_pyramid
from viewer.wsi import SlideError, SlideReader, open_slide
from viewer.wsi.pool import ReaderPool


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return write_pyramid(tmp_path / "a.tif", [noise(400, 300)])


def test_opened_once_by_many_threads(slide: Path) -> None:
    opened: list[SlideReader] = []
    ready = threading.Barrier(8)

    def open_once() -> SlideReader:
        opened.append(open_slide(slide))
        return opened[-1]

    def use(_: int) -> SlideReader:
        ready.wait()
        return pool.get("a", open_once)

    pool = ReaderPool(count=4, held_bytes=10**9)
    with ThreadPoolExecutor(8) as threads:
        readers = set(threads.map(use, range(8)))
    assert len(opened) == len(readers) == 1


def test_least_recently_used_goes_first_and_stays_usable(slide: Path) -> None:
    pool = ReaderPool(count=2, held_bytes=10**9)
    first = pool.get(1, lambda: open_slide(slide))
    second = pool.get(2, lambda: open_slide(slide))
    assert pool.get(1, lambda: open_slide(slide)) is first
    pool.get(3, lambda: open_slide(slide))
    assert len(pool) == 2
    assert pool.get(1, lambda: open_slide(slide)) is first
    assert np.array_equal(second.read(0, 0, 400, 300, 1)[0], noise(400, 300))
    assert pool.get(2, lambda: open_slide(slide)) is not second


def test_memory_is_limited_too(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "plain.png"
    Image.fromarray(noise(500, 500)).save(path)  # holds 1 MB
    pool = ReaderPool(count=10, held_bytes=2_500_000)
    for key in range(5):
        pool.get(key, lambda: open_slide(path))
    assert len(pool) == 2


def test_errors_are_not_kept(tmp_path: Path, slide: Path) -> None:
    pool = ReaderPool(count=2, held_bytes=10**9)
    with pytest.raises(SlideError):
        pool.get(1, lambda: open_slide(tmp_path / "gone.svs"))
    assert len(pool) == 0
    assert pool.get(1, lambda: open_slide(slide)).width == 400


def test_discarded_reader_is_opened_again(slide: Path) -> None:
    pool = ReaderPool(count=2, held_bytes=10**9)
    first = pool.get(1, lambda: open_slide(slide))
    pool.discard(1)
    pool.discard(1)
    assert pool.get(1, lambda: open_slide(slide)) is not first
