"""The map of expected errors as picture and figures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from registration.engine.errors import EngineError
from registration.engine.expected import UNMEASURED_PX, ErrorMap
from registration.engine.geometry import Box
from registration.errormaps import (
    error_map_bytes,
    figures,
    legend,
    load_error_map,
    picture,
)

BOX = Box(100, 200, 400, 200)
#: Two rows and four columns of squares that cover BOX exactly, and one more column beyond it.
MAP = ErrorMap(
    np.array([[1, 2, 3, UNMEASURED_PX, 99], [4, 4, 4, 4, 99]], np.float32),
    (float(BOX.x), float(BOX.y)),
    100.0,
)


def test_figures_count_the_squares_of_the_region_that_are_known() -> None:
    inside = [1, 2, 3, 4, 4, 4, 4]
    expected = {"median": 4, "p90": np.percentile(inside, 90), "worst": 4}
    found = figures(MAP, BOX, (0.5, 0.5))
    assert found["expected_error_px"] == pytest.approx(expected)
    assert found["expected_error_um"] == pytest.approx({key: value / 2 for key, value in expected.items()})
    assert figures(MAP, BOX, None)["expected_error_um"] is None


@pytest.mark.parametrize(
    "errors", [None, ErrorMap(np.full((2, 4), UNMEASURED_PX, np.float32), (100.0, 200.0), 100.0)]
)
def test_nothing_known_gives_no_figures(errors: ErrorMap | None) -> None:
    assert figures(errors, BOX, (0.5, 0.5)) == {"expected_error_px": None, "expected_error_um": None}


def test_the_picture_shows_each_square_in_its_place_and_nothing_where_nothing_is_known() -> None:
    rgba = cv2.imdecode(np.frombuffer(picture(MAP, BOX, (0.5, 0.5)), np.uint8), cv2.IMREAD_UNCHANGED)
    assert rgba is not None
    rows, columns = rgba.shape[:2]
    assert (columns, rows) == (400, 200)
    assert legend(MAP, BOX, (0.5, 0.5)) == {"top": 2.0, "unit": "um"}
    scale = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_CIVIDIS)[:, 0]
    for row, column in np.ndindex(2, 4):
        pixel = rgba[row * 100 + 50, column * 100 + 50]
        if MAP.p90[row, column] == UNMEASURED_PX:
            assert pixel[3] == 0
        else:
            shown = scale[min(255, int(MAP.p90[row, column] * 0.5 / 2.0 * 255))]
            assert pixel.tolist() == [*shown.tolist(), 255]


@pytest.mark.parametrize(
    ("value", "top"), [(0.04, 0.05), (0.05, 0.05), (0.3, 0.5), (7, 10), (18, 20), (0, 1)]
)
def test_the_scale_ends_at_a_round_number(value: float, top: float) -> None:
    errors = ErrorMap(np.full((2, 4), value, np.float32), (100.0, 200.0), 100.0)
    assert legend(errors, BOX, None) == {"top": pytest.approx(top), "unit": "px"}


def test_a_stored_map_comes_back_with_the_same_bytes(tmp_path: Path) -> None:
    file = tmp_path / "expected.npz"
    file.write_bytes(error_map_bytes(MAP))
    again = load_error_map(file)
    assert again is not None
    assert error_map_bytes(again) == file.read_bytes()
    assert load_error_map(tmp_path / "absent.npz") is None


@pytest.mark.parametrize("content", [b"", b"PK", b"not a map", error_map_bytes(MAP)[:200]])
def test_a_broken_map_is_said_to_be_one(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "expected.npz"
    file.write_bytes(content)
    with pytest.raises(EngineError) as caught:
        load_error_map(file)
    assert caught.value.code == "bad_error_map"
