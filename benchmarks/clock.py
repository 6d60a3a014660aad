"""Seconds that a slide's reader takes, and a process's peak memory."""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from registration.engine.source import Mask, PixelSource, Rgb
from registration.engine.synthetic import ArraySource

#: Level-0 px of a strip.
STRIP_PX = 500_000


class Clock:
    """The time during which at least one thread is inside."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside, self._since, self._lock = 0, 0.0, threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._since = time.perf_counter()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self.seconds += time.perf_counter() - self._since


@dataclass(frozen=True, eq=False)
class TimedSource:
    """A PixelSource whose reads run on `clock`. Images in memory are read in strips, as files are: in one go
    their positions alone would take more memory than a registration.
    """

    source: PixelSource
    clock: Clock = field(default_factory=Clock)

    @property
    def width(self) -> int:
        return self.source.width

    @property
    def height(self) -> int:
        return self.source.height

    @property
    def um_per_px(self) -> tuple[float, float] | None:
        return self.source.um_per_px

    def read(self, x: float, y: float, columns: int, rows: int, downsample: float) -> tuple[Rgb, Mask]:
        with self.clock:
            if not isinstance(self.source, ArraySource):
                return self.source.read(x, y, columns, rows, downsample)
            height = max(1, int(STRIP_PX / (columns * max(1.0, downsample) ** 2)))
            parts = [
                self.source.read(x, y + row * downsample, columns, min(height, rows - row), downsample)
                for row in range(0, rows, height)
            ]
            return np.concatenate([rgb for rgb, _ in parts]), np.concatenate([valid for _, valid in parts])


def forget_peak() -> None:
    """What making a case took does not count: free memory goes back to the system, the peak begins anew."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    """This process's largest resident size since it began or since `forget_peak`, children not counted."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
