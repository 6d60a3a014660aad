"""The three kinds of job and where each runs; a job is named by dotted string and never imported here."""

from __future__ import annotations

from dataclasses import dataclass

from registration.models import Archive, Job, PairAlignment, Registration


@dataclass(frozen=True)
class Kind:
    """name : in job ids and folders. queue : of settings.QUEUE_NAMES. function : the job's dotted name."""

    name: str
    model: type[Job]
    queue: str
    function: str

    def job_id(self, pk: int, attempt: int) -> str:
        return f"{self.name}-{pk}-{attempt}"


KINDS = (
    Kind("alignment", PairAlignment, "alignment", "registration.jobs.run_alignment"),
    Kind("registration", Registration, "registration", "registration.jobs.run_registration"),
    Kind("archive", Archive, "export", "registration.jobs.run_archive"),
)


def kind_of(job: Job | type[Job]) -> Kind:
    model = job if isinstance(job, type) else type(job)
    return next(kind for kind in KINDS if kind.model is model)
