"""Every change of a job's status: one conditional UPDATE each, so that of two processes one wins.

queued -> running -> succeeded | refused | failed | cancelled
queued -> cancelled | failed        running -> queued (the next attempt)
succeeded -> failed (its files are gone: lost.py)
"""

from __future__ import annotations

import logging
import os
import socket
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from registration import followups
from registration.bell import ring
from registration.kinds import kind_of
from registration.models import Job, JobStatus

logger = logging.getLogger(__name__)
J = TypeVar("J", bound=Job)


def rows(model: type[J]) -> QuerySet[J]:
    return model._default_manager.all()


def label(job: Job) -> str:
    return kind_of(job).job_id(job.pk, job.attempt)


def claim(model: type[J], pk: int, attempt: int) -> J | None:
    """queued -> running for exactly one caller; None for the others (a doubled delivery, a cancelled job)."""
    now = timezone.now()
    claimed = rows(model).filter(pk=pk, attempt=attempt, status=JobStatus.QUEUED)
    changed = claimed.update(
        status=JobStatus.RUNNING,
        started_at=now,
        heartbeat_at=now,
        stage="starting",
        percent=0,
        worker=f"{socket.gethostname()}:{os.getpid()}",
    )
    if changed != 1:
        return None
    job = rows(model).get(pk=pk)
    logger.info("%s started", label(job))
    return job


def beat(job: Job, stage: str, percent: int) -> bool:
    """Writes the heartbeat; False when this attempt no longer holds the row."""
    held = _same_attempt(job, JobStatus.RUNNING)
    return held.update(heartbeat_at=timezone.now(), stage=stage[:40], percent=percent) == 1


def cancel_requested(job: Job) -> bool:
    return _same_attempt(job, JobStatus.RUNNING).filter(cancel_requested=True).exists()


def finish(job: Job, status: JobStatus, **fields: Any) -> bool:
    """running -> `status`; False, and nothing changed, when this attempt no longer holds the row."""
    if status in (JobStatus.SUCCEEDED, JobStatus.REFUSED):
        fields.update(percent=100, stage="")
    return _end(job, JobStatus.RUNNING, status, fields)


def cancel_queued(job: Job) -> bool:
    """queued -> cancelled; False when it no longer waits."""
    return _end(job, JobStatus.QUEUED, JobStatus.CANCELLED, {"error_code": "", "error": ""})


def request_cancel(job: Job) -> bool:
    """Asks a running job to stop; it does so at its next report of progress."""
    running = rows(type(job)).filter(pk=job.pk, status=JobStatus.RUNNING)
    return running.update(cancel_requested=True) == 1


def requeue(job: Job, *, failed: bool = True) -> bool:
    """running -> queued as the next attempt, and rings. failed : the attempt counts against the maximum."""
    with transaction.atomic():
        changed = _same_attempt(job, JobStatus.RUNNING).update(
            status=JobStatus.QUEUED,
            attempt=job.attempt + 1,
            failures=job.failures + failed,
            queued_at=timezone.now(),
            heartbeat_at=None,
            stage="waiting to be tried again",
            percent=0,
        )
        if changed == 1:
            ring(rows(type(job)).get(pk=job.pk))
    return changed == 1


def may_try_again(job: Job) -> bool:
    return job.failures + 1 < int(settings.JOB_MAX_ATTEMPTS)


def _end(job: Job, before: JobStatus, after: JobStatus, fields: dict[str, Any]) -> bool:
    with transaction.atomic():
        changed = _same_attempt(job, before).update(status=after, finished_at=timezone.now(), **fields)
        if changed == 1:
            job.refresh_from_db()
            followups.after_end(job)
    if changed == 1:
        logger.info("%s ended: %s %s", label(job), after.value, job.error_code)
    return changed == 1


def _same_attempt(job: J, status: JobStatus) -> QuerySet[J]:
    return rows(type(job)).filter(pk=job.pk, attempt=job.attempt, status=status)
