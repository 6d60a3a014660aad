"""Adding slides, pairing them, opening them by their record."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User

from tests.viewer.pyramids import noise, write_pyramid
from viewer import services
from viewer.errors import InvalidInput
from viewer.models import Sections, Slide, SlidePair, SlideStatus, Stain
from viewer.signals import pair_created
from viewer.stains import guess_stain
from viewer.thumbnails import thumbnail_path
from viewer.wsi import SlideError


def test_facts_of_a_slide(user: User, he_file: Path) -> None:
    slide = services.add_slide(he_file, user)
    assert (slide.status, slide.width, slide.height) == (SlideStatus.READY, 600, 500)
    assert (slide.mpp_x, slide.mpp_y) == pytest.approx((0.25, 0.25))
    assert not slide.mpp_stated
    assert (slide.name, slide.stain, slide.vendor) == ("case7-HE.tif", Stain.HE, "generic-tiff")
    assert slide.size_bytes == he_file.stat().st_size
    assert thumbnail_path(slide.fingerprint).is_file()
    assert (
        list(thumbnail_path("").parent.glob(".*.jpg")) == [thumbnail_path("")] * thumbnail_path("").exists()
    )


def test_same_content_is_the_same_slide(user: User, other_user: User, he_file: Path, tmp_path: Path) -> None:
    first = services.add_slide(he_file, user)
    copy = Path(shutil.copy(he_file, tmp_path / "copy.tif"))
    again = services.add_slide(copy, user)
    assert again.pk == first.pk
    assert (again.name, again.path) == (first.name, str(he_file))
    assert services.add_slide(he_file, other_user).pk != first.pk


def test_a_moved_file_is_found_again(user: User, he_file: Path, tmp_path: Path) -> None:
    first = services.add_slide(he_file, user, um_per_px=(0.3, 0.3))
    moved = he_file.rename(tmp_path / "moved.tif")
    again = services.add_slide(moved, user)
    assert (again.pk, again.path, again.mpp_x) == (first.pk, str(moved), 0.3)


def test_statements_are_kept_and_can_be_changed(user: User, he_file: Path) -> None:
    services.add_slide(he_file, user, stain="other", um_per_px=(0.5, 0.6), patient="P-17")
    again = services.add_slide(he_file, user)
    assert (again.stain, again.mpp_x, again.mpp_y, again.patient) == ("other", 0.5, 0.6, "P-17")
    assert again.mpp_stated
    assert services.add_slide(he_file, user, stain="ihc").stain == "ihc"


@pytest.mark.data
def test_missing_mpp_is_asked_for(user: User, data_dir: Path) -> None:
    slide = services.add_slide(data_dir / "slides/tcga-cr-7395-ts1.svs", user)
    assert (slide.status, slide.mpp_x) == (SlideStatus.NEEDS_MPP, None)
    services.state_mpp(slide, 0.25, 0.25)
    slide.refresh_from_db()
    assert (slide.status, slide.mpp_x, slide.mpp_stated) == (SlideStatus.READY, 0.25, True)
    with services.open_record(slide) as reader:
        assert reader.um_per_px == (0.25, 0.25)


@pytest.mark.parametrize("mpp", [0, -1, 0.001, 101, float("nan"), float("inf")])
def test_impossible_mpp(user: User, no_mpp_file: Path, mpp: float) -> None:
    slide = services.add_slide(no_mpp_file, user)
    with pytest.raises(InvalidInput) as caught:
        services.state_mpp(slide, 0.25, mpp)
    assert caught.value.code == "mpp_out_of_range"
    with pytest.raises(InvalidInput) as caught:
        services.add_slide(no_mpp_file, user, um_per_px=(mpp, 0.25))
    assert caught.value.field == "um_per_px"
    slide.refresh_from_db()
    assert slide.status == SlideStatus.NEEDS_MPP


def test_unreadable_slide_gets_a_row_that_says_why(user: User, tmp_path: Path, he_file: Path) -> None:
    broken = tmp_path / "cut.tif"
    broken.write_bytes(he_file.read_bytes()[:-1000])
    slide = services.add_slide(broken, user)
    assert slide.status == SlideStatus.FAILED
    assert "cut off" in slide.error
    assert not thumbnail_path(slide.fingerprint).exists()
    with pytest.raises(SlideError):
        services.open_record(slide)


@pytest.mark.parametrize(("stated", "field"), [({"stain": "pink"}, "stain"), ({}, "path")])
def test_nothing_is_recorded_of_bad_input(
    user: User, tmp_path: Path, he_file: Path, stated: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        services.add_slide(he_file if stated else tmp_path / "gone.svs", user, **stated)
    assert caught.value.field == field
    assert not Slide.objects.exists()


def test_open_record_refuses_another_file_at_the_same_path(user: User, he_file: Path) -> None:
    slide = services.add_slide(he_file, user)
    original = he_file.read_bytes()
    write_pyramid(he_file, [noise(600, 500, seed=9)])
    with pytest.raises(SlideError) as caught:
        services.open_record(slide)
    assert caught.value.code == "changed"
    he_file.write_bytes(original)
    services.open_record(slide).close()
    he_file.unlink()
    with pytest.raises(SlideError) as caught:
        services.open_record(slide)
    assert caught.value.code == "not_found"


def test_visible_to(user: User, other_user: User, admin_user: User, he_file: Path, ihc_file: Path) -> None:
    mine, theirs = services.add_slide(he_file, user), services.add_slide(ihc_file, other_user)
    assert set(Slide.objects.visible_to(user)) == {mine}
    assert set(Slide.objects.visible_to(other_user)) == {theirs}
    assert set(Slide.objects.visible_to(admin_user)) == {mine, theirs}
    assert not Slide.objects.visible_to(AnonymousUser()).exists()
    admin_user.is_active = False
    assert not Slide.objects.visible_to(admin_user).exists()


@pytest.fixture
def slides(user: User, he_file: Path, ihc_file: Path) -> tuple[Slide, Slide]:
    return services.add_slide(he_file, user), services.add_slide(ihc_file, user)


def test_a_pair_is_announced_once(user: User, slides: tuple[Slide, Slide]) -> None:
    heard: list[SlidePair] = []

    def listen(sender: Any, pair: SlidePair, **kwargs: Any) -> None:
        heard.append(pair)

    pair_created.connect(listen)
    try:
        pair = services.make_pair(*slides, user)
        again = services.make_pair(*slides, user, Sections.SAME, "case 7")
    finally:
        pair_created.disconnect(listen)
    assert heard == [pair]
    assert pair.name == "case7-HE.tif + case7-Ki67.tif"
    assert (again.pk, again.sections, again.name) == (pair.pk, Sections.SAME, "case 7")


def test_a_pair_tells_the_stain_of_slides_that_do_not(user: User, tmp_path: Path) -> None:
    fixed, moving = (
        services.add_slide(write_pyramid(tmp_path / f"{seed}.tif", [noise(300, 300, seed)]), user)
        for seed in (1, 2)
    )
    services.make_pair(fixed, moving, user)
    assert list(Slide.objects.order_by("pk").values_list("stain", flat=True)) == [Stain.HE, Stain.IHC]


def test_pairs_that_can_not_be(
    user: User, other_user: User, slides: tuple[Slide, Slide], tmp_path: Path, no_mpp_file: Path
) -> None:
    he, ihc = slides
    text = tmp_path / "text.svs"
    text.write_text("hello")
    bad, silent = services.add_slide(text, user), services.add_slide(no_mpp_file, user)
    cases: list[tuple[tuple[Any, ...], str, str]] = [
        ((he, he, user), "same_slide", "moving"),
        ((he, ihc, other_user), "not_found", "fixed"),
        ((he, bad, user), "slide_unreadable", "moving"),
        ((silent, ihc, user), "mpp_missing", "fixed"),
        ((he, ihc, user, "both"), "unknown_sections", "sections"),
    ]
    for arguments, code, field in cases:
        with pytest.raises(InvalidInput) as caught:
            services.make_pair(*arguments)
        assert (caught.value.code, caught.value.field) == (code, field)
    assert not SlidePair.objects.exists()


def test_two_slides_without_mpp_can_be_a_pair(user: User, no_mpp_file: Path, tmp_path: Path) -> None:
    other = write_pyramid(tmp_path / "b.tif", [noise(300, 300, 5)], um_per_px=None)
    pair = services.make_pair(services.add_slide(no_mpp_file, user), services.add_slide(other, user), user)
    assert pair.pk


@pytest.mark.parametrize(
    ("name", "stain"),
    [
        ("case7-HE.tif", Stain.HE),
        ("he.tiff", Stain.HE),
        ("P1_H&E.svs", Stain.HE),
        ("ihc.tiff", Stain.IHC),
        ("T1 Ki67.svs", Stain.IHC),
        ("CD31.ndpi", Stain.IHC),
        ("the-heart.svs", Stain.UNKNOWN),
        ("HE-ihc.svs", Stain.UNKNOWN),
        ("12345.svs", Stain.UNKNOWN),
    ],
)
def test_stain_by_name(name: str, stain: Stain) -> None:
    assert guess_stain(name) == stain
