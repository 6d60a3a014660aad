"""The cases themselves: their truths must be true, and the same seed must give the same case."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from registration.engine.geometry import Box, Frame, Size
from registration.engine.resample import warp_region
from registration.engine.source import PixelSource
from registration.engine.stains import density
from registration.engine.synthetic import ArraySource, phantom_arrays
from registration.engine.synthetic.cases import (
    Case,
    Material,
    from_landmarks,
    phantom_material,
    random_case,
    random_cases,
    same_image,
    wrong_cases,
)
from registration.engine.transforms import AffineTransform, Transform

SIZE = 448


@pytest.fixture(scope="module")
def material() -> list[Material]:
    return phantom_material(3, 3, SIZE)


@pytest.fixture(scope="module")
def cases(material: list[Material]) -> list[Case]:
    return list(random_cases(11, 6, material))


def test_a_case_s_truth_has_no_error_and_others_have(cases: list[Case]) -> None:
    for case in cases:
        assert case.truth is not None
        assert not case.wrong
        assert case.median_error(case.truth) == pytest.approx((0, 0), abs=1e-6)
        frames = case.truth.fixed.size, case.truth.moving.size
        assert frames == tuple(_size(source) for source in (case.fixed, case.moving))
        off = AffineTransform(
            [[1.0, 0.0, 30.0], [0.0, 1.0, 40.0], [0.0, 0.0, 1.0]], case.truth.moving, case.truth.moving
        )
        share, px = case.median_error(off @ case.truth)
        assert px == pytest.approx(50)
        assert share == pytest.approx(50 / case.diagonal)
        assert len(case.points) >= 30
        assert 0.4 <= case.overlap <= 1


def test_the_pixels_are_where_the_truth_says(cases: list[Case]) -> None:
    """Pulled through the truth the moving slide looks like the fixed one, and less so 4 px beside it."""
    for case in cases:
        if not case.same_section:
            continue
        assert case.truth is not None
        at = [_likeness(case, _beside(case.truth, shift)) for shift in (0.0, 4.0, -4.0)]
        assert at[0] > 0.5
        assert at[0] > max(at[1:]) + 0.05


def test_points_lie_in_tissue_that_both_slides_show(cases: list[Case]) -> None:
    for case in cases:
        assert case.truth is not None
        for points, source in ((case.points, case.fixed), (case.truth(case.points), case.moving)):
            assert ((points >= 0) & (points <= (source.width, source.height))).all()
        rgb, _ = case.fixed.read(0, 0, case.fixed.width, case.fixed.height, 1.0)
        column, row = np.minimum(case.points, (case.fixed.width - 1, case.fixed.height - 1)).astype(int).T
        assert (cv2.blur(density(rgb), (9, 9))[row, column] > 0.03).mean() > 0.9


def test_both_slides_or_none_state_their_scale(cases: list[Case]) -> None:
    known = [case.fixed.um_per_px is not None for case in cases]
    assert known == [case.moving.um_per_px is not None for case in cases]
    assert True in known
    assert False in known
    for case in cases:
        assert case.truth is not None
        corners = case.truth(case.truth.fixed.size.box.corners())
        scale = float(np.linalg.norm(corners[2] - corners[0])) / case.truth.fixed.size.diagonal
        if case.fixed.um_per_px and case.moving.um_per_px:
            assert scale == pytest.approx(case.fixed.um_per_px[0] / case.moving.um_per_px[0], rel=0.1)
        else:
            assert 0.45 < scale < 2.2


def test_the_same_seed_gives_the_same_case(material: list[Material], cases: list[Case]) -> None:
    again = random_case((11, 4), material[1])
    assert again.name == cases[4].name
    assert _bytes(again.moving) == _bytes(cases[4].moving)
    assert again.points.tobytes() == cases[4].points.tobytes()
    assert _bytes(random_case((12, 4), material[1]).moving) != _bytes(again.moving)


def test_wrong_pairs_are_other_specimens_and_disjoint_halves(material: list[Material]) -> None:
    pairs = list(wrong_cases(material))
    assert len(pairs) == 3 * 2 + 3 * 2
    assert {case.group for case in pairs} == {"wrong: mixture", "wrong: halves"}
    for case in pairs:
        assert case.wrong
        assert case.truth is None
        with pytest.raises(ValueError, match="no right answer"):
            case.errors(AffineTransform.identity(_frame(material[0])))


def test_sections_of_one_specimen_are_no_wrong_pair() -> None:
    image = phantom_arrays(400, 3).he
    one, other = same_image("a", image, "specimen"), same_image("b", image, "specimen")
    assert {case.group for case in wrong_cases([one, other])} == {"wrong: halves"}


def test_landmarks_are_carried_along() -> None:
    """Sections whose truth is known at points only: measured there, the truth being the plan's alone."""
    pair = phantom_arrays(448, 5, rotation=0, field_px=0, shift=(6.0, -4.0))
    fixed = np.random.default_rng(0).uniform(100, 350, (60, 2))
    landmarks = fixed, pair.truth(fixed)
    known = Material("known", "x", pair.he, pair.ihc, pair.truth, same_section=True)
    marked = from_landmarks("marked", "x", pair.he, pair.ihc, landmarks)
    for seed in range(2):
        exact, case = random_case((7, seed), known), random_case((7, seed), marked)
        assert case.truth is None
        assert case.targets is not None
        assert exact.truth is not None
        assert 12 <= len(case.points) <= 60
        if _bytes(exact.moving) == _bytes(case.moving):
            np.testing.assert_allclose(exact.truth(case.points), case.targets, atol=1e-4)


def _likeness(case: Case, transform: Transform) -> float:
    """Correlation of optical density over the fixed slide, where both show something."""
    box = Box(0, 0, case.fixed.width, case.fixed.height)
    pulled, valid = warp_region(case.moving, transform, box)
    fixed, _ = case.fixed.read(0, 0, box.width, box.height, 1.0)
    near = np.zeros(valid.shape, np.uint8)
    column, row = np.minimum(case.points, (box.width - 1, box.height - 1)).astype(int).T
    near[row, column] = 1
    chosen = (cv2.dilate(near, np.ones((15, 15), np.uint8)) > 0) & valid
    one, other = (np.sqrt(density(rgb))[chosen].astype(float) for rgb in (fixed, pulled))
    return float(np.corrcoef(one, other)[0, 1])


def _beside(truth: Transform, px: float) -> Transform:
    matrix = [[1.0, 0.0, px], [0.0, 1.0, px], [0.0, 0.0, 1.0]]
    return truth @ AffineTransform(matrix, truth.fixed, truth.fixed)


def _size(source: PixelSource) -> Size:
    assert isinstance(source, ArraySource)
    return source.size


def _frame(material: Material) -> Frame:
    return material.moving_from_fixed.fixed


def _bytes(source: PixelSource) -> bytes:
    assert isinstance(source, ArraySource)
    return source.rgb.tobytes()
