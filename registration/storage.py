"""Where attempts leave their output: <DATA_DIR>/<kind>s/<pk>/<attempt>/, each attempt its own folder."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import transaction

from registration.kinds import kind_of
from registration.models import Job


def job_folder(job: Job) -> Path:
    return Path(settings.DATA_DIR) / f"{kind_of(job).name}s" / str(job.pk)


def attempt_folder(job: Job) -> Path:
    return job_folder(job) / str(job.attempt)


def relative(path: Path) -> str:
    """As it is kept in the database: relative to DATA_DIR."""
    return path.relative_to(settings.DATA_DIR).as_posix()


def remove_attempt(job: Job) -> None:
    """The attempt's output; with all of the job's where its row was deleted meanwhile."""
    is_kept = type(job)._default_manager.filter(pk=job.pk).exists()
    shutil.rmtree(attempt_folder(job) if is_kept else job_folder(job), ignore_errors=True)


def remove_other_attempts(job: Job) -> None:
    """What earlier attempts, killed half-way, left behind."""
    folder = job_folder(job)
    for other in folder.iterdir() if folder.is_dir() else ():
        if other.name != str(job.attempt):
            shutil.rmtree(other, ignore_errors=True)


def remove_all(job: Job) -> None:
    """Everything of a row that is being deleted, once the deletion is committed."""
    transaction.on_commit(partial(shutil.rmtree, job_folder(job), ignore_errors=True))
