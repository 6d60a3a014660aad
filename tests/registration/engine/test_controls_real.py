"""Real landmark pairs: consecutive sections of one specimen, and what must not be made of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from registration.engine.config import preset
from registration.engine.constraints import Constraints, checked_landmarks
from registration.engine.evaluation.field import folding_share
from registration.engine.evaluation.landmarks import LandmarkReport, assess
from registration.engine.geometry import Box
from registration.engine.pipeline import align_slides, register
from registration.engine.result import Level, RegistrationResult
from registration.engine.synthetic import ArraySource
from registration.engine.synthetic.cases import Case, Material, from_landmarks, random_case, wrong_cases
from registration.engine.synthetic.warped import frame_of
from registration.engine.transforms import AffineTransform
from tests.registration.engine.tables import table

pytestmark = pytest.mark.data

ACCURATE = preset("accurate")
#: The images are 5 % of scans at 0.174 um/px.
UM = (3.48, 3.48)
Points = NDArray[np.float64]


class Section:
    """One stain: its image and its landmarks, row i the same place on every section."""

    def __init__(self, folder: Path, name: str) -> None:
        read = cv2.imread(str(folder / f"{name}.jpg"))
        assert read is not None
        self.source = ArraySource(np.ascontiguousarray(read[..., ::-1], np.uint8), UM)
        self.points: Points = table(folder / f"{name}.csv")


@pytest.fixture(scope="module")
def sections(data_dir: Path) -> dict[str, Section]:
    folder = data_dir / "landmarks" / "lung-lesion-3"
    return {name: Section(folder, name) for name in ("He", "Ki67", "proSPC")}


@pytest.fixture(scope="module")
def aligned(sections: dict[str, Section]) -> RegistrationResult:
    return align_slides(sections["Ki67"].source, sections["proSPC"].source, ACCURATE)


def report(result: RegistrationResult, fixed: Section, moving: Section) -> LandmarkReport:
    count = min(len(fixed.points), len(moving.points))
    return assess(result.transform, fixed.points[:count], moving.points[:count])


def test_the_sections_are_matched_to_the_region(
    sections: dict[str, Section], aligned: RegistrationResult
) -> None:
    found = report(aligned, sections["Ki67"], sections["proSPC"])
    assert aligned.verdict.level is not Level.REFUSED
    assert found.rtre.median < 0.01 < found.initial_px.median / 1110
    assert found.robustness > 0.9
    box = Box(50, 50, 600, 500)
    assert folding_share(aligned.transform, box, 8) == 0


def test_the_swapped_pair_gives_about_the_inverse(
    sections: dict[str, Section], aligned: RegistrationResult
) -> None:
    back = align_slides(sections["proSPC"].source, sections["Ki67"].source, ACCURATE)
    found = report(back, sections["proSPC"], sections["Ki67"])
    assert found.rtre.median < 0.01
    points = sections["Ki67"].points
    gaps = np.linalg.norm(back.transform(aligned.transform(points)) - points, axis=1)
    assert np.median(gaps) < 0.01 * 1110


def test_landmarks_in_another_order_are_no_truth(
    sections: dict[str, Section], aligned: RegistrationResult
) -> None:
    """The measure itself: shuffled partners and the identity must look bad."""
    fixed, moving = sections["Ki67"], sections["proSPC"]
    count = min(len(fixed.points), len(moving.points))
    shuffled = np.random.default_rng(0).permutation(count)
    assert assess(aligned.transform, fixed.points[:count], moving.points[shuffled]).rtre.median > 0.05
    same = AffineTransform(np.eye(3), frame_of(fixed.source, "fixed"), frame_of(moving.source, "moving"))
    assert assess(same, fixed.points[:count], moving.points[:count]).rtre.median > 0.01


@pytest.mark.parametrize("method", ["roialign", "rigid"])
def test_a_method_that_diverges_is_refused(
    sections: dict[str, Section], aligned: RegistrationResult, method: str
) -> None:
    """Keypoints hardly match across consecutive sections; what comes of them is right or refused."""
    fixed, moving = sections["Ki67"], sections["proSPC"]
    box = Box(40, 40, fixed.source.width - 80, fixed.source.height - 80)
    result = register(fixed.source, moving.source, box, preset(method), initial=aligned.transform)
    assert result.verdict.level is not Level.GOOD
    assert result.refused or report(result, fixed, moving).rtre.median < 0.02


def test_landmarks_by_hand_are_met(sections: dict[str, Section]) -> None:
    """Half of them given, the other half is no worse for it, and the given ones are nearer."""
    fixed, moving = sections["He"], sections["proSPC"]
    count = min(len(fixed.points), len(moving.points))
    given, held = np.arange(0, count, 8), np.arange(4, count, 8)
    said = Constraints(checked_landmarks(fixed.points[given], moving.points[given]))
    without = align_slides(fixed.source, moving.source, ACCURATE)
    guided = align_slides(fixed.source, moving.source, ACCURATE, constraints=said)
    assert not guided.refused
    figures = {
        (name, rows): float(
            np.median(np.linalg.norm(r.transform(fixed.points[at]) - moving.points[at], axis=1))
        )
        for name, r in (("without", without), ("guided", guided))
        for rows, at in (("given", given), ("held", held))
    }
    assert figures["guided", "given"] < figures["without", "given"]
    assert figures["guided", "held"] < figures["without", "held"] + 2
    assert folding_share(guided.transform, Box(50, 50, 600, 500), 8) == 0


@pytest.mark.parametrize("number", range(1))
def test_turned_cut_and_stained_otherwise(sections: dict[str, Section], number: int) -> None:
    """Cases of the sweep: never a wrong answer that is called good."""
    case = random_case((31, number), material(sections, "Ki67", "proSPC"))
    result = align_slides(case.fixed, case.moving, ACCURATE)
    share, _ = case.median_error(result.transform)
    assert result.refused or share < 0.02
    assert result.refused or folding_share(result.transform, whole(case), 16) < 0.001


def test_halves_of_a_real_section_are_refused(sections: dict[str, Section]) -> None:
    for case in wrong_cases([material(sections, "Ki67", "proSPC")], seed=2):
        assert align_slides(case.fixed, case.moving, ACCURATE).refused, case.name


def material(sections: dict[str, Section], fixed: str, moving: str) -> Material:
    one, other = sections[fixed], sections[moving]
    count = min(len(one.points), len(other.points))
    landmarks = one.points[:count], other.points[:count]
    return from_landmarks(f"{fixed} > {moving}", "lung", one.source, other.source, landmarks)


def whole(case: Case) -> Box:
    return Box(0, 0, case.fixed.width, case.fixed.height)
