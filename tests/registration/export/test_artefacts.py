"""What a registration leaves on the disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from registration.artefacts import write_result
from registration.engine.errors import EngineError
from registration.engine.geometry import Box, Frame, Size
from registration.engine.result import Level
from registration.engine.transforms import AffineTransform, load_transform
from registration.twin import twin_box
from tests.registration.export.pairs import BOX, naive_warp, phantom, result, slide


def picture(path: Path) -> NDArray[np.int64]:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), dtype=np.int64)


def write(folder: Path, **changes: Any) -> list[Path]:
    pair = phantom()
    return write_result(folder, replace(result(), **changes), slide("he", pair.he), slide("ihc", pair.ihc), 3)


def test_files_transform_and_pictures(tmp_path: Path) -> None:
    written = write(tmp_path / "1")
    names = ["transform.json", "field.npz", "expected.npz", "run.json", "fixed.jpg", "moving.jpg"]
    names.append("expected.png")
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == sorted(names)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    points = BOX.corners()
    stored = load_transform(tmp_path / "1" / "transform.json")
    assert np.array_equal(stored(points), phantom().truth(points))
    fixed, moving = (picture(tmp_path / "1" / f"{name}.jpg") for name in ("fixed", "moving"))
    assert fixed.shape == moving.shape == (BOX.height, BOX.width, 3)
    he = phantom().he.rgb[BOX.y : BOX.bottom, BOX.x : BOX.right]
    assert np.abs(fixed - he).mean() < 4  # JPEG
    expected, inside = naive_warp(phantom().ihc.rgb, BOX)
    assert np.abs(moving - expected)[inside].mean() < 4


def test_run_json_tells_the_alignment_and_the_reasons(tmp_path: Path) -> None:
    refused = result(level=Level.REFUSED)
    write(tmp_path / "1", verdict=refused.verdict)
    run = json.loads((tmp_path / "1" / "run.json").read_text())
    assert run["alignment_version"] == 3
    assert run["verdict"] == "refused"
    assert run["reasons"] == [{"code": "wrong_pair", "message": "Not the same tissue."}]
    assert run["patches"] == 0
    assert json.loads((tmp_path / "1" / "transform.json").read_text())["verdict"] == "refused"


def test_unknown_um_and_errors_are_null(tmp_path: Path) -> None:
    write(tmp_path / "1", error_px=None, error_um=None)
    run = json.loads((tmp_path / "1" / "run.json").read_text())
    assert run["error_px"] is run["error_um"] is None


def test_without_a_region_the_pictures_show_the_whole_slide(tmp_path: Path) -> None:
    write(tmp_path / "1", box=None, expected=None)
    assert picture(tmp_path / "1" / "fixed.jpg").shape == (768, 768, 3)


def test_a_result_is_not_written_twice(tmp_path: Path) -> None:
    write(tmp_path / "1")
    with pytest.raises(EngineError) as caught:
        write(tmp_path / "1")
    assert caught.value.code == "destination_exists"


def test_twin_box_keeps_size_in_um_and_centre() -> None:
    truth = phantom().truth  # both slides 0.25 um/px
    twin = twin_box(BOX, truth)
    assert (twin.width, twin.height) == (BOX.width, BOX.height)
    assert np.abs(np.array(twin.centre) - truth([BOX.centre])[0]).max() <= 0.5


def test_twin_box_follows_the_scale_where_um_is_unknown() -> None:
    fixed, moving = Frame("fixed", Size(100, 100), None), Frame("moving", Size(300, 300), None)
    turned_and_doubled = AffineTransform([[0, -2, 200], [2, 0, 0], [0, 0, 1]], fixed, moving)
    assert twin_box(Box(10, 20, 30, 40), turned_and_doubled) == Box(200 - 80 - 30, 50 - 40, 60, 80)
