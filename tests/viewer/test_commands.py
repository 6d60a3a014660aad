"""add_slides and add_pair."""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from tests.viewer.dicom import write_dicom_slide
from tests.viewer.pyramids import noise
from viewer.models import Sections, Slide, SlidePair, SlideStatus


def run(*arguments: object) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command(*map(str, arguments), stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_folder_with_good_and_bad_files(user: User, tmp_path: Path, he_file: Path, no_mpp_file: Path) -> None:
    write_dicom_slide(tmp_path / "dicom", noise(300, 300, seed=8), 0.25)
    (tmp_path / "text.svs").write_text("hello")
    out, err = run("add_slides", tmp_path)
    assert "3 of 4 slides can be used." in out
    assert f"added    {he_file}: slide " in out
    assert "H&E, 600 x 500 px, 0.25 µm/px" in out
    assert "µm/px missing, state it with --mpp" in out
    assert f"failed   {tmp_path / 'text.svs'}: slide " in err
    assert Slide.objects.filter(owner=user).count() == 4
    again, _ = run("add_slides", tmp_path)
    assert "present" in again
    assert "added " not in again
    assert Slide.objects.count() == 4


def test_statements(user: User, other_user: User, no_mpp_file: Path) -> None:
    options = ["--owner", other_user, "--stain", "ihc", "--mpp", "0.5,0.51", "--patient", "P-3"]
    run("add_slides", no_mpp_file, *options)
    slide = Slide.objects.get()
    assert (slide.owner, slide.stain, slide.patient) == (other_user, "ihc", "P-3")
    assert (slide.mpp_x, slide.mpp_y, slide.status) == (0.5, 0.51, SlideStatus.READY)


def test_nothing_added_is_status_2(user: User, tmp_path: Path) -> None:
    (tmp_path / "text.svs").write_text("hello")
    (tmp_path / "none").mkdir()
    for path in (tmp_path / "text.svs", tmp_path / "gone.svs", tmp_path / "none"):
        with pytest.raises(CommandError) as caught:
            run("add_slides", path)
        assert caught.value.returncode == 2


def test_one_of_several_added_is_success(user: User, tmp_path: Path, he_file: Path) -> None:
    _, err = run("add_slides", tmp_path / "gone.svs", he_file)
    assert "gone.svs: There is no file or folder" in err


def test_a_name_that_is_not_utf_8(user: User, tmp_path: Path, he_file: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.tif"))
    odd.write_bytes(he_file.read_bytes())
    out, err = run("add_slides", tmp_path)
    assert "1 of 2 slides can be used." in out
    assert "caf\ufffd.tif is not UTF-8. Rename" in err


@pytest.mark.parametrize("mpp", ["0", "x", "1,2,3", "-0.25", "nan", "1000"])
def test_impossible_mpp(user: User, he_file: Path, mpp: str) -> None:
    with pytest.raises(CommandError, match="is not µm/px"):
        run("add_slides", he_file, f"--mpp={mpp}")


def test_owner_must_be_clear(db: None, he_file: Path) -> None:
    with pytest.raises(CommandError, match="not clear who owns"):
        run("add_slides", he_file)
    User.objects.create_user("a")
    User.objects.create_user("b")
    with pytest.raises(CommandError, match="--owner"):
        run("add_slides", he_file)
    with pytest.raises(CommandError, match="no user 'c'"):
        run("add_slides", he_file, "--owner", "c")
    root = User.objects.create_superuser("root")
    run("add_slides", he_file)
    assert Slide.objects.get().owner == root


def test_pair_by_path_and_by_id(user: User, he_file: Path, ihc_file: Path) -> None:
    out, _ = run("add_pair", "--he", he_file, "--ihc", ihc_file, "--same-section")
    pair = SlidePair.objects.get()
    assert out == f"pair {pair.pk}: case7-HE.tif + case7-Ki67.tif (same section, stained again)\n"
    assert (pair.sections, pair.fixed.stain, pair.moving.stain) == (Sections.SAME, "he", "ihc")
    run("add_pair", "--he", pair.fixed_id, "--ihc", pair.moving_id, "--consecutive", "--name", "again")
    pair.refresh_from_db()
    assert (pair.sections, pair.name) == (Sections.CONSECUTIVE, "again")
    assert SlidePair.objects.count() == 1


def test_pair_that_can_not_be(
    user: User, other_user: User, he_file: Path, no_mpp_file: Path, tmp_path: Path
) -> None:
    run("add_slides", no_mpp_file, "--owner", other_user)
    theirs = Slide.objects.get().pk
    cases = [
        (he_file, he_file, "two different"),
        (he_file, tmp_path / "gone.svs", "no file or folder"),
        (he_file, theirs, f"no slide {theirs}"),
        (he_file, no_mpp_file, "does not say its µm/px"),
    ]
    for he, ihc, message in cases:
        with pytest.raises(CommandError, match=message) as caught:
            run("add_pair", "--he", he, "--ihc", ihc, "--owner", user)
        assert caught.value.returncode == 2
    assert (
        Slide.objects.get(owner=user, name=he_file.name).stain == "he"
    )  # the slip of the first case left no trace
    run("add_pair", "--he", he_file, "--ihc", no_mpp_file, "--ihc-mpp", "0.5", "--owner", user)
    assert SlidePair.objects.get().moving.mpp_x == 0.5
