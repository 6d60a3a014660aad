"""The administrator's pages for slides and pairs."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from viewer import services
from viewer.models import Slide, SlideStatus


@pytest.fixture
def office(client: Client, admin_user: User) -> Client:
    client.force_login(admin_user)
    return client


@pytest.fixture
def silent(user: User, no_mpp_file: Path) -> Slide:
    return services.add_slide(no_mpp_file, user)


def edit(office: Client, slide: Slide, **fields: object) -> bytes:
    form = {"name": slide.name, "stain": slide.stain, "patient": "", "mpp_x": "", "mpp_y": "", **fields}
    return bytes(office.post(f"/admin/viewer/slide/{slide.pk}/change/", form).content)


def test_lists_can_be_searched(
    office: Client, user: User, silent: Slide, he_file: Path, ihc_file: Path
) -> None:
    pair = services.make_pair(services.add_slide(he_file, user), services.add_slide(ihc_file, user), user)
    assert b"silent.tif" in office.get("/admin/viewer/slide/?q=silent").content
    assert b"silent.tif" not in office.get("/admin/viewer/slide/?status__exact=ready").content
    assert pair.name.encode() in office.get("/admin/viewer/slidepair/?q=Ki67").content
    assert office.get(f"/admin/viewer/slidepair/{pair.pk}/change/").status_code == 200


def test_entering_mpp_makes_the_slide_ready(office: Client, silent: Slide) -> None:
    edit(office, silent, mpp_x="0.5", mpp_y="0.25")
    silent.refresh_from_db()
    assert (silent.status, silent.mpp_x, silent.mpp_y, silent.mpp_stated) == (
        SlideStatus.READY,
        0.5,
        0.25,
        True,
    )


@pytest.mark.parametrize("mpp", [("0.5", ""), ("", "0.5"), ("0", "0"), ("1000", "1"), ("nan", "1")])
def test_impossible_mpp_is_refused(office: Client, silent: Slide, mpp: tuple[str, str]) -> None:
    assert b"errorlist" in edit(office, silent, mpp_x=mpp[0], mpp_y=mpp[1])
    silent.refresh_from_db()
    assert (silent.status, silent.mpp_x) == (SlideStatus.NEEDS_MPP, None)


def test_mpp_can_not_be_taken_away(office: Client, user: User, he_file: Path) -> None:
    slide = services.add_slide(he_file, user)
    assert b"not taken away" in edit(office, slide)


def test_facts_of_the_file_stay(office: Client, silent: Slide) -> None:
    edit(office, silent, path="/elsewhere", fingerprint="0", width="5", patient="P-9")
    before = (silent.path, silent.fingerprint, silent.width)
    silent.refresh_from_db()
    assert (silent.path, silent.fingerprint, silent.width) == before
    assert silent.patient == "P-9"
    assert office.get("/admin/viewer/slide/add/").status_code == 403
    assert office.get("/admin/viewer/slidepair/add/").status_code == 403
