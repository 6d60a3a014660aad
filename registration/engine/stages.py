"""The ordered, timed list of what a registration does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from registration.engine.result import OnProgress, StageReport

T = TypeVar("T")


class Stages:
    """Tells the progress before each stage, runs it, and keeps its time.

    start, end : per cent of the whole that these stages cover.
    """

    def __init__(self, on_progress: OnProgress, start: int = 0, end: int = 100) -> None:
        self._on_progress = on_progress
        self._start, self._end = start, end
        self._reports: list[StageReport] = []

    def run(self, name: str, percent: int, work: Callable[[], T]) -> T:
        """`percent` : of these stages, before this one."""
        self._on_progress(name, self._start + percent * (self._end - self._start) // 100)
        started = time.perf_counter()
        result = work()
        self._reports.append(StageReport(name, time.perf_counter() - started))
        return result

    @property
    def reports(self) -> tuple[StageReport, ...]:
        return tuple(self._reports)
