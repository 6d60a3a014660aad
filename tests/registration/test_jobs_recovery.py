"""The reaper: stale attempts are tried again, and what Redis has lost is rung again."""

from __future__ import annotations

import time
from datetime import timedelta

import django_rq
import pytest
from django.utils import timezone

from registration import bell, recovery, services, transitions
from registration.kinds import KINDS, kind_of
from registration.models import Job, JobStatus, PairAlignment, RegionOfInterest, Registration
from tests.processes import ManagedProcess

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


def claim_and_die(job: Registration, seconds_ago: float = 60) -> Registration:
    """As a worker that was killed leaves the row."""
    claimed = transitions.claim(Registration, job.pk, job.attempt)
    assert claimed is not None
    Registration.objects.filter(pk=job.pk).update(
        heartbeat_at=timezone.now() - timedelta(seconds=seconds_ago)
    )
    return claimed


def in_redis(job: Job) -> bool:
    return transitions.label(job) in bell.known_ids(kind_of(job))


def age(job: Job, seconds: float = 60) -> None:
    transitions.rows(type(job)).filter(pk=job.pk).update(
        queued_at=timezone.now() - timedelta(seconds=seconds)
    )


def test_a_stale_attempt_is_queued_again_as_the_next(queued: Registration) -> None:
    claim_and_die(queued)
    recovery.sweep()
    queued.refresh_from_db()
    assert (queued.status, queued.attempt, queued.heartbeat_at) == (JobStatus.QUEUED, 2, None)
    assert in_redis(queued)
    recovery.sweep()
    queued.refresh_from_db()
    assert queued.attempt == 2


def test_a_living_attempt_is_left_alone(queued: Registration) -> None:
    claim_and_die(queued, seconds_ago=5)
    recovery.sweep()
    queued.refresh_from_db()
    assert (queued.status, queued.attempt) == (JobStatus.RUNNING, 1)


def test_the_last_attempt_fails_with_a_reason(queued: Registration) -> None:
    for _ in range(3):
        queued.refresh_from_db()
        claim_and_die(queued)
        recovery.sweep()
    queued.refresh_from_db()
    assert (queued.status, queued.attempt, queued.error_code) == (JobStatus.FAILED, 3, "worker_died")
    assert "3 times" in queued.error


def test_a_stale_attempt_that_was_to_be_cancelled_is(queued: Registration) -> None:
    claim_and_die(queued)
    services.cancel(queued)
    recovery.sweep()
    queued.refresh_from_db()
    assert queued.status == JobStatus.CANCELLED


@pytest.mark.parametrize(("lease", "rung"), [(30, False), (-1, True)])
def test_a_row_that_a_worker_just_took_is_rung_again_only_when_the_worker_is_gone(
    queued: Registration, lease: int, rung: bool
) -> None:
    queue = django_rq.get_queue(kind_of(queued).queue)
    queue.connection.delete(queue.key)
    taken = queue.started_job_registry.key
    queue.connection.zadd(taken, {f"{transitions.label(queued)}:run": time.time() + lease})
    age(queued)
    recovery.sweep()
    assert (transitions.label(queued) in queue.get_job_ids()) is rung


def test_every_queued_row_is_rung_again_when_redis_has_lost_it(
    region: RegionOfInterest, alignment: PairAlignment
) -> None:
    registration = services.request_registration(region, region.owner)
    Registration.objects.filter(pk=registration.pk).update(
        status=JobStatus.SUCCEEDED, metrics={"box": [0, 0, 1024, 2048]}
    )
    registration.refresh_from_db()
    jobs: list[Job] = [
        services.request_archive(registration, region.owner),
        services.request_registration(region, region.owner, method="rigid"),
        services.request_alignment(region.pair, region.owner),
    ]
    assert {kind_of(job) for job in jobs} == set(KINDS)
    assert all(in_redis(job) for job in jobs)
    django_rq.get_connection("export").flushall()
    recovery.sweep()
    assert not any(in_redis(job) for job in jobs)  # too young: their ring may be on its way
    for job in jobs:
        age(job)
    recovery.sweep()
    recovery.sweep()
    for job in jobs:
        ids = django_rq.get_queue(kind_of(job).queue).get_job_ids()
        assert ids.count(transitions.label(job)) == 1


def test_a_registration_that_waits_for_its_alignment_is_not_rung(region: RegionOfInterest) -> None:
    waiting = services.request_registration(region, region.owner)
    age(waiting)
    recovery.sweep()
    assert not in_redis(waiting)
    assert in_redis(waiting.alignment)
    claimed = transitions.claim(PairAlignment, waiting.alignment.pk, 1)
    assert claimed is not None
    assert transitions.finish(claimed, JobStatus.SUCCEEDED)
    assert in_redis(waiting)


def test_a_registration_left_behind_by_a_failed_alignment_fails(region: RegionOfInterest) -> None:
    waiting = services.request_registration(region, region.owner)
    PairAlignment.objects.update(status=JobStatus.FAILED)  # as if it ended between look and insert
    recovery.sweep()
    waiting.refresh_from_db()
    assert (waiting.status, waiting.error_code) == (JobStatus.FAILED, "alignment_failed")


def test_a_request_survives_that_redis_is_away(
    region: RegionOfInterest,
    alignment: PairAlignment,
    redis_server: ManagedProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from django_rq.settings import QUEUES

    monkeypatch.setitem(QUEUES["registration"], "URL", "unix:///nowhere/redis.sock")
    made = services.request_registration(region, region.owner)
    monkeypatch.undo()
    age(made)
    recovery.sweep()
    assert in_redis(made)
