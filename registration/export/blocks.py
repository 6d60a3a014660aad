"""A region's patches in bounded pieces: read once a block, worked on by two threads, given in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Box
from registration.engine.patches import Patch, PatchGrid

#: Level-0 px a side that are read and warped at a time (a single patch may be larger).
BLOCK = 1024
_THREADS = 2

Pixel = TypeVar("Pixel", bound=np.generic)
Item = TypeVar("Item")
Made = TypeVar("Made")


def blocks(grid: PatchGrid) -> Iterator[tuple[Box, tuple[Patch, ...]]]:
    """The grid's patches in groups of about BLOCK px a side, with the box that holds each group."""
    per_block = max(1, BLOCK // grid.patch_size)

    def block_of(patch: Patch) -> tuple[int, int]:
        return patch.row // per_block, patch.col // per_block

    for _, group in groupby(sorted(grid.patches(), key=block_of), key=block_of):
        patches = tuple(group)
        first, last = patches[0].box, patches[-1].box
        yield Box(first.x, first.y, last.right - first.x, last.bottom - first.y), patches


def cut(pixels: NDArray[Pixel], block: Box, box: Box) -> NDArray[Pixel]:
    """The pixels (or mask) of `box` out of those of `block`, which holds it."""
    x, y = box.x - block.x, box.y - block.y
    return pixels[y : y + box.height, x : x + box.width]


def in_order(make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """make(item) of every item, in order, two at a time and never more than three ahead of the consumer."""
    pending: deque[Future[Made]] = deque()
    pool = ThreadPoolExecutor(_THREADS)
    try:
        for item in items:
            pending.append(pool.submit(make, item))
            if len(pending) > _THREADS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
