"""The ordered, timed list of what a registration does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from registration.engine.report.recorder import NO_RECORDER, Recorder
from registration.engine.result import OnProgress, StageReport

T = TypeVar("T")
#: Called inside a stage with the share of it that is done; may raise, to stop.
Tick = Callable[[float], None]


def no_tick(fraction: float) -> None:
    """Nobody is watching."""


def _not_measured(result: object) -> float | None:
    """Most stages leave nothing that can be measured."""
    return None


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
        self._percent = (0, 0)
        self._start, self._end = start, end
        self._reports: list[StageReport] = []

    def run(
        self,
        name: str,
        percent: int,
        work: Callable[[], T],
        *,
        until: int | None = None,
        residual_px: Callable[[T], float | None] = _not_measured,
    ) -> T:
        """`percent` : of these stages, before this one; `until` : after it, for `tick`.

        residual_px : what the stage leaves, from its result, level-0 px of the fixed slide; not a number
        where there was nothing to measure.
        """
        self._name = name
        self._percent = (percent, percent if until is None else until)
        self.tick(0.0)
        started = time.perf_counter()
        result = work()
        seconds, left = time.perf_counter() - started, residual_px(result)
        known = left is not None and math.isfinite(left)
        self._reports.append(StageReport(name, seconds, left if known else None))
        return result

    def tick(self, fraction: float) -> None:
        """Tells how much of the running stage is done, 0 to 1. Lets through what the callback raises."""
        first, last = self._percent
        percent = first + (last - first) * min(1.0, max(0.0, fraction))
        self._on_progress(self._name, self._start + int(percent * (self._end - self._start)) // 100)

    def part(self, first: int, last: int) -> Stages:
        """More stages for these per cent of this one's; what they report stands with this one's."""
        width = self._end - self._start
        start, end = (self._start + percent * width // 100 for percent in (first, last))
        inner = Stages(self._on_progress, start, end, self.recorder)
        inner._reports = self._reports
        return inner

    @property
    def reports(self) -> tuple[StageReport, ...]:
        return tuple(self._reports)
