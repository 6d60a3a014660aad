"""Jobs as rows of a page: what each is about, where it leads, and what to say of its state."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from registration.models import LIVE, Archive, Job, JobStatus, PairAlignment, Registration

SHOWN = 50
VERDICTS = {"good": "✓ Good", "check": "! Check", "refused": "✕ Refused"}
_ROUTES: dict[type[Job], str] = {
    PairAlignment: "alignment-api-detail",
    Registration: "registration-api-detail",
    Archive: "archive-api-detail",
}
_RELATED: dict[type[Job], tuple[str, ...]] = {
    PairAlignment: ("pair",),
    Registration: ("region__pair",),
    Archive: ("registration__region__pair",),
}


@dataclass(frozen=True)
class JobRow:
    job: Job
    title: str
    href: str
    api_url: str

    @property
    def state(self) -> str:
        """The verdict's sign and word where there is one, else the status."""
        verdict = VERDICTS.get(getattr(self.job, "verdict", ""))
        return verdict or self.job.get_status_display()

    @property
    def stage(self) -> str:
        if self.job.status == JobStatus.QUEUED:
            return "Waiting for a worker"
        return f"{self.job.stage} · {self.job.percent} %" if self.job.status == JobStatus.RUNNING else ""

    @property
    def explanation(self) -> str:
        """Why it failed or was refused."""
        return in_print(self.job.error) or reasons_text(self.job)


def reasons_text(job: Job) -> str:
    return in_print(" ".join(reason["message"] for reason in getattr(job, "reasons", [])))


def in_print(text: str) -> str:
    """The engine writes um, which every terminal shows; a page writes µm."""
    return re.sub(r"\bum\b", "µm", text)


def job_row(job: Job) -> JobRow:
    return JobRow(job, _title(job), _href(job), reverse(_ROUTES[type(job)], args=[job.pk]))


def rows(user: Any) -> list[JobRow]:
    """The newest jobs of all kinds that `user` may see."""
    return _newest(user, SHOWN)


def live_rows(user: Any) -> list[JobRow]:
    """Those that wait or run."""
    return _newest(user, SHOWN, status__in=LIVE)


def _newest(user: Any, count: int, **conditions: Any) -> list[JobRow]:
    found: list[Job] = []
    for model, related in _RELATED.items():
        visible = model._default_manager.visible_to(user)  # type: ignore[attr-defined]
        found += visible.filter(**conditions).select_related(*related).order_by("-pk")[:count]
    newest = sorted(found, key=lambda job: job.queued_at, reverse=True)[:count]
    return [job_row(job) for job in newest]


def region_name(registration: Registration) -> str:
    return registration.region.name or f"Region {registration.region_id}"


def _title(job: Job) -> str:
    match job:
        case PairAlignment():
            return f"Alignment {job.version} of {job.pair.name}"
        case Registration():
            return f"{region_name(job)} of {job.region.pair.name}, {job.method}"
        case Archive():
            kind = f"{job.patch_size} px patches, {job.get_layout_display()} layout"
            return f"Archive of {region_name(job.registration)}, {kind}"
    raise TypeError(f"{type(job).__name__} is no kind of job")


def _href(job: Job) -> str:
    match job:
        case PairAlignment():
            return reverse("pair", args=[job.pair_id])
        case Archive():
            return reverse("registration", args=[job.registration_id])
    return reverse("registration", args=[job.pk])
