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


def versions(pair: SlidePair) -> list[tuple[int, str]]:
    return list(pair.alignments.order_by("version").values_list("version", "status"))


AGAIN = [(1, "succeeded"), (2, "queued")]


def test_stating_another_scale_aligns_again_with_the_same_landmarks(alignment: PairAlignment) -> None:
    landmarks = [{"he": [10.0, 10.0], "ihc": [20.0, 20.0], "weight": 1.0}]
    PairAlignment.objects.update(landmarks=landmarks)
    state_mpp(alignment.pair.fixed, 0.26, 0.26)
    assert versions(alignment.pair) == AGAIN
    again = alignment.pair.alignments.get(version=2)
    assert (again.reason, again.landmarks, again.owner) == ("µm/px was changed", landmarks, alignment.owner)


def test_stating_the_same_scale_again_changes_nothing(alignment: PairAlignment) -> None:
    state_mpp(alignment.pair.fixed, 0.25, 0.25)
    state_mpp(alignment.pair.moving, 0.5, 0.5)
    assert versions(alignment.pair) == [(1, "succeeded")]


def test_by_the_api_and_by_the_administrator(admin_user: User, alignment: PairAlignment) -> None:
    client = Client()
    client.force_login(admin_user)
    slide = alignment.pair.moving
    fields: dict[str, Any] = {"name": slide.name, "stain": "ihc", "patient": "", "mpp_x": 0.5, "mpp_y": 0.5}
    page = f"/admin/viewer/slide/{slide.pk}/change/"
    assert client.post(page, fields).status_code == 302
    assert versions(alignment.pair) == [(1, "succeeded")]
    assert client.post(page, fields | {"mpp_x": 0.51}).status_code == 302
    slide.refresh_from_db()
    assert (slide.mpp_x, slide.mpp_y, slide.mpp_stated) == (0.51, 0.5, True)
    assert versions(alignment.pair) == AGAIN

    PairAlignment.objects.filter(version=2).update(status=JobStatus.SUCCEEDED, scale=scale_of(alignment.pair))
    body = {"mpp_x": 0.52, "mpp_y": 0.52}
    response = client.patch(f"/api/slides/{slide.pk}/", body, content_type="application/json")
    assert response.status_code == 200
    assert versions(alignment.pair)[-1] == (3, "queued")


def test_an_alignment_that_ran_meanwhile_is_followed_by_another(alignment: PairAlignment) -> None:
    running = services.request_alignment(alignment.pair, alignment.owner, reason="asked for")
    held = transitions.claim(PairAlignment, running.pk, running.attempt)
    assert held is not None
    before = scale_of(held.pair)
    state_mpp(alignment.pair.fixed, 0.3, 0.3)
    assert versions(alignment.pair) == [(1, "succeeded"), (2, "running")]
    assert transitions.finish(held, JobStatus.SUCCEEDED, scale=before, affine=alignment.affine)
    assert versions(alignment.pair) == [(1, "succeeded"), (2, "succeeded"), (3, "queued")]


def test_one_that_failed_is_not_followed_by_another(alignment: PairAlignment) -> None:
    running = services.request_alignment(alignment.pair, alignment.owner)
    held = transitions.claim(PairAlignment, running.pk, running.attempt)
    assert held is not None
    state_mpp(alignment.pair.fixed, 0.3, 0.3)
    assert transitions.finish(held, JobStatus.FAILED, error="It did not work.")
    assert versions(alignment.pair) == [(1, "succeeded"), (2, "failed")]


def test_a_registration_waits_for_the_new_version(region: RegionOfInterest, alignment: PairAlignment) -> None:
    assert services.request_registration(region, alignment.owner).alignment == alignment
    state_mpp(alignment.pair.fixed, 0.3, 0.3)
    region = RegionOfInterest.objects.get()  # as the next request reads it
    waiting = services.request_registration(region, alignment.owner, method="rigid")
    assert (waiting.alignment.version, waiting.status) == (2, JobStatus.QUEUED)
    services.cancel(waiting.alignment)
    again = services.request_registration(region, alignment.owner)
    assert again.alignment.version == 3  # never with the version that is out of date


def test_one_of_which_the_scale_was_not_noted_is_made_anew_when_it_is_needed(
    region: RegionOfInterest, alignment: PairAlignment
) -> None:
    PairAlignment.objects.update(scale={})  # as before there was this field
    assert versions(alignment.pair) == [(1, "succeeded")]
    assert services.request_registration(region, alignment.owner).alignment.version == 2


def test_with_um_per_px_of_one_slide_alone_nothing_is_begun(alignment: PairAlignment) -> None:
    type(alignment.pair.moving).objects.filter(pk=alignment.pair.moving_id).update(mpp_x=None, mpp_y=None)
    state_mpp(alignment.pair.fixed, 0.3, 0.3)
    assert versions(alignment.pair) == [(1, "succeeded")]
    alignment.pair.moving.refresh_from_db()
    state_mpp(alignment.pair.moving, 0.5, 0.5)
    assert versions(alignment.pair) == AGAIN
