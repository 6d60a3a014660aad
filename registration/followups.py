"""What one job's end means for others; runs inside the transaction that ends it."""

from __future__ import annotations

from django.utils import timezone

from registration import requests
from registration.bell import ring
from registration.models import Job, JobStatus, PairAlignment, Registration


def after_end(job: Job) -> None:
    if isinstance(job, PairAlignment):
        _release_registrations(job)
        if requests.is_usable(job):
            requests.align_if_outdated(job)
    elif isinstance(job, Registration) and job.status == JobStatus.SUCCEEDED:
        for options in job.export_options or ():
            requests.create_archive(job, job.requested_by or job.owner, options)


def _release_registrations(alignment: PairAlignment) -> None:
    """The registrations that waited for an alignment start, or fail with it."""
    waiting = Registration.objects.filter(alignment=alignment, status=JobStatus.QUEUED)
    if requests.is_usable(alignment):
        for registration in waiting:
            ring(registration)
        return
    waiting.update(
        status=JobStatus.FAILED,
        finished_at=timezone.now(),
        error_code="alignment_failed",
        error=f"The two slides are not aligned, so this region can't be registered. {alignment.error} "
        "Repeat the alignment of the pair, then try again.",
    )
