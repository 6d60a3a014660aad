"""Landmarks at the slide level: starts made of them, and rows beside the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from registration.engine.affine import block_correction
from registration.engine.blockmatch import Blocks, Layout
from registration.engine.constraints import Landmarks, checked_landmarks
from registration.engine.landmarkfit import residuals, rows, starts
from registration.engine.matrices import Matrix, apply, shift, turn

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


def test_landmarks_count_beside_blocks_without_deciding_alone() -> None:
    xs, ys = np.meshgrid(np.arange(24.0, 400, 24), np.arange(24.0, 400, 24))
    centres = np.stack((xs, ys), axis=-1).reshape(-1, 2)
    blocks = Blocks(centres, np.zeros_like(centres), np.ones(len(centres)))
    marks = Landmarks(np.array([(200.0, 200.0)]), np.array([(206.0, 200.0)]), np.ones(1))
    moved = apply(block_correction(blocks, LAYOUT, rows(marks, np.eye(3), len(centres))), marks.fixed)
    assert 0.5 < float(moved[0, 0]) - 200 < 3
    assert np.abs(block_correction(blocks, LAYOUT) - np.eye(3)).max() < 1e-5
    far = Landmarks(marks.fixed, np.array([(390.0, 20.0)]), np.ones(1))
    moved = apply(block_correction(blocks, LAYOUT, rows(far, np.eye(3), len(centres))), centres)
    assert np.linalg.norm(moved - centres, axis=1).max() < 3
