"""Asking for work: the same request gives the same row, and what ended badly can be asked for again."""

import numpy as np
import pytest
from django.contrib.auth.models import User

from registration import services
from registration.engine.geometry import Box, Frame, Size
from registration.engine.transforms import AffineTransform
from registration.errors import InvalidInput
from registration.models import (
    Archive,
    JobStatus,
    PairAlignment,
    RegionOfInterest,
    Registration,
)
from viewer.models import SlidePair

ENDED_BADLY = [JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.REFUSED]


def end(job: Registration | Archive | PairAlignment, status: JobStatus) -> None:
    type(job).objects.filter(pk=job.pk).update(status=status)
    job.refresh_from_db()


def test_a_repeated_request_gives_the_same_registration(
    user: User, region: RegionOfInterest, alignment: PairAlignment
) -> None:
    first = services.request_registration(region, user)
    assert services.request_registration(region, user) == first
    end(first, JobStatus.RUNNING)
    assert services.request_registration(region, user) == first
    end(first, JobStatus.SUCCEEDED)
    assert services.request_registration(region, user) == first
    assert services.request_registration(region, user, method="rigid") != first
    assert services.request_registration(region, user, grid="ihc") != first


@pytest.mark.parametrize("status", ENDED_BADLY)
def test_what_ended_badly_can_be_requested_again(
    user: User, region: RegionOfInterest, alignment: PairAlignment, status: JobStatus
) -> None:
    first = services.request_registration(region, user)
    end(first, status)
    second = services.request_registration(region, user)
    assert second.pk != first.pk
    assert second.status == JobStatus.QUEUED
    first.refresh_from_db()
    assert first.status == status


@pytest.mark.parametrize("status", ENDED_BADLY)
def test_retry_asks_for_the_same_again(
    user: User, region: RegionOfInterest, alignment: PairAlignment, status: JobStatus
) -> None:
    first = services.request_registration(
        region, user, method="rigid", grid="ihc", export_options={"layout": "roialign", "patch_size": 128}
    )
    end(first, status)
    again = services.retry(first, user)
    assert isinstance(again, Registration)
    assert again.pk != first.pk
    assert (again.method, again.grid, again.region) == ("rigid", "ihc", region)
    assert again.export_options == [{"layout": "roialign", "patch_size": 128}]


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.SUCCEEDED])
def test_only_what_ended_badly_is_retried(user: User, queued: Registration, status: JobStatus) -> None:
    end(queued, status)
    with pytest.raises(InvalidInput) as caught:
        services.retry(queued, user)
    assert caught.value.code == "not_repeatable"


def test_an_alignment_is_a_new_version_unless_one_is_being_made(user: User, pair: SlidePair) -> None:
    first = services.request_alignment(pair, user, reason="first")
    assert first.version == 1
    assert services.request_alignment(pair, user) == first
    end(first, JobStatus.SUCCEEDED)
    second = services.request_alignment(pair, user, reason="better focus")
    assert (second.version, second.reason, second.requested_by) == (2, "better focus", user)
    assert services.current_alignment(pair) == first
    end(second, JobStatus.REFUSED)
    assert services.current_alignment(pair) == first
    end(first, JobStatus.FAILED)
    assert services.current_alignment(pair) == second


def test_rows_belong_to_the_owner_of_the_pair_whoever_asks(
    admin_user: User, user: User, region: RegionOfInterest, alignment: PairAlignment
) -> None:
    made = services.request_registration(region, admin_user)
    assert (made.owner, made.requested_by) == (user, admin_user)


def test_without_an_alignment_a_registration_waits_for_one(user: User, region: RegionOfInterest) -> None:
    made = services.request_registration(region, user)
    assert made.status == JobStatus.QUEUED
    assert made.alignment.status == JobStatus.QUEUED
    assert services.request_registration(region, user) == made


