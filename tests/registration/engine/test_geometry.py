"""Boxes, sizes and the half pixel: properties over many values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from registration.engine.geometry import Box, Size, index_from_point, point_from_index

places = st.integers(-200_000, 200_000)
lengths = st.integers(0, 200_000)
boxes = st.builds(Box, places, places, lengths, lengths)
sizes = st.builds(Size, st.integers(1, 200_000), st.integers(1, 200_000))


@given(boxes)
def test_corners_run_clockwise_from_the_top_left(box: Box) -> None:
    corners = box.corners()
    assert corners.shape == (4, 2)
    assert corners.dtype == np.float64
    assert_array_equal(corners[0], (box.x, box.y))
    assert_array_equal(corners[2], (box.right, box.bottom))
    x, y = corners.T
    signed_area = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2
    assert signed_area == box.area  # positive: clockwise where y runs down
    assert_array_equal(corners.mean(axis=0), box.centre)


@given(boxes, boxes)
def test_an_intersection_lies_in_both_and_is_the_same_from_either_side(one: Box, other: Box) -> None:
    common = one.intersection(other)
    assert common == other.intersection(one)
    assert common.width >= 0
    assert common.height >= 0
    if common.area:
        for box in (one, other):
            assert box.x <= common.x
            assert common.right <= box.right
            assert box.y <= common.y
            assert common.bottom <= box.bottom


@given(boxes)
def test_an_intersection_with_itself_changes_nothing(box: Box) -> None:
    assert box.intersection(box) == box


@given(boxes, sizes)
def test_a_box_is_inside_exactly_if_the_slide_cuts_nothing_off(box: Box, size: Size) -> None:
    assert box.inside(size) == (box.area > 0 and box.intersection(size.box) == box)


def test_boxes_are_half_open() -> None:
    size = Size(100, 50)
    assert Box(0, 0, 100, 50).inside(size)
    assert Box(99, 49, 1, 1).inside(size)
    assert not Box(100, 0, 1, 1).inside(size)
    assert not Box(0, 0, 0, 10).inside(size)
    assert not Box(-1, 0, 10, 10).inside(size)
    assert Box(0, 0, 10, 10).intersection(Box(10, 0, 10, 10)).area == 0


@pytest.mark.parametrize("downsample", [1, 2, 16, 32, 4.0118])
def test_a_pixel_covers_its_number_to_the_next(downsample: float) -> None:
    assert_allclose(point_from_index([[0, 0]], downsample), [[downsample / 2, downsample / 2]])
    assert_allclose(index_from_point([[0, 0]], downsample), [[-0.5, -0.5]])


@given(st.integers(0, 200_000), st.floats(1, 64))
def test_index_and_point_undo_each_other(index: int, downsample: float) -> None:
    there = point_from_index([index, 2 * index], downsample)
    assert_allclose(index_from_point(there, downsample), [index, 2 * index], atol=1e-9 * (1 + index))
