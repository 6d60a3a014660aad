"""What is deleted takes its files along, whoever deletes it and whatever runs meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from config.api_errors import handle
from registration import services, storage
from registration.engine.result import OnProgress
from registration.errors import InvalidInput
from registration.lifecycle import Outcome, run
from registration.models import Archive, JobStatus, Registration
from viewer.models import Slide, SlidePair
from viewer.thumbnails import thumbnail_path

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


@pytest.fixture
def finished(queued: Registration) -> Registration:
    Registration.objects.update(status=JobStatus.SUCCEEDED)
    Archive.objects.create(registration=queued, owner=queued.owner, status=JobStatus.SUCCEEDED)
    queued.refresh_from_db()
    return queued


@pytest.fixture
def folders(finished: Registration) -> list[Path]:
    """Those of a registration and of its archive."""
    attempts = [storage.attempt_folder(job) for job in (finished, finished.archives.get())]
    for folder in attempts:
        folder.mkdir(parents=True)
        (folder / "result").write_text("pixels")
    return [folder.parent for folder in attempts]


def are_there(paths: list[Path]) -> list[bool]:
    return [path.exists() for path in paths]


def test_a_region_takes_its_files_along(finished: Registration, folders: list[Path]) -> None:
    services.delete_region(finished.region)
    assert are_there(folders) == [False, False]


def test_files_stay_where_the_deletion_comes_to_nothing(finished: Registration, folders: list[Path]) -> None:
    with transaction.atomic():
        services.delete_region(finished.region)
        transaction.set_rollback(True)
    assert are_there(folders) == [True, True]
    Archive.objects.update(status=JobStatus.RUNNING)
    with pytest.raises(InvalidInput, match="under way"):
        services.delete_region(finished.region)
    assert are_there(folders) == [True, True]


def test_an_administrator_deletes_a_pair_and_then_its_slides(
    finished: Registration, folders: list[Path], admin_user: User, client: Client
) -> None:
    pictures = [thumbnail_path(slide.fingerprint) for slide in Slide.objects.all()]
    for picture in pictures:
        picture.parent.mkdir(exist_ok=True)
        picture.write_bytes(b"jpeg")
    client.force_login(admin_user)
    _delete(client, "slidepair", SlidePair)
    assert are_there([*folders, *pictures]) == [False, False, True, True]
    _delete(client, "slide", Slide)
    assert are_there(pictures) == [False, False]


def _delete(client: Client, name: str, model: Any) -> None:
    chosen = list(model.objects.values_list("pk", flat=True))
    form = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    assert client.post(f"/admin/viewer/{name}/", form).status_code == 302
    assert not model.objects.exists()


def test_a_job_whose_row_is_deleted_while_it_runs_leaves_nothing(queued: Registration) -> None:
    def outlives_its_row(job: Registration, on_progress: OnProgress) -> Outcome:
        Registration.objects.all().delete()
        storage.attempt_folder(job).mkdir(parents=True)
        return Outcome({})

    run(Registration, queued.pk, 1, outlives_its_row)
    assert not storage.job_folder(queued).exists()


def test_the_api_says_not_found_of_a_row_deleted_in_the_meantime() -> None:
    response = handle(Registration.DoesNotExist(), {})
    assert response is not None
    assert (response.status_code, response.data["code"]) == (404, "not_found")
