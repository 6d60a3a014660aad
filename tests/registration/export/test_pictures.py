"""The PNG writer, read back by other people's readers."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from registration.export.pictures import png, side_by_side
from tests.registration.export.pairs import phantom


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (16, 16), (33, 255), (300, 500)])
def test_any_pixels_come_back_from_two_readers(shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(shape[0]).integers(0, 256, (*shape, 3), dtype=np.uint8)
    content = png(rgb)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), rgb)
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(np.asarray(decoded), rgb)


def test_a_part_of_a_larger_picture_can_be_written() -> None:
    part = phantom().he.rgb[100:228, 51:179]  # not contiguous in memory
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(part)))), part)


def test_tissue_is_stored_smaller_than_raw_and_the_same_each_time() -> None:
    part = phantom().he.rgb[200:456, 200:456]
    assert len(png(part)) < 0.6 * part.size
    assert png(part) == png(part.copy())


def test_side_by_side_keeps_both_pictures() -> None:
    left, right = phantom().he.rgb[:50, :40], phantom().ihc.rgb[:50, :30]
    both = side_by_side(left, right)
    assert np.array_equal(both[:, :40], left)
    assert np.array_equal(both[:, 48:], right)
