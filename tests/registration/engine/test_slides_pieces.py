"""The pieces of tissue that a slide shows."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from registration.engine.geometry import Size
from registration.engine.pieces import find_pieces
from registration.engine.synthetic import ArraySource, phantom_arrays


def _pieces_slide() -> ArraySource:
    rgb = np.full((1200, 2000, 3), 243, np.uint8)
    cv2.ellipse(rgb, (600, 600), (450, 380), 0, 0, 360, (190, 120, 170), -1)
    cv2.ellipse(rgb, (1600, 300), (160, 120), 30, 0, 360, (150, 120, 190), -1)
    cv2.circle(rgb, (1700, 1000), 90, (160, 110, 150), -1)
    cv2.circle(rgb, (1300, 1100), 3, (60, 60, 60), -1)  # dirt
    noise = np.random.default_rng(0).integers(-8, 9, rgb.shape)
    rgb = np.clip(rgb + noise, 0, 255).astype(np.uint8)
    return ArraySource(rgb, (0.5, 0.5))


def test_pieces_are_listed_by_size_and_hold_their_tissue() -> None:
    slide = _pieces_slide()
    pieces = find_pieces(slide)
    assert [piece.number for piece in pieces] == [1, 2, 3]
    assert [piece.area for piece in pieces] == pytest.approx(
        [math.pi * 450 * 380, math.pi * 160 * 120, math.pi * 90**2], rel=0.1
    )
    middles = [(600, 600), (1600, 300), (1700, 1000)]
    for piece, middle in zip(pieces, middles, strict=True):
        outline = piece.outline.astype(np.float32)
        held = [place for place in middles if cv2.pointPolygonTest(outline, place, measureDist=False) > 0]
        assert held == [middle]
        assert piece.box.x <= middle[0] < piece.box.right
        assert piece.box.inside(Size(2000, 1200))
    circle = pieces[2].outline
    assert np.linalg.norm(circle - (1700, 1000), axis=1).min() >= 90


@pytest.mark.parametrize("shape", [(64, 64), (300, 15), (900, 900)])
def test_a_blank_slide_has_no_pieces_and_a_full_one_has_one(shape: tuple[int, int]) -> None:
    assert find_pieces(ArraySource(np.full((*shape, 3), 243, np.uint8))) == ()
    full = find_pieces(ArraySource(np.random.default_rng(0).integers(60, 160, (*shape, 3), np.uint8)))
    assert len(full) == 1
    assert full[0].box.area > 0.9 * shape[0] * shape[1]


def test_fragments_close_together_are_one_piece() -> None:
    pair = phantom_arrays(512)
    assert len(find_pieces(pair.he)) == 1
