"""One attempt, from claim to record: who wins, which end is recorded, what is left on the disk."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from rq.timeouts import JobTimeoutException

from registration import services, storage, transitions
from registration.engine.errors import EngineError
from registration.engine.result import OnProgress
from registration.errors import InvalidInput
from registration.lifecycle import Outcome, run
from registration.models import Archive, JobStatus, PairAlignment, RegionOfInterest, Registration
from tests.processes import wait_until
from tests.registration.conftest import new_registration
from viewer.models import SlidePair
from viewer.wsi.errors import SlideError

pytestmark = pytest.mark.django_db(transaction=True)

WELL = Outcome({"verdict": "good", "metrics": {"box": [0, 0, 1024, 2048]}, "folder": "somewhere"})


def leave_a_file(job: Registration) -> Path:
    folder = storage.attempt_folder(job)
    folder.mkdir(parents=True)
    (folder / "transform.json").write_text("{}")
    return folder


def writes_and_succeeds(job: Registration, on_progress: OnProgress) -> Outcome:
    leave_a_file(job)
    return WELL


def test_success_is_recorded_with_its_fields(queued: Registration) -> None:
    run(Registration, queued.pk, 1, writes_and_succeeds)
    queued.refresh_from_db()
    assert (queued.status, queued.verdict, queued.percent) == (JobStatus.SUCCEEDED, "good", 100)
    assert queued.started_at is not None
    assert queued.finished_at is not None
    assert storage.attempt_folder(queued).is_dir()


def test_a_doubled_delivery_does_nothing(queued: Registration) -> None:
    calls = []

    def counts(job: Registration, on_progress: OnProgress) -> Outcome:
        calls.append(job.pk)
        run(Registration, job.pk, 1, counts)  # while it runs
        return WELL

    run(Registration, queued.pk, 1, counts)
    run(Registration, queued.pk, 1, counts)  # after it ended
    run(Registration, queued.pk, 2, counts)  # an attempt that was never made
    run(Registration, queued.pk + 1000, 1, counts)  # a row that is gone
    assert calls == [queued.pk]


def test_of_many_simultaneous_claims_one_wins(queued: Registration) -> None:
    start, won = threading.Barrier(8), []

    def claims() -> None:
        start.wait()
        if transitions.claim(Registration, queued.pk, 1) is not None:
            won.append(threading.current_thread())
        connection.close()

    threads = [threading.Thread(target=claims) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_refused_result_is_kept_but_not_exported(
    region: RegionOfInterest, alignment: PairAlignment
) -> None:
    job = new_registration(region, alignment, export_options=[{"layout": "native", "patch_size": 256}])

    def refuses(job: Registration, on_progress: OnProgress) -> Outcome:
        leave_a_file(job)
        return Outcome({"verdict": "refused"}, refused=True)

    run(Registration, job.pk, 1, refuses)
    job.refresh_from_db()
    assert job.status == JobStatus.REFUSED
    assert storage.attempt_folder(job).is_dir()
    assert not Archive.objects.exists()


def test_success_asks_for_the_archives_that_were_wished(
    region: RegionOfInterest, alignment: PairAlignment
) -> None:
    wishes = [{"layout": "roialign", "patch_size": 64}, {"layout": "native", "patch_size": 128}]
    job = new_registration(region, alignment, export_options=wishes)
    run(Registration, job.pk, 1, writes_and_succeeds)
    made = Archive.objects.filter(registration=job, status=JobStatus.QUEUED, owner=job.owner)
    assert list(made.order_by("pk").values("layout", "patch_size")) == wishes


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            EngineError("no_overlap", "The slides share no tissue."),
            "no_overlap",
            "The slides share no tissue.",
        ),
        (SlideError("truncated", "he.svs ends early."), "truncated", "he.svs ends early."),
        (InvalidInput("gone", "The slide is gone.", "pair"), "gone", "The slide is gone."),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full", "Free some space"),
        (EngineError("disk_full", "The disk is full.", permanent=False), "disk_full", "The disk is full."),
    ],
)
def test_a_foreseen_error_is_told_and_leaves_nothing(
    queued: Registration, error: Exception, code: str, message: str
) -> None:
    def fails(job: Registration, on_progress: OnProgress) -> Outcome:
        leave_a_file(job)
        raise error

    run(Registration, queued.pk, 1, fails)
    queued.refresh_from_db()
    assert (queued.status, queued.error_code, queued.attempt) == (JobStatus.FAILED, code, 1)
    assert message in queued.error
    assert not storage.attempt_folder(queued).exists()


def test_an_unforeseen_error_is_raised_and_told_without_its_details(queued: Registration) -> None:
    def breaks(job: Registration, on_progress: OnProgress) -> Outcome:
        leave_a_file(job)
        raise ZeroDivisionError("secret detail")

    with pytest.raises(ZeroDivisionError):
        run(Registration, queued.pk, 1, breaks)
    queued.refresh_from_db()
    assert (queued.status, queued.error_code) == (JobStatus.FAILED, "internal_error")
    assert "secret detail" not in queued.error
    assert not storage.attempt_folder(queued).exists()


def test_a_timeout_is_told_and_not_swallowed(queued: Registration) -> None:
    def takes_too_long(job: Registration, on_progress: OnProgress) -> Outcome:
        raise JobTimeoutException("Task exceeded maximum timeout value (3600 seconds)")

    with pytest.raises(JobTimeoutException):
        run(Registration, queued.pk, 1, takes_too_long)
    queued.refresh_from_db()
    assert (queued.status, queued.error_code) == (JobStatus.FAILED, "timeout")
    assert "60 minutes" in queued.error


def test_a_passing_error_is_tried_again_until_the_maximum(queued: Registration) -> None:
    attempts = []

    def fails(job: Registration, on_progress: OnProgress) -> Outcome:
        attempts.append(job.attempt)
        raise EngineError("share_gone", "The file share does not answer.", permanent=False)

    assert transitions.claim(Registration, queued.pk, 1)
    assert transitions.requeue(transitions.rows(Registration).get(pk=queued.pk), failed=False)  # not counted
    for attempt in (2, 3, 4, 5):
        run(Registration, queued.pk, attempt, fails)
    queued.refresh_from_db()
    assert attempts == [2, 3, 4]
    assert (queued.status, queued.error_code) == (JobStatus.FAILED, "share_gone")


def test_a_database_that_was_away_is_tried_again_and_the_third_time_told(queued: Registration) -> None:
    def fails(job: Registration, on_progress: OnProgress) -> Outcome:
        raise OperationalError("server closed the connection unexpectedly")

    for attempt in (1, 2):
        run(Registration, queued.pk, attempt, fails)
    with pytest.raises(OperationalError):
        run(Registration, queued.pk, 3, fails)
    queued.refresh_from_db()
    assert (queued.status, queued.attempt, queued.error_code) == (JobStatus.FAILED, 3, "internal_error")
    assert "server closed" not in queued.error


def test_cancelling_a_queued_job_ends_it_before_it_starts(queued: Registration) -> None:
    services.cancel(queued)
    assert queued.status == JobStatus.CANCELLED
    run(Registration, queued.pk, 1, writes_and_succeeds)
    queued.refresh_from_db()
    assert queued.status == JobStatus.CANCELLED
    assert not storage.attempt_folder(queued).exists()
    with pytest.raises(InvalidInput) as caught:
        services.cancel(queued)
    assert caught.value.code == "already_ended"


def test_a_running_job_is_cancelled_at_its_next_report(queued: Registration) -> None:
    def works_until_cancelled(job: Registration, on_progress: OnProgress) -> Outcome:
        leave_a_file(job)
        services.cancel(Registration.objects.get(pk=job.pk))
        wait_until(lambda: on_progress("coarse", 20), "the cancellation")
        return WELL

    run(Registration, queued.pk, 1, works_until_cancelled)
    queued.refresh_from_db()
    assert (queued.status, queued.error) == (JobStatus.CANCELLED, "")
    assert not storage.attempt_folder(queued).exists()


def test_the_heartbeat_carries_stage_and_percent(queued: Registration) -> None:
    def reports(job: Registration, on_progress: OnProgress) -> Outcome:
        on_progress("level-0 field", 42)

        def written() -> bool:
            row = Registration.objects.get(pk=job.pk)
            return (row.stage, row.percent) == ("level-0 field", 42) and row.heartbeat_at != job.heartbeat_at

        wait_until(written, "the heartbeat")
        return WELL

    run(Registration, queued.pk, 1, reports)


def test_an_attempt_that_lost_its_row_changes_nothing_and_cleans_up(queued: Registration) -> None:
    def loses(job: Registration, on_progress: OnProgress) -> Outcome:
        leave_a_file(job)
        assert transitions.requeue(job)  # as the reaper does when the machine was asleep
        return WELL

    run(Registration, queued.pk, 1, loses)
    queued.refresh_from_db()
    assert (queued.status, queued.attempt, queued.verdict) == (JobStatus.QUEUED, 2, "")
    assert not (storage.job_folder(queued) / "1").exists()
    run(Registration, queued.pk, 2, writes_and_succeeds)
    queued.refresh_from_db()
    assert queued.status == JobStatus.SUCCEEDED
    assert [folder.name for folder in storage.job_folder(queued).iterdir()] == ["2"]


def test_an_attempt_that_lost_its_row_stops_at_its_next_report(queued: Registration) -> None:
    stopped = []

    def loses(job: Registration, on_progress: OnProgress) -> Outcome:
        assert transitions.requeue(job)
        try:
            wait_until(lambda: on_progress("coarse", 20), "the loss to be noticed")
        finally:
            stopped.append(job.pk)
        return WELL

    run(Registration, queued.pk, 1, loses)
    queued.refresh_from_db()
    assert stopped == [queued.pk]
    assert (queued.status, queued.attempt) == (JobStatus.QUEUED, 2)


def test_success_removes_what_a_killed_attempt_left(queued: Registration) -> None:
    leave_a_file(queued)  # attempt 1, killed after its folder was complete
    Registration.objects.filter(pk=queued.pk).update(attempt=2)
    run(Registration, queued.pk, 2, writes_and_succeeds)
    assert [folder.name for folder in storage.job_folder(queued).iterdir()] == ["2"]


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
def test_registrations_end_with_the_alignment_they_wait_for(
    region: RegionOfInterest, pair: SlidePair, status: JobStatus
) -> None:
    waiting = services.request_registration(region, pair.owner)
    if status == JobStatus.CANCELLED:
        services.cancel(waiting.alignment)
    else:

        def fails(job: PairAlignment, on_progress: OnProgress) -> Outcome:
            raise SlideError("not_found", "he.tiff is not there any more.")

        run(PairAlignment, waiting.alignment.pk, 1, fails)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.error_code) == (JobStatus.FAILED, "alignment_failed")
    assert status == JobStatus.CANCELLED or "he.tiff is not there any more." in waiting.error
