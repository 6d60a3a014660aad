"""From slide to archive by the API, with the rows as the truth and no worker running."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from registration.models import (
    Archive,
    JobStatus,
    PairAlignment,
    RegionOfInterest,
    Registration,
)
from tests.api.conftest import Api, Rows
from viewer.models import Slide, SlidePair

BOX = {"x": 16, "y": 32, "width": 256, "height": 128}


def _ok(response: Any, status: int) -> Any:
    assert response.status_code == status, response.content
    return response.json() if response.content else None


def test_slides_are_added_once_and_described(
    api: Api, image_slide: Callable[[str], Path], redis_server: Any
) -> None:
    path = image_slide("biopsy.png")
    added = _ok(api.send("POST", "/api/slides/", {"path": str(path), "stain": "he"}), 201)
    assert (added["status"], added["width"], added["height"]) == ("needs_mpp", 640, 512)
    again = _ok(api.send("POST", "/api/slides/", {"path": str(path)}), 201)
    assert again["id"] == added["id"]
    facts = {"mpp_x": 0.25, "mpp_y": 0.26, "patient": "P-7"}
    patched = _ok(api.send("PATCH", f"/api/slides/{added['id']}/", facts), 200)
    assert {key: patched[key] for key in facts} == facts
    assert (patched["status"], patched["stain"], patched["mpp_stated"]) == ("ready", "he", True)
    assert _ok(api.send("PATCH", f"/api/slides/{added['id']}/", {"patient": None}), 200)["patient"] is None
    listed = _ok(api.get("/api/slides/"), 200)
    assert [slide["id"] for slide in listed["results"]] == [added["id"]]
    for url in ("tiles_url", "lossless_tiles_url", "thumbnail_url"):
        browser = Client()
        browser.force_login(User.objects.get())
        assert browser.get(added[url]).status_code == 200


@pytest.mark.parametrize(("stated", "expected"), [(0.5, (0.5, 0.5)), ([0.5, 0.25], (0.5, 0.25))])
def test_um_per_px_is_one_number_or_two(
    api: Api, image_slide: Callable[[str], Path], stated: Any, expected: tuple[float, float]
) -> None:
    body = {"path": str(image_slide("he.png")), "um_per_px": stated}
    added = _ok(api.send("POST", "/api/slides/", body), 201)
    assert (added["mpp_x"], added["mpp_y"]) == expected


def test_a_new_pair_is_aligned_at_once(
    api: Api, image_slide: Callable[[str], Path], redis_server: Any
) -> None:
    ids = [
        _ok(api.send("POST", "/api/slides/", {"path": str(image_slide(name)), "um_per_px": 0.5}), 201)["id"]
        for name in ("a.png", "b.png")
    ]
    body = {"fixed": ids[0], "moving": ids[1], "sections": "same", "name": "case 7"}
    pair = _ok(api.send("POST", "/api/pairs/", body), 201)
    assert {key: pair[key] for key in body} == body
    (alignment,) = _ok(api.get(pair["alignments_url"]), 200)["results"]
    assert (alignment["status"], alignment["version"]) == ("queued", 1)
    assert _ok(api.send("POST", pair["alignments_url"], {}), 202)["id"] == alignment["id"]
    cancelled = _ok(api.send("POST", alignment["status_url"] + "cancel/", {}), 200)
    assert cancelled["status"] == "cancelled"
    retried = _ok(api.send("POST", alignment["status_url"] + "retry/", {}), 202)
    assert (retried["status"], retried["version"]) == ("queued", 2)


def test_a_region_is_drawn_moved_listed_and_deleted(api: Api, rows: Rows) -> None:
    body = {"pair": rows.pair.pk, "frame": "ihc", "name": "hot spot", **BOX}
    region = _ok(api.send("POST", "/api/regions/", body), 201)
    assert {key: region[key] for key in body} == body
    moved = _ok(api.send("PATCH", f"/api/regions/{region['id']}/", {"x": 100}), 200)
    assert {key: moved[key] for key in BOX} == BOX | {"x": 100}
    listed = _ok(api.get(f"/api/regions/?pair={rows.pair.pk}"), 200)["results"]
    assert {each["id"] for each in listed} == {region["id"], rows.region.pk}
    assert _ok(api.get("/api/regions/?pair=999"), 200)["results"] == []
    _ok(api.delete(f"/api/regions/{region['id']}/"), 204)
    assert not RegionOfInterest.objects.filter(pk=region["id"]).exists()


def test_the_same_registration_asked_for_twice_is_one(api: Api, rows: Rows) -> None:
    body = {"pair": rows.pair.pk, **BOX, "method": "rigid", "export": {"patch_size": 64}}
    first = _ok(api.send("POST", "/api/registrations/", body), 202)
    assert (first["status"], first["method"], first["grid"]) == ("queued", "rigid", "he")
    assert first["alignment"] == rows.alignment.pk
    second = _ok(api.send("POST", "/api/registrations/", body), 202)
    by_region = {"region": first["region"]["id"], "method": "rigid"}
    third = _ok(api.send("POST", "/api/registrations/", by_region), 202)
    assert first["id"] == second["id"] == third["id"]
    assert _ok(api.get(first["status_url"]), 200)["id"] == first["id"]
    assert Registration.objects.get(pk=first["id"]).export_options == [{"layout": "native", "patch_size": 64}]
    listed = _ok(api.get(f"/api/registrations/?pair={rows.pair.pk}"), 200)["results"]
    assert [each["id"] for each in listed] == [first["id"], rows.registration.pk]


def test_a_registration_is_cancelled_and_asked_for_again(api: Api, rows: Rows) -> None:
    first = _ok(api.send("POST", "/api/registrations/", {"pair": rows.pair.pk, **BOX}), 202)
    assert _ok(api.send("POST", first["status_url"] + "cancel/", {}), 200)["status"] == "cancelled"
    retried = _ok(api.send("POST", first["status_url"] + "retry/", {}), 202)
    assert (retried["status"], retried["id"] == first["id"]) == ("queued", False)


def test_a_review_is_recorded(api: Api, rows: Rows) -> None:
    url = f"/api/registrations/{rows.registration.pk}/review/"
    body = {"decision": "rejected", "note": "a fold at the edge"}
    reviewed = _ok(api.send("POST", url, body), 200)
    assert (reviewed["review"], reviewed["review_note"]) == ("rejected", "a fold at the edge")
    assert (reviewed["reviewed_by"], reviewed["reviewed_at"] is None) == ("pathologist", False)
    Registration.objects.update(status="refused", verdict="refused")
    refusal = api.send("POST", url, {"decision": "accepted"})
    said = refusal.json()
    assert (refusal.status_code, said["code"], said["field"]) == (400, "registration_refused", "note")


def test_files_and_archives_are_handed_out(api: Api, rows: Rows) -> None:
    shown = _ok(api.get(f"/api/registrations/{rows.registration.pk}/"), 200)
    assert set(shown["files"]) == {"transform.json"}
    transform = api.get(shown["files"]["transform.json"])
    assert transform.headers["Content-Type"] == "application/json"
    assert b"".join(transform.streaming_content) == b"{}"  # type: ignore[attr-defined]
    (archive,) = shown["archives"]
    response = api.get(archive["download_url"])
    assert response.headers["Content-Disposition"] == 'attachment; filename="pairs.zip"'
    assert "private" in response.headers["Cache-Control"]
    content = b"".join(response.streaming_content)  # type: ignore[attr-defined]
    with zipfile.ZipFile(BytesIO(content)) as opened:
        assert opened.namelist() == ["he/x0_y0.png"]


def test_an_archive_whose_file_is_gone_is_exported_again(api: Api, rows: Rows, settings: Any) -> None:
    (Path(settings.DATA_DIR) / rows.archive.file).unlink()
    assert api.get(f"/archives/{rows.archive.pk}/download").status_code == 410
    body = {"registration": rows.registration.pk}
    again = _ok(api.send("POST", "/api/archives/", body), 202)
    assert (again["id"] == rows.archive.pk, again["status"]) == (False, "queued")
    assert _ok(api.send("POST", "/api/archives/", body), 202)["id"] == again["id"]
    old = _ok(api.get(f"/api/archives/{rows.archive.pk}/"), 200)
    assert (old["status"], old["error_code"], old["download_url"]) == ("failed", "files_gone", None)


def test_a_hostile_archive_name_stays_one_harmless_name(api: Api, rows: Rows, settings: Any) -> None:
    name = 'archives/test/1/a"; filename=evil.html\n.zip'
    (Path(settings.DATA_DIR) / name).write_bytes(b"zip")
    Archive.objects.update(file=name)
    disposition = api.get(f"/archives/{rows.archive.pk}/download").headers["Content-Disposition"]
    assert disposition == 'attachment; filename="a_filename_evil.html_.zip"'


def test_a_refused_registration_is_exported_only_with_a_note(api: Api, rows: Rows) -> None:
    Archive.objects.all().delete()
    Registration.objects.update(status=JobStatus.REFUSED, verdict="refused")
    body = {"registration": rows.registration.pk, "patch_size": 64}
    refused = api.send("POST", "/api/archives/", body)
    assert (refused.status_code, refused.json()["code"]) == (400, "registration_refused")
    made = _ok(api.send("POST", "/api/archives/", body | {"override_note": "teaching set"}), 202)
    assert (made["status"], made["download_url"], made["override_note"]) == ("queued", None, "teaching set")
    listed = _ok(api.get(f"/api/archives/?pair={rows.pair.pk}"), 200)["results"]
    assert [each["id"] for each in listed] == [made["id"]]


def test_versions_of_an_alignment_are_listed_by_the_same_queries(api: Api, rows: Rows) -> None:
    url = f"/api/pairs/{rows.pair.pk}/alignments/"
    with CaptureQueriesContext(connection) as one:
        _ok(api.get(url), 200)
    for version in (2, 3, 4):
        PairAlignment.objects.create(owner=rows.pair.owner, pair=rows.pair, version=version, status="failed")
    with CaptureQueriesContext(connection) as four:
        assert len(_ok(api.get(url), 200)["results"]) == 4
    assert len(four) == len(one)


def test_one_call_makes_everything_once(
    api: Api, image_slide: Callable[[str], Path], redis_server: Any
) -> None:
    body = {
        "he": str(image_slide("he.png")), "ihc": str(image_slide("ihc.png")), "frame": "ihc",
        "x": 16, "y": 32, "width": 256, "height": 128, "patch_size": 64,
        "he_um_per_px": 0.5, "ihc_um_per_px": [0.5, 0.5],
    }  # fmt: skip
    first = _ok(api.send("POST", "/api/align/", body), 202)
    assert (first["status"], first["region"]["frame"], first["archives"]) == ("queued", "ihc", [])
    by_id = {"he": Slide.objects.get(stain="he").pk, "ihc": Slide.objects.get(stain="ihc").pk}
    second = _ok(api.send("POST", "/api/align/", body | by_id), 202)
    assert first["id"] == second["id"]
    counts = [model.objects.count() for model in (Slide, SlidePair, PairAlignment, RegionOfInterest)]
    assert [*counts, Registration.objects.count()] == [2, 1, 1, 1, 1]


def test_an_administrator_works_with_everybodys_rows(admin_user: User, user: User, rows: Rows) -> None:
    admin = Api(admin_user)
    region = _ok(admin.send("POST", "/api/regions/", {"pair": rows.pair.pk, **BOX}), 201)
    assert RegionOfInterest.objects.get(pk=region["id"]).owner == user
    assert _ok(admin.get("/api/slides/"), 200)["count"] == 2


def test_methods_are_named(api: Api) -> None:
    names = [method["name"] for method in _ok(api.get("/api/methods/"), 200)]
    assert names[0] == "accurate"
    assert "roialign" in names
