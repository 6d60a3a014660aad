"""RQ's forking worker, made to lose nothing: see docs/adr/0004-durable-jobs.md for what plain RQ does."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django_rq
import redis
from django.conf import settings
from django.db import connections
from rq import Queue, Worker
from rq.job import Job as RqJob

from registration import recovery, transitions
from registration.kinds import KINDS
from registration.models import JobStatus
from registration.orphans import die_with_parent

logger = logging.getLogger(__name__)
LEASE_SECONDS = 20  # how long Redis counts a job as taken after its worker's last sign of life


class SlideWorker(Worker):
    """Short leases; its child dies with it; a child that is killed gives its row back at once."""

    max_connection_wait_time = 5.0

    def __init__(self) -> None:
        queues = [django_rq.get_queue(name) for name in settings.QUEUE_NAMES]
        super().__init__(
            queues,
            connection=queues[0].connection,
            job_monitoring_interval=5,
            maintenance_interval=10,
            worker_ttl=30,
        )

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        super().bootstrap(*args, **kwargs)
        logger.info("worker %s waits for jobs", self.name)

    def get_heartbeat_ttl(self, job: RqJob) -> int:
        return LEASE_SECONDS

    def fork_work_horse(self, job: RqJob, queue: Queue) -> None:
        connections.close_all()  # a database connection must not be shared with the child
        self._parent = os.getpid()
        super().fork_work_horse(job, queue)

    def main_work_horse(self, job: RqJob, queue: Queue) -> None:
        die_with_parent(self._parent)
        _limit_threads()
        super().main_work_horse(job, queue)

    def maintain_heartbeats(self, job: RqJob) -> None:
        """A Redis that is away for a moment does not end the job that runs."""
        with _redis_may_be_away(job.id):
            super().maintain_heartbeats(job)

    def set_current_job_working_time(self, *args: Any, **kwargs: Any) -> None:
        """RQ writes it before each heartbeat and after the end of the child."""
        with _redis_may_be_away(self.name):
            super().set_current_job_working_time(*args, **kwargs)

    def handle_warm_shutdown_request(self) -> None:
        """Asked to stop: the running job is given back to the next worker instead of being waited for."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        if self.horse_pid:
            self.kill_horse()

    def handle_work_horse_killed(self, job: RqJob, retpid: Any, ret_val: Any, rusage: Any) -> None:
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]
        kind = next(kind for kind in KINDS if kind.function == job.func_name)
        pk, attempt = job.args
        held = transitions.rows(kind.model).filter(pk=pk, attempt=attempt, status=JobStatus.RUNNING)
        end = recovery.give_back if self._shutdown_requested_date else recovery.recover
        for row in held:
            end(row)


@contextmanager
def _redis_may_be_away(name: str) -> Iterator[None]:
    try:
        yield
    except redis.ConnectionError as error:
        logger.warning("%s can't tell Redis that it lives: %s", name, error)


def _limit_threads() -> None:
    import cv2  # only in the child: see the decision record

    cv2.setNumThreads(settings.JOB_THREADS)
