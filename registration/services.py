"""The writers of registration besides the jobs: everything a user can ask for."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.utils import timezone

from registration import transitions
from registration.constraints import said_of
from registration.errors import InvalidInput
from registration.models import (
    Archive,
    Job,
    JobStatus,
    PairAlignment,
    Registration,
    Review,
)
from registration.regions import (
    create_region,
    delete_region,
    grid_box,
    move_region,
    rename_region,
    slide_of,
)
from registration.requests import (
    align_if_outdated,
    current_alignment,
    pieces_of,
    request_alignment,
    request_archive,
    request_registration,
)

__all__ = [
    "align_if_outdated",
    "cancel",
    "create_region",
    "current_alignment",
    "delete_region",
    "grid_box",
    "move_region",
    "pieces_of",
    "rename_region",
    "request_alignment",
    "request_archive",
    "request_registration",
    "retry",
    "review",
    "slide_of",
]

_REPEATABLE = (JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.REFUSED)


def cancel(job: Job) -> None:
    """Ends a queued job at once and a running one at its next report of progress. Raises InvalidInput."""
    if not transitions.cancel_queued(job) and not transitions.request_cancel(job):
        job.refresh_from_db()
        raise InvalidInput("already_ended", f"This job is {job.get_status_display()}: nothing to cancel.")
    job.refresh_from_db()


def retry(job: Job, user: User) -> Job:
    """A new row asking for the same as a failed, cancelled or refused one. Raises InvalidInput."""
    if job.status not in _REPEATABLE:
        raise InvalidInput(
            "not_repeatable",
            f"This job is {job.get_status_display()}; only a failed, cancelled or refused one can be.",
        )
    match job:
        case PairAlignment():
            reason = f"repeats version {job.version}"
            return request_alignment(job.pair, user, reason=reason, said=said_of(job))
        case Registration():
            for options in job.export_options or [None]:
                again = request_registration(
                    job.region, user, method=job.method, grid=job.grid, export_options=options
                )
            return again
        case Archive():
            return request_archive(
                job.registration,
                user,
                layout=job.layout,
                patch_size=job.patch_size,
                override_note=job.override_note,
            )
        case _:
            raise TypeError(f"{type(job).__name__} is no kind of job")


def review(registration: Registration, user: User, decision: str, note: str = "") -> Registration:
    """Records a person's verdict on a finished registration; a refused one is accepted with a note only.
    Raises InvalidInput.
    """
    if decision not in (Review.ACCEPTED, Review.REJECTED):
        raise InvalidInput("unknown_decision", f"Say accepted or rejected, not {decision!r}.", "decision")
    if decision == Review.ACCEPTED and registration.status == JobStatus.REFUSED and not note.strip():
        raise InvalidInput(
            "registration_refused",
            "This registration was refused: its pictures may not show the same tissue. "
            "To accept it all the same, say why in a note.",
            "note",
        )
    finished = Registration.objects.filter(
        pk=registration.pk, status__in=(JobStatus.SUCCEEDED, JobStatus.REFUSED)
    )
    changed = finished.update(review=decision, reviewed_by=user, reviewed_at=timezone.now(), review_note=note)
    if changed == 0:
        raise InvalidInput(
            "registration_not_finished", "Only a finished registration can be reviewed.", "registration"
        )
    registration.refresh_from_db()
    return registration
