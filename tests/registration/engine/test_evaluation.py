"""Landmark and field figures on transforms whose errors are known."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import ArrayLike

from registration.engine.errors import EngineError
from registration.engine.evaluation.field import cell_centres, folding_share, inverse_consistency, jacobian
from registration.engine.evaluation.landmarks import assess, tre_px, tre_um, unregistered
from registration.engine.geometry import Box, Frame, Size
from registration.engine.transforms import AffineTransform, DisplacementField

FIXED = Frame("fixed", Size(1000, 1000), (0.5, 0.5))
MOVING = Frame("moving", Size(3000, 4000), (0.25, 0.5))
BOX = Box(100, 200, 640, 320)


def to_moving(matrix: ArrayLike) -> AffineTransform:
    return AffineTransform(matrix, FIXED, MOVING)


def test_errors_are_measured_on_the_moving_slide() -> None:
    shift = to_moving([[2.0, 0.0, 30.0], [0.0, 1.0, 40.0], [0.0, 0.0, 1.0]])
    fixed = np.array([[10.0, 20.0], [50.0, 60.0]])
    moving = fixed * (2, 1)
    assert_allclose(tre_px(shift, fixed, moving), [50, 50])
    in_um = tre_um(shift, fixed, moving)
    assert in_um is not None
    assert_allclose(in_um, [np.hypot(7.5, 20)] * 2)


def test_the_report_on_known_errors() -> None:
    fixed = np.random.default_rng(1).uniform(0, 1000, (10, 2))
    errors = np.arange(1.0, 11.0)
    moving = fixed * (2, 1) + np.stack((errors, np.zeros(10)), axis=-1)
    report = assess(
        to_moving(np.diag([2, 1, 1])),
        fixed,
        moving,
        to_moving([[2.0, 0.0, 5.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    )
    assert report.count == 10
    assert_allclose((report.px.median, report.px.p90, report.px.max), (5.5, 9.1, 10))
    assert report.um is not None
    assert_allclose(report.um.median, 5.5 * 0.25)
    assert_allclose(report.rtre.max, 10 / 5000)
    assert_allclose(report.initial_px.max, 5)
    # Off by e before, |e - 5| with the initial shift: better than it only for e = 1 and 2.
    assert report.robustness == 0.2


def test_unregistered_is_the_same_place_in_um() -> None:
    assert_allclose(unregistered(FIXED, MOVING)([[100, 100]]), [[200, 100]])
    unknown = Frame("moving", Size(10, 10), None)
    assert_allclose(unregistered(FIXED, unknown)([[100, 100]]), [[100, 100]])


def test_without_um_per_px_there_is_no_um() -> None:
    unknown = Frame("moving", Size(300, 400), None)
    report = assess(AffineTransform(np.eye(3), FIXED, unknown), [[1, 1]], [[1, 2]])
    assert report.um is None
    assert report.initial_um is None
    assert report.px.median == 1


def test_landmarks_must_be_there_and_pair_up() -> None:
    with pytest.raises(EngineError) as caught:
        assess(to_moving(np.eye(3)), np.empty((0, 2)), np.empty((0, 2)))
    assert caught.value.code == "no_landmarks"
    with pytest.raises(ValueError, match="landmarks"):
        tre_px(to_moving(np.eye(3)), [[1, 1], [2, 2]], [[1, 1]])


def test_the_jacobian_of_an_affine_is_its_determinant() -> None:
    area = jacobian(to_moving([[1.5, 0.2, 9.0], [-0.3, 2.0, 5.0], [0.0, 0.0, 1.0]]), BOX, 16)
    assert area.shape == (20, 40)
    assert cell_centres(BOX, 16).shape == (20, 40, 2)
    assert_allclose(area, 1.5 * 2 + 0.2 * 0.3)


def test_a_mirror_is_no_fold() -> None:
    mirrored = to_moving([[-1.0, 0.0, 900.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert (jacobian(mirrored, BOX, 16) < 0).all()
    assert folding_share(mirrored, BOX, 16) == 0


def test_folds_are_counted_and_only_in_tissue() -> None:
    """Shifts that fall by 1.5 px a px over one of ten node distances turn that tenth inside out."""
    values = np.zeros((2, 11, 2))
    values[:, 5:, 0] = -96
    folded = to_moving(np.eye(3)) @ DisplacementField(values, (100, 0), (64, 1000), FIXED)
    assert folding_share(folded, BOX, 16) == pytest.approx(0.1)
    tissue = np.zeros((20, 40), np.bool_)
    tissue[:, :16] = True
    assert folding_share(folded, BOX, 16, tissue) == 0
    with pytest.raises(EngineError) as caught:
        folding_share(folded, BOX, 16, np.zeros((20, 40), np.bool_))
    assert caught.value.code == "no_tissue"


def test_inverse_consistency_is_the_gap_after_there_and_back() -> None:
    forward = to_moving([[2.0, 0.0, 30.0], [0.0, 1.0, 40.0], [0.0, 0.0, 1.0]])
    assert inverse_consistency(forward, forward.inverse(), BOX, 16) < 1e-9
    off = (
        AffineTransform([[1.0, 0.0, 3.0], [0.0, 1.0, 4.0], [0.0, 0.0, 1.0]], FIXED, FIXED) @ forward.inverse()
    )
    assert inverse_consistency(forward, off, BOX, 16) == pytest.approx(5)
    with pytest.raises(EngineError, match="same frame"):
        inverse_consistency(forward, forward, BOX, 16)