def test_an_existing_registration_takes_up_a_wish_for_an_archive(
    user: User, region: RegionOfInterest, alignment: PairAlignment
) -> None:
    wish, other = ({"layout": "native", "patch_size": size} for size in (256, 128))
    live = services.request_registration(region, user)
    for asked in (wish, other, wish):
        services.request_registration(region, user, export_options=asked)
    live.refresh_from_db()
    assert live.export_options == [wish, other]
    assert not live.archives.exists()
    end(live, JobStatus.FAILED)
    again = services.retry(live, user)
    assert isinstance(again, Registration)
    assert again.export_options == [wish, other]
    Registration.objects.exclude(pk=live.pk).delete()
    Registration.objects.filter(pk=live.pk).update(
        status=JobStatus.SUCCEEDED, metrics={"box": [0, 0, 1024, 2048]}
    )
    services.request_registration(region, user, export_options=wish)
    services.request_registration(region, user, export_options=wish)
    assert live.archives.count() == 1


def test_a_registration_whose_files_are_gone_is_made_again(
    user: User, region: RegionOfInterest, alignment: PairAlignment
) -> None:
    first = services.request_registration(region, user)
    Registration.objects.filter(pk=first.pk).update(
        status=JobStatus.SUCCEEDED, metrics={"box": [0, 0, 1024, 2048]}, folder="registrations/0/1"
    )
    first.refresh_from_db()
    with pytest.raises(InvalidInput) as caught:
        services.request_archive(first, user)
    assert (caught.value.code, caught.value.field) == ("registration_files_gone", "registration")
    second = services.request_registration(region, user)
    assert (second.pk == first.pk, second.status) == (False, JobStatus.QUEUED)
    first.refresh_from_db()
    assert (first.status, first.error_code) == (JobStatus.FAILED, "files_gone")


def test_a_registration_waits_for_the_alignment_that_follows_a_refused_one(
    user: User, region: RegionOfInterest, alignment: PairAlignment
) -> None:
    end(alignment, JobStatus.REFUSED)
    assert services.request_registration(region, user).alignment == alignment
    following = services.request_alignment(region.pair, user, reason="um/px corrected")
    assert services.request_registration(region, user, method="rigid").alignment == following


@pytest.mark.parametrize(
    ("asked", "code", "field"),
    [
        ({"method": "magic"}, "unknown_method", "method"),
        ({"grid": "other"}, "unknown_grid", "grid"),
        ({"export_options": {"layout": "tar"}}, "unknown_layout", "layout"),
        ({"export_options": {"patch_size": 0}}, "bad_patch_size", "patch_size"),
        ({"export_options": {"patch_size": -256}}, "bad_patch_size", "patch_size"),
        ({"export_options": {"patch_size": "256"}}, "bad_patch_size", "patch_size"),
        ({"export_options": {"patch_size": 1025}}, "patch_larger_than_region", "patch_size"),
        ({"grid": "ihc", "export_options": {"patch_size": 513}}, "patch_larger_than_region", "patch_size"),
    ],
)
def test_wrong_requests_are_named_and_leave_no_row(
    user: User,
    region: RegionOfInterest,
    alignment: PairAlignment,
    asked: dict[str, object],
    code: str,
    field: str,
) -> None:
    with pytest.raises(InvalidInput) as caught:
        services.request_registration(region, user, **asked)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.field) == (code, field)
    assert not Registration.objects.exists()


def test_a_refused_registration_is_exported_only_with_a_reason(user: User, queued: Registration) -> None:
    with pytest.raises(InvalidInput, match="only a finished one"):
        services.request_archive(queued, user)
    Registration.objects.filter(pk=queued.pk).update(
        status=JobStatus.REFUSED, metrics={"box": [0, 0, 1024, 2048]}
    )
    queued.refresh_from_db()
    with pytest.raises(InvalidInput) as caught:
        services.request_archive(queued, user, override_note="  ")
    assert (caught.value.code, caught.value.field) == ("registration_refused", "override_note")
    archive = services.request_archive(queued, user, override_note="checked by eye")
    assert archive.override_note == "checked by eye"
    assert services.request_archive(queued, user, override_note="checked by eye") == archive
    assert services.request_archive(queued, user, override_note="x", patch_size=128) != archive


