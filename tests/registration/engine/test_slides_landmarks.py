"""Landmarks at the slide level: starts made of them, and rows beside the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from registration.engine.affine import block_correction
from registration.engine.blockmatch import Blocks, Layout, block_weights
from registration.engine.constraints import Landmarks, checked_landmarks
from registration.engine.landmarkcheck import told
from registration.engine.landmarkfit import residuals, rows, starts
from registration.engine.matrices import Matrix, apply, shift, turn
from registration.engine.result import Level, Verdict

LIMITS = (0.7, 1.4)
LAYOUT = Layout(tile=48, search=16, stride=24)


def _marks(matrix: Matrix, points: NDArray[np.float64]) -> Landmarks:
    return checked_landmarks(points, apply(matrix, points))


@pytest.mark.parametrize("mirrored", [False, True])
def test_two_landmarks_start_either_way_round(mirrored: bool) -> None:
    matrix = shift(30, -12) @ turn(140, mirrored)
    marks = _marks(matrix, np.array([(10.0, 20.0), (300.0, 90.0)]))
    found = starts(marks, LIMITS)
    assert len(found) == 2
    assert min(float(np.abs(one - matrix).max()) for one in found) < 1e-6
    assert starts(_marks(matrix, np.array([(1.0, 2.0)])), LIMITS) == []


@example(4, False, 0.0, 148)
@given(st.integers(4, 12), st.booleans(), st.floats(0, 360), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_landmarks_off_a_line_give_the_affine(count: int, mirrored: bool, degrees: float, seed: int) -> None:
    points = np.random.default_rng(seed).uniform(0, 400, (count, 2))
    points[:3] = [(0, 0), (400, 30), (50, 390)]
    matrix = shift(5, 9) @ turn(degrees, mirrored) @ np.diag((1.1, 0.95, 1.0))
    assert np.abs(starts(_marks(matrix, points), LIMITS)[0] - matrix).max() < 1e-3


def test_a_contradicting_landmark_does_not_spoil_the_start_and_shows_in_the_residuals() -> None:
    matrix = shift(5, 9) @ turn(33)
    points = np.array([(0, 0), (400, 30), (50, 390), (390, 380), (200, 180), (120, 60.0)])
    marks = _marks(matrix, points)
    moved = marks.moving.copy()
    moved[4] += (150, -90)
    found = starts(Landmarks(marks.fixed, moved, marks.weight), LIMITS)
    errors = [np.linalg.norm(apply(one, points) - apply(matrix, points), axis=1).max() for one in found]
    assert min(errors) < 3
    left = residuals(Landmarks(marks.fixed, moved, marks.weight), found[int(np.argmin(errors))])
    assert int(np.argmax(left)) == 4
    assert left[4] > 150


def test_collinear_landmarks_and_absurd_ones_give_no_affine() -> None:
    line = np.array([(0.0, 0.0), (100.0, 50.0), (200.0, 100.0), (300.0, 150.0)])
    found = starts(_marks(turn(70, True), line), LIMITS)
    assert len(found) == 2
    squashed = _marks(np.diag((1.0, 0.2, 1.0)), line[:2])
    assert starts(squashed, (0.95, 1.05)) == []


def _blocks(shift_px: float = 0.0, count: int = 16) -> Blocks:
    xs, ys = np.meshgrid(np.arange(24.0, 400, 24)[:count], np.arange(24.0, 400, 24)[:count])
    centres = np.stack((xs, ys), axis=-1).reshape(-1, 2)
    return Blocks(centres, np.full_like(centres, shift_px), np.full(len(centres), 0.2))


@pytest.mark.parametrize("weight", [1.0, 1000.0])
@pytest.mark.parametrize("count", [1, 10, 200])
def test_landmarks_together_weigh_a_quarter_of_the_blocks_that_agree(weight: float, count: int) -> None:
    blocks, places = _blocks(), np.random.default_rng(3).uniform(0, 400, (count, 2))
    marks = Landmarks(places, places + 5, np.full(count, weight))
    _, _, given = rows(marks, np.eye(3), blocks)
    usual = float(block_weights(blocks).mean())
    assert given.sum() <= 0.25 * len(blocks) * usual * (1 + 1e-9)
    assert given.max() <= 2 * usual * weight * (1 + 1e-9)
    _, _, alone = rows(marks, np.eye(3), _blocks(30.0))
    assert alone.sum() <= 0.25 * 8 * usual * (1 + 1e-9)


def test_landmarks_move_blocks_that_say_nothing_and_not_those_that_agree() -> None:
    marks = _marks(shift(5, 0), np.random.default_rng(4).uniform(50, 350, (10, 2)))
    for blocks, least, most in ((_blocks(), 0.0, 1.5), (_blocks(0.0, 2), 0.5, 5.1)):
        moved = apply(block_correction(blocks, LAYOUT, rows(marks, np.eye(3), blocks)), marks.fixed)
        assert least <= float((moved - marks.fixed)[:, 0].mean()) <= most
    assert np.abs(block_correction(_blocks(), LAYOUT) - np.eye(3)).max() < 1e-5
    far = Landmarks(marks.fixed[:1], np.array([(390.0, 20.0)]), np.ones(1))
    blocks = _blocks()
    moved = apply(block_correction(blocks, LAYOUT, rows(far, np.eye(3), blocks)), blocks.centres)
    assert np.linalg.norm(moved - blocks.centres, axis=1).max() < 1


def test_what_is_left_out_is_said_and_is_no_longer_good() -> None:
    assert told(Verdict(Level.GOOD), 0, 3) == Verdict(Level.GOOD)
    for level, expected in ((Level.GOOD, Level.CHECK), (Level.REFUSED, Level.REFUSED)):
        verdict = told(Verdict(level), 2, 3)
        assert verdict.level is expected
        assert [reason.code for reason in verdict.reasons] == ["landmarks_left_out"]
        assert "2 of 3" in verdict.reasons[0].message
