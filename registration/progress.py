"""A running job's sign of life: a thread that writes the row, and the callback that stops the job."""

from __future__ import annotations

import logging
import threading
from types import TracebackType

from django.db import Error, connection

from registration import transitions
from registration.engine.errors import Cancelled
from registration.models import Job

logger = logging.getLogger(__name__)
INTERVAL_SECONDS = 1.0


class Superseded(Exception):
    """The row was given to another attempt: this one stops without a word."""


class Pulse:
    """While the block runs, the row's heartbeat, stage and per cent are written every second."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._latest = ("starting", 0)
        self._ended = threading.Event()
        self._cancelled = threading.Event()
        self._superseded = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def on_progress(self, stage: str, percent: int) -> None:
        """For the engine to call often. Raises Cancelled when the user wants it to stop, or Superseded."""
        self._latest = (stage, percent)
        if self._superseded.is_set():
            raise Superseded
        if self._cancelled.is_set():
            raise Cancelled

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL_SECONDS):
            try:
                self._beat()
            except Error as error:  # the next beat may get through; the reaper judges by the last one
                logger.warning("no heartbeat for %s: %s", transitions.label(self._job), error)
                connection.close()  # the database may be back
        connection.close()  # this thread's own

    def _beat(self) -> None:
        if not transitions.beat(self._job, *self._latest):
            self._superseded.set()
        elif transitions.cancel_requested(self._job):
            self._cancelled.set()
