"""Finished work whose files are gone: it counts as failed, so that it can be asked for again."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from django.conf import settings

from registration.models import Archive, JobStatus, Registration

J = TypeVar("J", Registration, Archive)
_MESSAGE = "Its files are no longer on the server. Ask for it again."


def unless_lost(job: J | None) -> J | None:
    """`job`; None, and recorded as failed, where it has succeeded and its files are gone."""
    if job is None or job.status != JobStatus.SUCCEEDED or has_files(job):
        return job
    kept = type(job)._default_manager.filter(pk=job.pk, status=JobStatus.SUCCEEDED)
    kept.update(status=JobStatus.FAILED, error_code="files_gone", error=_MESSAGE)
    return None


def has_files(job: Registration | Archive) -> bool:
    """Whether what the row names is on the disk (True where it names nothing)."""
    name = job.file if isinstance(job, Archive) else job.folder
    return not name or (Path(settings.DATA_DIR) / name).exists()
