"""The life of one attempt, the same for every kind of job: claim, run, record."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.conf import settings
from django.db import OperationalError, close_old_connections
from rq.timeouts import JobTimeoutException

from registration import storage, transitions
from registration.engine.errors import Cancelled, EngineError
from registration.engine.result import OnProgress
from registration.errors import InvalidInput
from registration.models import Job, JobStatus
from registration.progress import Pulse, Superseded
from viewer.wsi.errors import SlideError

logger = logging.getLogger(__name__)
J = TypeVar("J", bound=Job)

DISK_FULL = "disk_full"
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Outcome:
    """fields : of the row, to be written with its end. refused : it ran well, and the answer is no."""

    fields: dict[str, Any]
    refused: bool = False


def run(model: type[J], pk: int, attempt: int, work: Callable[[J, OnProgress], Outcome]) -> None:
    """queued -> running -> succeeded | refused | failed | cancelled, or queued again as the next attempt.

    Safe to run twice: only one caller claims the attempt, it alone writes into the attempt's folder, and
    what an attempt that has lost its row leaves there is removed.
    """
    job = transitions.claim(model, pk, attempt)
    if job is None:
        logger.info("%s attempt %d is not waiting: nothing to do", model.__name__, attempt)
        return
    kept = False
    try:
        kept = _attempt(job, work)
    finally:
        if kept:
            storage.remove_other_attempts(job)
        else:
            storage.remove_attempt(job)


def _attempt(job: J, work: Callable[[J, OnProgress], Outcome]) -> bool:
    """Whether the attempt's output is the job's. The job boundary: the one place that catches everything."""
    try:
        with Pulse(job) as pulse:
            outcome = work(job, pulse.on_progress)
        close_old_connections()  # idle for long, and the database may have been started anew
        status = JobStatus.REFUSED if outcome.refused else JobStatus.SUCCEEDED
        return transitions.finish(job, status, **outcome.fields)
    except JobTimeoutException:
        _fail(job, "timeout", _timeout_message())
        raise
    except Exception as error:
        if not _ended_as_foreseen(job, error):
            logger.exception("%s failed unexpectedly", transitions.label(job))
            _fail(job, "internal_error", _unexpected_message(job))
            raise
    return False


def _ended_as_foreseen(job: Job, error: Exception) -> bool:
    """Records an end that can be explained to the user; False for all others."""
    match error:
        case Superseded():
            logger.warning("%s was given to another attempt", transitions.label(job))
        case Cancelled():
            transitions.finish(job, JobStatus.CANCELLED)
        case EngineError():
            _fail_or_try_again(job, error)
        case SlideError() | InvalidInput():
            _fail(job, error.code, error.message)
        case OperationalError():  # the database was away: the next attempt may find it
            close_old_connections()
            return transitions.may_try_again(job) and transitions.requeue(job)
        case OSError() if error.errno in _FULL:
            _fail(job, DISK_FULL, "The disk is full. Free some space, then try again.")
        case _:
            return False
    return True


def _fail(job: Job, code: str, message: str) -> None:
    transitions.finish(job, JobStatus.FAILED, error_code=code[:40], error=message)


def _fail_or_try_again(job: Job, error: EngineError) -> None:
    """A full disk is not tried again by itself: nobody clears it within a second."""
    passing = not error.permanent and error.code != DISK_FULL
    if not (passing and transitions.may_try_again(job) and transitions.requeue(job)):
        _fail(job, error.code, error.message)


def _unexpected_message(job: Job) -> str:
    return (
        "Something unexpected went wrong on our side. Try again; if it happens again, tell your "
        f"administrator: the log has the details of {transitions.label(job)}."
    )


def _timeout_message() -> str:
    minutes = settings.JOB_TIMEOUT_SECONDS / 60
    return (
        f"The job was stopped after {minutes:g} minutes, the longest it may take. Choose a smaller region, "
        "or let your administrator raise SLIDEPAIR_JOB_TIMEOUT."
    )