def test_review_is_for_finished_registrations(user: User, queued: Registration) -> None:
    with pytest.raises(InvalidInput, match="finished"):
        services.review(queued, user, "accepted")
    end(queued, JobStatus.SUCCEEDED)
    reviewed = services.review(queued, user, "rejected", "folded tissue")
    assert (reviewed.review, reviewed.reviewed_by, reviewed.review_note) == (
        "rejected",
        user,
        "folded tissue",
    )
    with pytest.raises(InvalidInput) as caught:
        services.review(queued, user, "perhaps")
    assert caught.value.field == "decision"


def test_what_was_refused_is_accepted_only_with_a_note(user: User, queued: Registration) -> None:
    end(queued, JobStatus.REFUSED)
    with pytest.raises(InvalidInput, match="say why in a note") as caught:
        services.review(queued, user, "accepted", "  ")
    assert (caught.value.code, caught.value.field) == ("registration_refused", "note")
    assert services.review(queued, user, "rejected").review == "rejected"
    assert services.review(queued, user, "accepted", "the other half matches").review == "accepted"


@pytest.mark.parametrize(
    ("box", "code", "field"),
    [
        ((19000, 0, 1024, 1024), "box_outside_slide", "x"),
        ((-1, 0, 1024, 1024), "box_outside_slide", "x"),
        ((0, 15000, 1024, 1024), "box_outside_slide", "y"),
        ((0, 0, 0, 1024), "bad_width", "width"),
        ((0, 0, 1024, -5), "bad_height", "height"),
        ((0, 0, 16385, 1024), "bad_width", "width"),
    ],
)
def test_a_region_lies_inside_its_slide(
    user: User, pair: SlidePair, box: tuple[int, int, int, int], code: str, field: str
) -> None:
    x, y, width, height = box
    with pytest.raises(InvalidInput) as caught:
        services.create_region(pair, user, frame="he", x=x, y=y, width=width, height=height)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert not RegionOfInterest.objects.exists()


def test_a_region_moves_until_something_is_registered_for_it(
    user: User, region: RegionOfInterest, alignment: PairAlignment
) -> None:
    services.move_region(region, x=5, y=6, width=700, height=800)
    assert (region.x, region.y, region.width, region.height) == (5, 6, 700, 800)
    made = services.request_registration(region, user)
    with pytest.raises(InvalidInput, match="stays in place"):
        services.move_region(region, x=0, y=0, width=700, height=800)
    with pytest.raises(InvalidInput) as caught:
        services.delete_region(region)
    assert caught.value.code == "region_busy"
    end(made, JobStatus.SUCCEEDED)
    services.delete_region(region)
    assert not Registration.objects.exists()


def test_the_box_on_the_other_slide_has_the_same_size_in_um_and_stays_inside(
    queued: Registration, pair: SlidePair
) -> None:
    he = Frame("fixed", Size(20000, 16000), (0.25, 0.25))
    ihc = Frame("moving", Size(10000, 9000), (0.5, 0.5))
    half = AffineTransform(np.array([[0.5, 0, 10], [0, 0.5, 20], [0, 0, 1]]), he, ihc)
    assert services.grid_box(queued, half) == Box(1000, 2000, 1024, 2048)
    queued.grid = "ihc"
    assert services.grid_box(queued, half) == Box(510, 1020, 512, 1024)
    queued.region.x = 0
    far_left = AffineTransform(np.array([[0.5, 0, -100], [0, 0.5, 20], [0, 0, 1]]), he, ihc)
    assert services.grid_box(queued, far_left) == Box(0, 1020, 412, 1024)
    queued.grid, queued.region.frame = "he", "ihc"
    queued.region.x, queued.region.y, queued.region.width, queued.region.height = 510, 1020, 512, 1024
    assert services.grid_box(queued, half) == Box(1000, 2000, 1024, 2048)
