"""A pair is aligned again when the um/px of one of its slides is changed, however that is said."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from registration import services, transitions
from registration.models import JobStatus, PairAlignment, RegionOfInterest
from registration.scale import scale_of
from viewer.models import SlidePair
from viewer.services import state_mpp

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


@pytest.fixture
def made(alignment: PairAlignment) -> PairAlignment:
    """The alignment, with the um/px it was made with."""
    PairAlignment.objects.update(scale=scale_of(alignment.pair))
    alignment.refresh_from_db()
    return alignment


def versions(pair: SlidePair) -> list[tuple[int, str]]:
    return list(pair.alignments.order_by("version").values_list("version", "status"))


AGAIN = [(1, "succeeded"), (2, "queued")]


def test_stating_another_scale_aligns_again_with_the_same_landmarks(made: PairAlignment) -> None:
    landmarks = [{"he": [10.0, 10.0], "ihc": [20.0, 20.0], "weight": 1.0}]
    PairAlignment.objects.update(landmarks=landmarks)
    state_mpp(made.pair.fixed, 0.26, 0.26)
    assert versions(made.pair) == AGAIN
    again = made.pair.alignments.get(version=2)
    assert (again.reason, again.landmarks, again.owner) == ("µm/px was changed", landmarks, made.owner)


def test_stating_the_same_scale_again_changes_nothing(made: PairAlignment) -> None:
    state_mpp(made.pair.fixed, 0.25, 0.25)
    state_mpp(made.pair.moving, 0.5, 0.5)
    assert versions(made.pair) == [(1, "succeeded")]


def test_by_the_api_and_by_the_administrator(admin_user: User, made: PairAlignment) -> None:
    client = Client()
    client.force_login(admin_user)
    slide = made.pair.moving
    fields: dict[str, Any] = {"name": slide.name, "stain": "ihc", "patient": "", "mpp_x": 0.5, "mpp_y": 0.5}
    page = f"/admin/viewer/slide/{slide.pk}/change/"
    assert client.post(page, fields).status_code == 302
    assert versions(made.pair) == [(1, "succeeded")]
    assert client.post(page, fields | {"mpp_x": 0.51}).status_code == 302
    slide.refresh_from_db()
    assert (slide.mpp_x, slide.mpp_y, slide.mpp_stated) == (0.51, 0.5, True)
    assert versions(made.pair) == AGAIN

    PairAlignment.objects.filter(version=2).update(status=JobStatus.SUCCEEDED, scale=scale_of(made.pair))
    body = {"mpp_x": 0.52, "mpp_y": 0.52}
    response = client.patch(f"/api/slides/{slide.pk}/", body, content_type="application/json")
    assert response.status_code == 200
    assert versions(made.pair)[-1] == (3, "queued")


def test_an_alignment_that_ran_meanwhile_is_followed_by_another(made: PairAlignment) -> None:
    running = services.request_alignment(made.pair, made.owner, reason="asked for")
    held = transitions.claim(PairAlignment, running.pk, running.attempt)
    assert held is not None
    before = scale_of(held.pair)
    state_mpp(made.pair.fixed, 0.3, 0.3)
    assert versions(made.pair) == [(1, "succeeded"), (2, "running")]
    assert transitions.finish(held, JobStatus.SUCCEEDED, scale=before, affine=made.affine)
    assert versions(made.pair) == [(1, "succeeded"), (2, "succeeded"), (3, "queued")]


def test_one_that_failed_is_not_followed_by_another(made: PairAlignment) -> None:
    running = services.request_alignment(made.pair, made.owner)
    held = transitions.claim(PairAlignment, running.pk, running.attempt)
    assert held is not None
    state_mpp(made.pair.fixed, 0.3, 0.3)
    assert transitions.finish(held, JobStatus.FAILED, error="It did not work.")
    assert versions(made.pair) == [(1, "succeeded"), (2, "failed")]


def test_a_registration_waits_for_the_new_version(region: RegionOfInterest, made: PairAlignment) -> None:
    assert services.request_registration(region, made.owner).alignment == made
    state_mpp(made.pair.fixed, 0.3, 0.3)
    region = RegionOfInterest.objects.get()  # as the next request reads it
    waiting = services.request_registration(region, made.owner, method="rigid")
    assert (waiting.alignment.version, waiting.status) == (2, JobStatus.QUEUED)
    services.cancel(waiting.alignment)
    again = services.request_registration(region, made.owner)
    assert again.alignment.version == 3  # never with the version that is out of date


def test_with_um_per_px_of_one_slide_alone_nothing_is_begun(made: PairAlignment) -> None:
    type(made.pair.moving).objects.filter(pk=made.pair.moving_id).update(mpp_x=None, mpp_y=None)
    state_mpp(made.pair.fixed, 0.3, 0.3)
    assert versions(made.pair) == [(1, "succeeded")]
    made.pair.moving.refresh_from_db()
    state_mpp(made.pair.moving, 0.5, 0.5)
    assert versions(made.pair) == AGAIN
