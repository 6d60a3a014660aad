"""A stored alignment comes back as the same transform, whichever of the slides carries the grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from django.conf import settings

from registration import services
from registration.engine.config import preset
from registration.engine.errors import EngineError
from registration.engine.geometry import Frame, Points, Size
from registration.engine.result import Level, RegistrationResult, Verdict
from registration.engine.source import Mask, Rgb
from registration.engine.transforms import (
    AffineTransform,
    DisplacementField,
    Transform,
    save_transform,
)
from registration.engine.transforms.io import affine_and_field
from registration.models import JobStatus, PairAlignment, RegionOfInterest
from registration.stored import alignment_transform, is_lost
from registration.work import as_trusted_as
from tests.registration.conftest import MATRIX


class Sized:
    """A slide of which only the size and um/px matter."""

    def __init__(self, width: int, height: int, um: float) -> None:
        self.width, self.height = width, height
        self.um_per_px: tuple[float, float] | None = (um, um)

    def read(self, x: float, y: float, columns: int, rows: int, downsample: float) -> tuple[Rgb, Mask]:
        raise AssertionError("nothing is read")


HE, IHC = Sized(20000, 16000, 0.25), Sized(10000, 9000, 0.5)
TURNED = [[0.1, -0.49, 8000.0], [0.48, 0.11, 300.0], [0.0, 0.0, 1.0]]


def frames(scale: float = 1.0) -> tuple[Frame, Frame]:
    """scale : of the um/px that were known when it was stored."""
    return (
        Frame("fixed", Size(20000, 16000), (0.25 * scale, 0.25 * scale)),
        Frame("moving", Size(10000, 9000), (0.5, 0.5)),
    )


def bent(scale: float = 1.0) -> Transform:
    """An affine after a smooth field of up to 60 px, nodes every 400 px."""
    he, ihc = frames(scale)
    ys, xs = np.mgrid[0:41, 0:51] * 400.0
    waves = np.stack((60 * np.sin(xs / 3000), 60 * np.cos(ys / 2500)), axis=-1)
    return AffineTransform(TURNED, he, ihc) @ DisplacementField(waves, (0, 0), (400, 400), he)


def store(alignment: PairAlignment, transform: Transform) -> None:
    alignment.folder = "alignments/stored-by-hand/1"  # no number that a job could have
    place = Path(settings.DATA_DIR) / alignment.folder
    place.mkdir(parents=True, exist_ok=True)
    save_transform(place / "transform.json", transform, verdict="good", engine_version="0")


def points() -> Points:
    return np.random.default_rng(2).uniform((1500, 1500), (18500, 14500), (400, 2))


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_with_the_grid_on_the_he_it_is_the_stored_one_in_the_slides_own_frames(
    alignment: PairAlignment, scale: float
) -> None:
    store(alignment, bent(scale))
    found = alignment_transform(alignment, "he", HE, IHC)
    assert np.array_equal(found(points()), bent()(points()))
    assert (found.fixed, found.moving) == frames()


def test_with_the_grid_on_the_ihc_it_is_the_inverse_in_a_form_that_can_be_stored(
    alignment: PairAlignment,
) -> None:
    store(alignment, bent())
    found = alignment_transform(alignment, "ihc", IHC, HE)
    assert (found.fixed.name, found.fixed.size, found.moving.size) == (
        "fixed",
        Size(10000, 9000),
        Size(20000, 16000),
    )
    assert affine_and_field(found)[1] is not None
    there = bent()(points())
    inside = ((there > 200) & (there < (9800, 8800))).all(axis=1)
    assert inside.sum() > 50
    back = np.linalg.norm(found(there) - points(), axis=1)[inside]
    assert back.max() < 1.0
    straight = AffineTransform(TURNED, *frames()).inverse()(there)
    assert (
        np.linalg.norm(straight - points(), axis=1)[inside].max() > 40
    )  # without the field it would be lost


@pytest.mark.parametrize("grid", ["he", "ihc"])
def test_one_that_never_had_files_is_its_affine(alignment: PairAlignment, grid: str) -> None:
    assert not is_lost(alignment)
    slides = (HE, IHC) if grid == "he" else (IHC, HE)
    found = alignment_transform(alignment, grid, *slides)
    expected = points() + np.array((MATRIX[0][2], MATRIX[1][2]))
    start, end = (points(), expected) if grid == "he" else (expected, points())
    assert np.abs(found(start) - end).max() < 1e-6


@pytest.mark.parametrize("gone", ["transform.json", "field.npz"])
def test_without_its_files_it_is_not_taken_for_an_affine(alignment: PairAlignment, gone: str) -> None:
    store(alignment, bent())
    assert not is_lost(alignment)
    (Path(settings.DATA_DIR) / alignment.folder / gone).unlink()
    assert is_lost(alignment)
    with pytest.raises(EngineError, match=r"version 1 .* gone or damaged\. Try again") as caught:
        alignment_transform(alignment, "he", HE, IHC)
    assert (caught.value.code, caught.value.permanent) == ("alignment_files_gone", True)


def test_a_region_of_refused_slides_is_refused_and_says_first_what_is_wrong_with_the_slides(
    alignment: PairAlignment,
) -> None:
    good = RegistrationResult(bent(), Verdict(Level.GOOD), None, None, None, preset("fast"), "0")
    assert as_trusted_as(alignment, good) is good
    alignment.status = JobStatus.REFUSED
    alignment.reasons = [{"code": "no_texture", "message": "Check the scans."}]
    verdict = as_trusted_as(alignment, good).verdict
    assert verdict.level is Level.REFUSED
    assert [reason.code for reason in verdict.reasons] == ["alignment_refused", "no_texture"]


@pytest.mark.usefixtures("redis_server")
def test_a_registration_does_not_start_from_an_alignment_without_its_files(
    region: RegionOfInterest, alignment: PairAlignment
) -> None:
    PairAlignment.objects.update(folder="alignments/none/1")
    waiting = services.request_registration(region, region.owner)
    assert (waiting.alignment.version, waiting.alignment.status) == (2, JobStatus.QUEUED)
