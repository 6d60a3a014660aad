"""Landmarks in regions of the real re-stained section: where cells match they do no harm, however they are
placed; where nothing can be matched, and where the start is lost, they help.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from registration.engine.config import preset
from registration.engine.constraints import Constraints, Landmarks, checked_landmarks, excluding
from registration.engine.geometry import Box, Points
from registration.engine.matrices import shift
from registration.engine.measuring import RegionTask
from registration.engine.overviews import downsamples
from registration.engine.pipeline import register
from registration.engine.regionfit import fit_with_field
from registration.engine.result import Level, RegistrationResult, no_progress
from registration.engine.robust import fit
from registration.engine.source import PixelSource
from registration.engine.stages import Stages
from registration.engine.synthetic.warped import WarpedSource, frame_of
from registration.engine.transforms import AffineTransform, DisplacementField, Transform
from viewer.wsi import SlideReader

pytestmark = pytest.mark.data

BOX = Box(512, 1536, 512, 1024)
#: Level-0 px per um.
UM = 4.0
Truth = tuple[Points, Points]
Slides = tuple[PixelSource, PixelSource]


@pytest.fixture(scope="module")
def slides(he: SlideReader, ihc: SlideReader) -> Slides:
    return he, ihc


@pytest.fixture(scope="module")
def start(slides: Slides, truth: Truth) -> AffineTransform:
    """What a slide-level alignment gives: a similarity, some px off."""
    return _start(slides, shift(5.0, -4.0) @ fit(*truth, np.ones(len(truth[0])), "similarity"))


def _start(slides: Slides, matrix: Points) -> AffineTransform:
    return AffineTransform(matrix, frame_of(slides[0], "fixed"), frame_of(slides[1], "moving"))


@pytest.fixture(scope="module")
def inside(truth: Truth) -> Truth:
    kept = ((truth[0] >= (BOX.x, BOX.y)) & (truth[0] < (BOX.right, BOX.bottom))).all(axis=1)
    return truth[0][kept], truth[1][kept]


@pytest.fixture(scope="module")
def alone(slides: Slides, start: Transform) -> RegistrationResult:
    """Without landmarks."""
    return _registered(slides, start)


def _registered(slides: Slides, start: Transform, marks: Landmarks | None = None) -> RegistrationResult:
    said = Constraints() if marks is None else Constraints(marks)
    return register(*slides, BOX, preset("accurate"), initial=start, constraints=said)


def _placed(inside: Truth, count: int, off: Points) -> Landmarks:
    """Some true places, `off` by (count, 2) um."""
    chosen = np.linspace(0, len(inside[0]) - 1, count).astype(int)
    return checked_landmarks(inside[0][chosen], inside[1][chosen] + UM * off)


def _slipped(count: int, um: float) -> Points:
    off = np.zeros((count, 2))
    off[count // 2] = (0.6 * um, -0.8 * um)
    return off


WRONG = {
    "2 um of scatter": (np.random.default_rng(5).normal(0, 2 / np.sqrt(2), (6, 2)), 0),
    "a slip of 6 um": (_slipped(1, 6), 1),
    "one of three 25 um off": (_slipped(3, 25), 1),
    "all shifted by 10 um": (np.tile((10.0, 0.0), (3, 1)), 3),
}


@pytest.mark.parametrize("how", WRONG)
def test_wrong_landmarks_spoil_nothing_and_are_named(
    slides: Slides, start: Transform, inside: Truth, alone: RegistrationResult, how: str
) -> None:
    off, named = WRONG[how]
    found = _registered(slides, start, _placed(inside, len(off), off))
    for share in (50, 90):
        without, guided = (np.percentile(_errors(each.transform, inside), share) for each in (alone, found))
        assert guided <= max(1.1 * without, without + 0.05 * UM)
    assert _stated(found, inside) >= _stated(alone, inside) > 0.9
    messages = [reason.message for reason in found.verdict.reasons if reason.code == "landmarks_left_out"]
    assert [f"{named} of {len(off)}" in message for message in messages] == [True] * (named > 0)
    assert found.verdict.level is (Level.CHECK if named else Level.GOOD)


def _errors(transform: Transform, places: Truth) -> Points:
    """Level-0 px."""
    return np.asarray(np.linalg.norm(transform(places[0]) - places[1], axis=1))


def _stated(found: RegistrationResult, places: Truth) -> float:
    """Share of the places that are no further off than their square says."""
    assert found.expected is not None
    over = [found.expected.over(Box(int(x), int(y), 1, 1)) for x, y in places[0]]
    return float((_errors(found.transform, places) <= over).mean())


@pytest.mark.parametrize(("slip", "followed"), [(0.0, True), (25.0, False)])
def test_landmarks_are_followed_where_the_tissue_is_missing(
    slides: Slides,
    start: Transform,
    truth: Truth,
    alone: RegistrationResult,
    slip: float,
    followed: bool,
) -> None:
    """The tissue bulges by 4.5 um within a spot that one of the slides does not show."""
    centre, half = np.array([(768.0, 2048.0)]), 200
    bulge = _bulge(slides[1], alone.transform(centre)[0], (16.0, -8.0), half / 2.2)
    spot = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1))) * half + centre
    torn = excluding(slides[0], (spot,)), WarpedSource(slides[1], bulge)

    def true(points: Points) -> Points:
        return bulge.inverse()(alone.transform(points))

    marks = centre + 0.4 * half * np.array(((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)))
    said = checked_landmarks(marks, true(marks) + UM * _slipped(len(marks), slip))
    without, found = (_registered(torn, start, each) for each in (None, said))
    places = centre + np.random.default_rng(1).uniform(-0.6 * half, 0.6 * half, (100, 2))
    before, after = (np.median(_errors(each.transform, (places, true(places)))) for each in (without, found))
    assert before > 2 * UM
    assert after < 0.25 * before if followed else after == before
    left_out = "landmarks_left_out" in [reason.code for reason in found.verdict.reasons]
    assert left_out is not followed
    beside = np.abs(truth[0] - centre).max(axis=1) > half
    around = truth[0][beside], bulge.inverse()(truth[1][beside])
    at_all = ((around[0] >= (BOX.x, BOX.y)) & (around[0] < (BOX.right, BOX.bottom))).all(axis=1)
    kept = around[0][at_all], around[1][at_all]
    assert np.median(_errors(found.transform, kept)) <= np.median(_errors(without.transform, kept)) + 0.1


def _bulge(slide: PixelSource, at: Points, most: tuple[float, float], sigma: float) -> DisplacementField:
    """Level-0 px of `slide`; it has nearly died away at 2.2 sigma."""
    spacing = 16.0
    xs, ys = np.arange(0, slide.width + spacing, spacing), np.arange(0, slide.height + spacing, spacing)
    height = np.exp(-((xs - at[0]) ** 2 + (ys[:, None] - at[1]) ** 2) / (2 * sigma**2))
    return DisplacementField(
        height[..., None] * most, (0.0, 0.0), (spacing, spacing), frame_of(slide, "moving")
    )


@pytest.mark.parametrize("slip", [0.0, 25.0])
def test_three_landmarks_bring_a_lost_region_back(
    slides: Slides, start: AffineTransform, inside: Truth, alone: RegistrationResult, slip: float
) -> None:
    """Started 400 px off nothing is found, and said so; three landmarks in the region are enough, even if one
    of them is a slip.
    """
    lost = _start(slides, shift(400, 0) @ start.matrix)
    off = np.array(((2, -2), (-2, 1), (1, 2))) / UM + _slipped(3, slip)
    coarse, _ = downsamples(*slides, 860)
    task = RegionTask(*slides, BOX, lost, coarse, preset("accurate"))
    assert not fit_with_field(task, Stages(no_progress)).evidence.level_zero
    found = fit_with_field(replace(task, landmarks=_placed(inside, 3, off)), Stages(no_progress))
    assert found.model == "field"
    assert np.median(_errors(found.transform, inside)) <= 1.1 * np.median(_errors(alone.transform, inside))
    assert found.left_out == (slip > 0)
