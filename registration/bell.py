"""Ringing Redis for a queued row. Rings may be lost or doubled: the row decides, the reaper rings again."""

from __future__ import annotations

import logging
import time
from typing import Any

import django_rq
import redis
from django.db import transaction

from registration.kinds import Kind, kind_of
from registration.models import Job

logger = logging.getLogger(__name__)


def ring(job: Job) -> None:
    """Enqueues the row's current attempt once the open transaction has committed."""
    kind, pk, attempt = kind_of(job), job.pk, job.attempt
    transaction.on_commit(lambda: _enqueue(kind, pk, attempt))


def _enqueue(kind: Kind, pk: int, attempt: int) -> None:
    job_id = kind.job_id(pk, attempt)
    try:
        django_rq.get_queue(kind.queue).enqueue(
            kind.function, pk, attempt, job_id=job_id, result_ttl=0, failure_ttl=3600
        )
    except redis.RedisError as error:
        logger.warning("%s waits in the database until Redis answers: %s", job_id, error)


def known_ids(kind: Kind) -> set[str]:
    """The ids of the jobs that wait in Redis or were just taken by a living worker, whose row may still say
    queued while its process starts. Raises redis.RedisError."""
    queue = django_rq.get_queue(kind.queue)
    taken = queue.started_job_registry
    living: Any = queue.connection.zrangebyscore(taken.key, time.time(), "+inf")
    return set(queue.get_job_ids()) | {taken.parse_job_id(entry) for entry in living}
