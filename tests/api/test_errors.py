"""Bad input: every error is {"code", "field", "message"}, with the status that says whose fault it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from config.sessions import SessionStore
from registration.models import Archive, JobStatus, RegionOfInterest
from tests.api.conftest import Api, Rows
from viewer.models import Slide, SlidePair

HUGE = 10**40


def assert_error(response: Any, status: int, code: str, field: str = "") -> str:
    body = response.json()
    assert (response.status_code, body.get("code"), body.get("field")) == (status, code, field), body
    assert set(body) == {"code", "field", "message"}
    assert body["message"]
    return str(body["message"])


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/dev/zero",
        "/proc/self/environ",
        "relative.svs",
        "{root}/../outside.svs",
        "{root}/link-out.svs",
        "{root}/circle",
        "{root}/link-out-folder/he.svs",
        "~root/x.svs",
        "/" + "x" * 300,
    ],
)
def test_paths_outside_the_slide_folders_are_refused(api: Api, slide_root: Path, path: str) -> None:
    (slide_root.parent / "outside.svs").write_bytes(b"secret")
    (slide_root / "link-out.svs").symlink_to(slide_root.parent / "outside.svs")
    (slide_root / "link-out-folder").symlink_to(slide_root.parent)
    (slide_root / "circle").symlink_to(slide_root / "circle")
    response = api.send("POST", "/api/slides/", {"path": path.format(root=slide_root)})
    assert_error(response, 400, "path_not_allowed", "path")
    assert not Slide.objects.exists()


@pytest.mark.parametrize("name", ["absent.svs", "x" * 300, "pipe", "a/" * 1000])
def test_what_is_no_file_in_the_slide_folder_is_not_found(api: Api, slide_root: Path, name: str) -> None:
    os.mkfifo(slide_root / "pipe")
    response = api.send("POST", "/api/slides/", {"path": f"{slide_root}/{name}"})
    assert_error(response, 400, "not_found", "path")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (None, "null"),
        ("", "blank"),
        (7, "path_not_allowed"),
        ({"a": 1}, "invalid"),
        ("/x\0y", "null_characters_not_allowed"),
        ("/" + "x" * 5000, "max_length"),
        ("\ud800", "surrogate_characters_not_allowed"),
    ],
)
def test_paths_that_are_no_paths(api: Api, slide_root: Path, path: Any, code: str) -> None:
    assert_error(api.send("POST", "/api/slides/", {"path": path}), 400, code, "path")


def test_without_slide_folders_nothing_is_taken_by_path(api: Api, settings: Any) -> None:
    settings.SLIDE_ROOTS = []
    assert_error(api.send("POST", "/api/slides/", {"path": "/etc/passwd"}), 400, "no_slide_roots", "path")


@pytest.mark.parametrize(
    "content", [b"", b"this is text", b"II*\0" + b"\xff" * 60], ids=["empty", "text", "half a TIFF"]
)
def test_an_unreadable_slide_says_why_and_its_row_too(api: Api, slide_root: Path, content: bytes) -> None:
    (slide_root / "bad.svs").write_bytes(content)
    response = api.send("POST", "/api/slides/", {"path": f"{slide_root}/bad.svs"})
    message = assert_error(response, 400, "slide_unreadable", "path")
    row = Slide.objects.get()
    assert (row.status, row.error) == ("failed", message)


def test_a_corrupt_slide_gives_a_clear_error(api: Api, data_dir: Path, settings: Any) -> None:
    settings.SLIDE_ROOTS = [data_dir.resolve()]
    response = api.send("POST", "/api/slides/", {"path": str(data_dir.resolve() / "slides" / "broken.svs")})
    assert_error(response, 400, "slide_unreadable", "path")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"mpp_x": 0.5}, "required", "mpp_y"),
        ({"mpp_x": 0, "mpp_y": 0.5}, "min_value", "mpp_x"),
        ({"mpp_x": "NaN", "mpp_y": 0.5}, "invalid", "mpp_x"),
        ({"mpp_x": 1, "mpp_y": float(10**308) * 10}, "parse_error", ""),
        ({"stain": "purple"}, "invalid_choice", "stain"),
        ({"stain": "\ud800"}, "invalid_choice", "stain"),
        ({"patient": "x" * 65}, "max_length", "patient"),
        ([], "invalid", ""),
    ],
)
def test_wrong_facts_of_a_slide(api: Api, rows: Rows, body: Any, code: str, field: str) -> None:
    assert_error(api.send("PATCH", f"/api/slides/{rows.fixed.pk}/", body), 400, code, field)


@pytest.mark.parametrize("pk", [0, 999_999, HUGE, int("9" * 4000), 2**63])
@pytest.mark.parametrize("kind", ["slides", "pairs", "alignments", "regions", "registrations", "archives"])
def test_ids_of_nothing(api: Api, kind: str, pk: int) -> None:
    assert_error(api.get(f"/api/{kind}/{pk}/"), 404, "not_found")


@pytest.mark.parametrize("pk", [HUGE, -1, "x", None, 1.5, True, [1], 2**63])
def test_ids_of_nothing_in_a_body(api: Api, rows: Rows, pk: Any) -> None:
    for path, field in [
        ("/api/pairs/", "fixed"),
        ("/api/regions/", "pair"),
        ("/api/registrations/", "region"),
        ("/api/archives/", "registration"),
        ("/api/align/", "he"),
    ]:
        if (field, pk) == ("he", "x"):
            continue  # a path
        response = api.send("POST", path, {field: pk})
        assert (response.status_code, response.json()["field"]) == (400, field), response.json()


@pytest.mark.parametrize("path", ["slides", "regions?pair=", "registrations?pair=", "archives?pair="])
@pytest.mark.parametrize("value", ["x", "-1", "0", "9" * 30, "1e5", "%00"])
def test_wrong_queries(api: Api, path: str, value: str) -> None:
    if path == "slides":
        assert_error(api.get(f"/api/slides/?page={value}"), 404, "not_found")
    else:
        response = api.get(f"/api/{path.replace('?', '/?')}{value}")
        assert (response.status_code, response.json()["field"]) == (400, "pair"), response.json()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"x": -1}, "x"),
        ({"x": 600}, "x"),
        ({"y": 400}, "y"),
        ({"width": 0}, "width"),
        ({"width": -256}, "width"),
        ({"height": 63}, "height"),
        ({"width": 100_000}, "width"),
        ({"height": HUGE}, "height"),
        ({"x": 1.5}, "x"),
        ({"x": None}, "x"),
        ({"frame": "dapi"}, "frame"),
        ({"name": "x" * 256}, "name"),
    ],
)
def test_boxes_that_no_slide_has(api: Api, rows: Rows, change: dict[str, Any], field: str) -> None:
    box = {"pair": rows.pair.pk, "frame": "he", "x": 0, "y": 0, "width": 256, "height": 256} | change
    assert_error_field(api.send("POST", "/api/regions/", box), field)
    if field != "name":
        assert_error_field(api.send("POST", "/api/registrations/", box), field)
    assert RegionOfInterest.objects.count() == 1


def assert_error_field(response: Any, field: str) -> None:
    assert (response.status_code, response.json()["field"]) == (400, field), response.json()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"patch_size": 512}, "patch_size"),
        ({"patch_size": 0}, "patch_size"),
        ({"region_size": 100_000}, "width"),
        ({"region_size": None, "width": 256}, "height"),
        ({"region_size": None}, "region_size"),
        ({"width": 256, "height": 256}, "region_size"),
        ({"method": "magic"}, "method"),
        ({"layout": "tar"}, "layout"),
        ({"ihc": "he.png"}, "ihc"),
        ({"he": "/etc/passwd"}, "he"),
        ({"he_um_per_px": [0.5]}, "he_um_per_px"),
        ({"he_um_per_px": 1e9}, "he_um_per_px"),
        ({"ihc_um_per_px": None}, "ihc_um_per_px"),
        ({"ihc": "{he}"}, "ihc"),
    ],
)
def test_a_wrong_call_leaves_no_pair(
    api: Api, image_slide: Callable[[str], Path], change: dict[str, Any], field: str
) -> None:
    he, ihc = str(image_slide("he.png")), str(image_slide("ihc.png"))
    body = {"he": he, "ihc": ihc, "x": 0, "y": 0, "region_size": 256, "patch_size": 64} | change
    body = {key: value for key, value in body.items() if value is not None or key.endswith("px")}
    body = {key: he if value == "{he}" else value for key, value in body.items()}
    assert_error_field(api.send("POST", "/api/align/", body), field)
    assert not SlidePair.objects.exists()
    assert not RegionOfInterest.objects.exists()


def test_one_slide_without_scale_is_asked_for(api: Api, image_slide: Callable[[str], Path]) -> None:
    body = {
        "he": str(image_slide("he.png")), "ihc": str(image_slide("ihc.png")), "x": 0, "y": 0,
        "region_size": 256, "patch_size": 64, "he_um_per_px": 0.5,
    }  # fmt: skip
    assert_error(api.send("POST", "/api/align/", body), 400, "mpp_missing", "ihc_um_per_px")


def test_another_users_rows_do_not_exist(other_user: User, rows: Rows) -> None:
    other = Api(other_user)
    assert_error(
        other.send("POST", "/api/pairs/", {"fixed": rows.fixed.pk, "moving": rows.moving.pk}),
        400, "does_not_exist", "fixed",
    )  # fmt: skip
    assert_error(
        other.send("POST", "/api/archives/", {"registration": rows.registration.pk}),
        400, "does_not_exist", "registration",
    )  # fmt: skip
    assert_error(other.get(f"/archives/{rows.archive.pk}/download"), 404, "not_found")
    for kind in ("regions", "registrations", "archives"):
        assert other.get(f"/api/{kind}/?pair={rows.pair.pk}").json()["results"] == []


def test_an_archive_that_is_not_there(api: Api, rows: Rows, settings: Any) -> None:
    url = f"/archives/{rows.archive.pk}/download"
    (Path(settings.DATA_DIR) / rows.archive.file).unlink()
    assert_error(api.get(url), 410, "archive_gone")
    Archive.objects.update(status=JobStatus.RUNNING, percent=40)
    assert "40 per cent" in assert_error(api.get(url), 409, "archive_not_ready")
    Archive.objects.update(status=JobStatus.FAILED, error="The disk is full.")
    assert "The disk is full." in assert_error(api.get(url), 409, "archive_not_made")


@pytest.mark.parametrize("file", ["../secret", "/etc/passwd", "archives", ""])
def test_an_archive_never_leads_out_of_the_data_folder(
    api: Api, rows: Rows, settings: Any, file: str
) -> None:
    secret = Path(settings.DATA_DIR).parent / "secret"
    secret.write_text("secret")
    Archive.objects.update(file=file)
    try:
        assert_error(api.get(f"/archives/{rows.archive.pk}/download"), 410, "archive_gone")
    finally:
        secret.unlink()


@pytest.mark.parametrize("name", ["nothing.txt", "..", "field.npz", "%2e%2e%2fsecret_key"])
def test_files_that_a_registration_has_not(api: Api, rows: Rows, name: str) -> None:
    assert api.get(f"/api/registrations/{rows.registration.pk}/files/{name}").status_code == 404


def test_requests_that_are_no_requests(api: Api, user: User) -> None:
    assert_error(Client().get("/api/slides/"), 401, "not_authenticated")
    assert_error(
        Client(headers={"Authorization": "Token wrong"}).get("/api/slides/"), 401, "authentication_failed"
    )
    assert_error(api.delete("/api/slides/"), 405, "method_not_allowed")
    assert_error(api.post("/api/slides/", {"path": "x"}), 415, "unsupported_media_type")
    assert_error(api.get("/api/nothing/"), 404, "not_found")
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    assert_error(browser.post("/api/token/", content_type="application/json"), 403, "permission_denied")


@pytest.mark.parametrize("key", ["\0" * 32, "x" * 31 + "\0", "'; --" * 8])
def test_a_cookie_that_no_database_can_hold_is_no_session(db: None, key: str) -> None:
    browser = Client()
    browser.cookies["sessionid"] = key
    assert browser.get("/").status_code == 302
    assert_error(browser.get("/api/slides/"), 401, "not_authenticated")
    assert SessionStore(key).session_key is None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "parse_error"),
        (b"[" * 200_000, 400, "parse_error"),
        (b'{"path": NaN}', 400, "parse_error"),
        (b"9" * 5000, 400, "parse_error"),
        (b"\xff\xfe", 400, "parse_error"),
        (b'"' + b"x" * 2**20 + b'"', 413, "body_too_large"),
    ],
    ids=["half", "deep", "nan", "long number", "not utf-8", "large"],
)
def test_bodies_that_are_no_json(api: Api, body: bytes, status: int, code: str) -> None:
    response = api.generic("POST", "/api/slides/", body, content_type="application/json")
    assert_error(response, status, code)
