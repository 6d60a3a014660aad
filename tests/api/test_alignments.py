"""Landmarks and regions left out: a new version each time, who, when and why; and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import Max, Q

from registration import requests, services
from registration.models import JobStatus, PairAlignment
from tests.api.conftest import Api, Rows
from tests.api.test_errors import assert_error

LANDMARKS: list[dict[str, Any]] = [
    {"he": [10, 20], "ihc": [12.5, 21], "weight": 2},
    {"he": [600, 500], "ihc": [601, 499]},
]
STORED = [
    {"he": [10, 20], "ihc": [12.5, 21], "weight": 2},
    {"he": [600, 500], "ihc": [601, 499], "weight": 1},
]
SQUARE = [[0, 0], [100, 0], [100, 100], [0, 100]]


def post(api: Api, rows: Rows, body: Any) -> Any:
    return api.send("POST", f"/api/pairs/{rows.pair.pk}/alignments/", body)


def finish(version: int) -> None:
    PairAlignment.objects.filter(version=version).update(status=JobStatus.SUCCEEDED)


def test_landmarks_and_exclusions_make_a_new_version_that_says_who_when_and_why(
    admin_user: User, api: Api, rows: Rows
) -> None:
    said = {"landmarks": LANDMARKS, "exclude_he": [SQUARE], "exclude_ihc": [SQUARE[:3]]}
    response = post(Api(admin_user), rows, said | {"reason": "the control tissue was matched"})
    assert response.status_code == 202
    versions = api.get(f"/api/pairs/{rows.pair.pk}/alignments/").json()["results"]
    newest, first = versions
    assert (newest["version"], first["version"]) == (2, 1)
    assert (newest["landmarks"], newest["exclude_he"]) == (STORED, [SQUARE])
    assert newest["exclude_ihc"] == [SQUARE[:3]]
    assert (newest["requested_by"], newest["owner"]) == ("admin", "pathologist")
    assert newest["reason"] == "the control tissue was matched"
    assert newest["queued_at"] > first["queued_at"]
    assert (first["landmarks"], first["exclude_he"]) == ([], [])


def test_what_a_request_leaves_out_is_kept_and_an_empty_list_takes_it_away(api: Api, rows: Rows) -> None:
    post(api, rows, {"landmarks": LANDMARKS, "exclude_he": [SQUARE]})
    finish(2)
    kept = post(api, rows, {"exclude_he": []}).json()
    assert (kept["version"], kept["landmarks"], kept["exclude_he"]) == (3, STORED, [])
    assert kept["reason"] == "asked for"
    finish(3)
    assert post(api, rows, {}).json()["landmarks"] == STORED
    finish(4)
    assert post(api, rows, {"landmarks": []}).json()["landmarks"] == []


def test_the_same_request_gives_the_version_under_way_and_another_one_is_told_to_wait(
    api: Api, rows: Rows
) -> None:
    first = post(api, rows, {"landmarks": LANDMARKS}).json()
    assert post(api, rows, {"landmarks": LANDMARKS}).json()["id"] == first["id"]
    assert post(api, rows, {}).json()["id"] == first["id"]
    assert "Version 2" in assert_error(post(api, rows, {"landmarks": []}), 400, "alignment_busy")
    services.cancel(PairAlignment.objects.get(version=2))
    assert post(api, rows, {"landmarks": []}).json()["version"] == 3


def test_somebody_elses_version_of_the_same_moment_does_not_swallow_the_landmarks(
    user: User, api: Api, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_first(field: str) -> Max:
        PairAlignment.objects.create(pair=rows.pair, owner=user, version=2)
        return Max(field)

    monkeypatch.setattr(requests, "Max", other_first)
    assert "Version 2" in assert_error(post(api, rows, {"landmarks": LANDMARKS}), 400, "alignment_busy")


def test_somebody_elses_version_that_has_ended_meanwhile_is_a_conflict(
    user: User, api: Api, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_first(field: str) -> Max:
        PairAlignment.objects.create(pair=rows.pair, owner=user, version=2, status=JobStatus.CANCELLED)
        return Max(field, filter=Q(version=1))

    monkeypatch.setattr(requests, "Max", other_first)
    assert "ask again" in assert_error(post(api, rows, {}), 409, "asked_twice")


def test_trying_again_keeps_the_landmarks(user: User, api: Api, rows: Rows) -> None:
    made = post(api, rows, {"landmarks": LANDMARKS, "exclude_ihc": [SQUARE]}).json()
    PairAlignment.objects.filter(pk=made["id"]).update(status=JobStatus.FAILED)
    again = api.send("POST", f"/api/alignments/{made['id']}/retry/", {}).json()
    assert (again["version"], again["landmarks"], again["exclude_ihc"]) == (3, STORED, [SQUARE])
    assert again["reason"] == "repeats version 2"


FAR, NAN, INFINITE = [10_000, 5], ["nan", 5], [1e400, 5]
HERE = [5, 5]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"landmarks": [{"he": HERE, "ihc": FAR}]}, "landmark_outside_slide", "landmarks.0.ihc"),
        (
            {"landmarks": [*LANDMARKS, {"he": [-1, 5], "ihc": HERE}]},
            "landmark_outside_slide",
            "landmarks.2.he",
        ),
        ({"landmarks": [{"he": NAN, "ihc": HERE}]}, "invalid", "landmarks.0.he.0"),
        ({"landmarks": [{"he": HERE, "ihc": HERE, "weight": 0}]}, "min_value", "landmarks.0.weight"),
        ({"landmarks": [{"he": HERE, "ihc": HERE, "weight": -1}]}, "min_value", "landmarks.0.weight"),
        ({"landmarks": [{"he": HERE, "ihc": HERE, "weight": "nan"}]}, "invalid", "landmarks.0.weight"),
        ({"landmarks": [{"he": HERE, "ihc": HERE, "weight": 1e9}]}, "max_value", "landmarks.0.weight"),
        ({"landmarks": [LANDMARKS[0], LANDMARKS[0]]}, "bad_landmarks", "landmarks"),
        ({"landmarks": [{"he": HERE}]}, "required", "landmarks.0.ihc"),
        ({"landmarks": [{"he": [1], "ihc": HERE}]}, "min_length", "landmarks.0.he"),
        ({"landmarks": [{"he": [1, 2, 3], "ihc": HERE}]}, "max_length", "landmarks.0.he"),
        ({"landmarks": [{"he": ["left", 2], "ihc": HERE}]}, "invalid", "landmarks.0.he.0"),
        ({"landmarks": LANDMARKS * 600}, "max_length", "landmarks"),
        ({"landmarks": None}, "null", "landmarks"),
        ({"landmarks": {"he": HERE}}, "not_a_list", "landmarks"),
        ({"exclude_he": [SQUARE[:2]]}, "min_length", "exclude_he.0"),
        ({"exclude_ihc": [[HERE, NAN, [9, 9]]]}, "invalid", "exclude_ihc.0.1.0"),
        ({"exclude_he": [[HERE, ["inf", 1], [9, 9]]]}, "invalid", "exclude_he.0.1.0"),
        ({"exclude_he": [SQUARE] * 201}, "max_length", "exclude_he"),
        ({"exclude_he": [["no place"] * 2001]}, "max_length", "exclude_he.0"),
        ({"exclude_he": ["no polygon"] * 201}, "max_length", "exclude_he"),
        ({"exclude_he": SQUARE}, "not_a_list", "exclude_he.0.0"),
        ({"reason": "x" * 256}, "max_length", "reason"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_made(
    api: Api, rows: Rows, body: Any, code: str, field: str
) -> None:
    assert_error(post(api, rows, body), 400, code, field)
    assert PairAlignment.objects.count() == 1


def test_numbers_beyond_what_json_knows_are_no_json(api: Api, rows: Rows) -> None:
    assert_error(post(api, rows, {"landmarks": [{"he": INFINITE, "ihc": HERE}]}), 400, "parse_error")


SAID_SAME = {"kind": "consecutive", "share": 0.05, "message": "Region-level accuracy, about 8 um."}


def test_the_sections_found_are_shown_beside_those_declared(api: Api, rows: Rows) -> None:
    url = f"/api/alignments/{rows.alignment.pk}/"
    assert api.get(url).json()["section"] is None
    PairAlignment.objects.update(section=SAID_SAME)
    assert api.get(url).json()["section"] == SAID_SAME | {"declared": "unknown", "disagreement": ""}
    declared = api.send("PATCH", f"/api/pairs/{rows.pair.pk}/", {"sections": "same"})
    assert (declared.status_code, declared.json()["sections"]) == (200, "same")
    section = api.get(url).json()["section"]
    assert section["declared"] == "same"
    assert "consecutive sections" in section["disagreement"]
    api.send("PATCH", f"/api/pairs/{rows.pair.pk}/", {"sections": "consecutive"})
    assert api.get(url).json()["section"]["disagreement"] == ""


def test_a_declaration_that_does_not_exist_is_refused(api: Api, rows: Rows) -> None:
    response = api.send("PATCH", f"/api/pairs/{rows.pair.pk}/", {"sections": "neighbours"})
    assert_error(response, 400, "invalid_choice", "sections")


def test_pieces_are_those_of_the_newest_finished_version(api: Api, rows: Rows) -> None:
    url = f"/api/pairs/{rows.pair.pk}/pieces/"
    assert api.get(url).json() == {"version": None, "he": [], "ihc": []}
    piece = {"number": 1, "box": [0, 0, 100, 100], "outline": SQUARE, "area": 9000.0}
    PairAlignment.objects.update(pieces={"he": [piece], "ihc": []})
    post(api, rows, {})  # version 2, not finished
    found = api.get(url).json()
    assert found == {"version": 1, "he": [piece], "ihc": []}
    taken = post(api, rows, {"exclude_he": [found["he"][0]["outline"]]})
    assert_error(taken, 400, "alignment_busy")
    finish(2)
    assert post(api, rows, {"exclude_he": [found["he"][0]["outline"]]}).status_code == 202
