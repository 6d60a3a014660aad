"""Giving back what a dead process held: stale attempts, and queued rows that Redis has lost."""

from __future__ import annotations

import logging
from datetime import timedelta

import redis
from django.conf import settings
from django.utils import timezone

from registration import followups, transitions
from registration.bell import known_ids, ring
from registration.kinds import KINDS, Kind
from registration.models import Job, JobStatus, PairAlignment, Registration
from registration.requests import is_usable

logger = logging.getLogger(__name__)
RING_AGAIN_SECONDS = 5


def sweep() -> None:
    """One round of the reaper. Safe beside workers and other reapers: every change is conditional."""
    for kind in KINDS:
        _recover_stale(kind)
        _ring_again(kind)
    _release_waiting()


def recover(job: Job) -> None:
    """Ends an attempt whose process is dead: cancelled if that was wanted, else tried again or failed."""
    if job.cancel_requested:
        transitions.finish(job, JobStatus.CANCELLED)
    elif transitions.may_try_again(job):
        if transitions.requeue(job):
            logger.warning("%s died; it is tried again", transitions.label(job))
    else:
        transitions.finish(
            job,
            JobStatus.FAILED,
            error_code="worker_died",
            error=f"The job was stopped from outside {job.failures + 1} times, most likely because memory "
            "ran out. Choose a smaller region, or let your administrator look at the workers.",
        )


def give_back(job: Job) -> None:
    """Ends an attempt whose worker was asked to stop: no fault of the job's, so it does not count."""
    if job.cancel_requested:
        transitions.finish(job, JobStatus.CANCELLED)
    elif transitions.requeue(job, failed=False):
        logger.info("%s is given back", transitions.label(job))


def _recover_stale(kind: Kind) -> None:
    limit = timezone.now() - timedelta(seconds=settings.JOB_STALE_SECONDS)
    stale = transitions.rows(kind.model).filter(status=JobStatus.RUNNING, heartbeat_at__lt=limit)
    for job in stale:
        recover(job)


def _ring_again(kind: Kind) -> None:
    """Queued rows that Redis does not know: lost with it, or its ring never came through."""
    limit = timezone.now() - timedelta(seconds=RING_AGAIN_SECONDS)
    queued = transitions.rows(kind.model).filter(status=JobStatus.QUEUED, queued_at__lt=limit)
    waiting = [job for job in queued.order_by("queued_at") if _waits_for_a_worker(job)]
    if not waiting:
        return
    try:
        known = known_ids(kind)
    except redis.RedisError as error:
        logger.warning("Redis does not answer: %s", error)
        return
    for job in waiting:
        if transitions.label(job) not in known:
            logger.warning("%s was not in Redis; it is put there again", transitions.label(job))
            ring(job)


def _waits_for_a_worker(job: Job) -> bool:
    """A registration may wait for its alignment instead."""
    return not isinstance(job, Registration) or is_usable(job.alignment)


def _release_waiting() -> None:
    """Registrations left behind by an alignment that ended in the moment they were made."""
    ended = PairAlignment.objects.filter(
        status__in=(JobStatus.FAILED, JobStatus.CANCELLED), registrations__status=JobStatus.QUEUED
    )
    for alignment in ended.distinct():
        followups.after_end(alignment)
