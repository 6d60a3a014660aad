"""The ordered, timed list of what a registration does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from registration.engine.report.recorder import NO_RECORDER, Recorder
from registration.engine.result import OnProgress, StageReport
from registration.engine.source import Rgb

T = TypeVar("T")


class Stages:
    """Tells the progress before each stage, runs it, and keeps its time.

    start, end : per cent of the whole that these stages cover. recorder : takes the stages' pictures.
    """

    def __init__(
        self, on_progress: OnProgress, start: int = 0, end: int = 100, recorder: Recorder = NO_RECORDER
    ) -> None:
        self._on_progress = on_progress
        self.recorder = recorder
        self._name = ""
        self._start, self._end = start, end
        self._reports: list[StageReport] = []

    def run(self, name: str, percent: int, work: Callable[[], T]) -> T:
        """`percent` : of these stages, before this one."""
        self._on_progress(name, self._start + percent * (self._end - self._start) // 100)
        self._name = name
        started = time.perf_counter()
        result = work()
        self._reports.append(StageReport(name, time.perf_counter() - started))
        return result

    def picture(self, name: str, make: Callable[[], Rgb], caption: str = "") -> None:
        """A picture of the stage that runs or has just run; `make` is called only if a report is wanted."""
        self.recorder.picture(self._name, name, make, caption)

    @property
    def reports(self) -> tuple[StageReport, ...]:
        return tuple(self._reports)
