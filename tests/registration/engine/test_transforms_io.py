"""transform.json and field.npz: bit-exact, atomic, and read with distrust."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from registration.engine.errors import EngineError
from registration.engine.geometry import Frame, Size
from registration.engine.transforms import (
    AffineTransform,
    Composite,
    DisplacementField,
    Transform,
    load_transform,
    save_transform,
)

FIXED = Frame("fixed", Size(4000, 3000), (0.2525, 0.2531))
MOVING = Frame("moving", Size(5000, 6000), None)
MATRIX = [[0.8000000000000123, -0.61, 1 / 3], [0.59, 0.83, -20.7], [0.0, 0.0, 1.0]]


def affine() -> AffineTransform:
    return AffineTransform(MATRIX, FIXED, MOVING)


def bent() -> Transform:
    values = np.random.default_rng(5).normal(0, 3, (12, 9, 2))
    return affine() @ DisplacementField(values, (-1 / 3, 7.5), (64.25, 32.0), FIXED)


def save(folder: Path, transform: Transform, name: str = "transform.json") -> list[Path]:
    return save_transform(folder / name, transform, verdict="good", engine_version="0.1")


def test_an_affine_comes_back_bit_for_bit(tmp_path: Path) -> None:
    assert save(tmp_path, affine()) == [tmp_path / "transform.json"]
    loaded = load_transform(tmp_path / "transform.json")
    assert isinstance(loaded, AffineTransform)
    assert_array_equal(loaded.matrix, affine().matrix)
    assert (loaded.fixed, loaded.moving) == (FIXED, MOVING)


def test_an_affine_after_a_field_comes_back_bit_for_bit(tmp_path: Path) -> None:
    transform = bent()
    written = save(tmp_path, transform)
    assert written == [tmp_path / "transform.json", tmp_path / "field.npz"]
    loaded = load_transform(tmp_path / "transform.json")
    points = np.random.default_rng(0).uniform(-500, 4500, (1000, 2))
    assert_array_equal(loaded(points), transform(points))
    assert isinstance(loaded, Composite)
    field = loaded.parts[1]
    assert isinstance(field, DisplacementField)
    assert field.values.dtype == np.float32
    assert (field.origin, field.spacing) == ((-1 / 3, 7.5), (64.25, 32.0))


def test_saving_again_gives_the_same_bytes_and_nothing_else(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in save(tmp_path, bent())]
    second = [path.read_bytes() for path in save(tmp_path, bent())]
    assert first == second
    assert sorted(path.name for path in tmp_path.iterdir()) == ["field.npz", "transform.json"]


def test_other_names_keep_their_own_field(tmp_path: Path) -> None:
    written = save(tmp_path, bent(), "T.json")
    assert [path.name for path in written] == ["T.json", "T.field.npz"]
    points = np.array([[10.0, 20.0]])
    assert_array_equal(load_transform(tmp_path / "T.json")(points), bent()(points))


def test_the_record_says_what_it_is(tmp_path: Path) -> None:
    save(tmp_path, bent())
    record = json.loads((tmp_path / "transform.json").read_text())
    assert record["format"] == "slidepair-transform"
    assert record["version"] == 1
    assert record["direction"] == "moving_from_fixed"
    assert record["coordinates"] == "level-0 px, corner-based, x right, y down"
    assert record["fixed"] == {"width": 4000, "height": 3000, "um_per_px": [0.2525, 0.2531]}
    assert record["moving"] == {"width": 5000, "height": 6000, "um_per_px": None}
    assert record["field"] == {
        "file": "field.npz",
        "origin": [-1 / 3, 7.5],
        "spacing": [64.25, 32.0],
        "shape": [12, 9],
        "order": "xy",
        "unit": "fixed level-0 px",
        "outside": "edge",
    }
    assert (record["verdict"], record["engine_version"]) == ("good", "0.1")


def test_only_what_the_format_can_say_is_saved(tmp_path: Path) -> None:
    for transform in (bent().inverse(), affine().inverse(), AffineTransform.identity(FIXED)):
        with pytest.raises(EngineError) as caught:
            save(tmp_path, transform)
        assert caught.value.code == "transform_not_storable"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        save(tmp_path / "missing", bent())
    assert list(tmp_path.iterdir()) == []


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda r: r.pop("format"), "transform_unreadable"),
        (lambda r: r.update(format="itk"), "transform_unreadable"),
        (lambda r: r.update(version=2), "transform_unreadable"),
        (lambda r: r.update(direction="fixed_from_moving"), "transform_malformed"),
        (lambda r: r.update(coordinates="centre-based"), "transform_malformed"),
        (lambda r: r.pop("affine"), "transform_malformed"),
        (lambda r: r["affine"].pop(), "transform_malformed"),
        (lambda r: r["affine"][0].__setitem__(0, "1"), "transform_malformed"),
        (lambda r: r["affine"][0].__setitem__(0, True), "transform_malformed"),
        (lambda r: r["affine"][0].__setitem__(2, 1e300), "transform_malformed"),
        (lambda r: r["affine"][0].__setitem__(0, 10**400), "transform_malformed"),
        (lambda r: r.update(affine=[[0, 0, 0], [0, 0, 0], [0.0, 0.0, 1.0]]), "bad_affine"),
        (lambda r: r["affine"][2].__setitem__(0, 0.001), "bad_affine"),
        (lambda r: r.update(fixed=[1, 2]), "transform_malformed"),
        (lambda r: r["fixed"].update(width=-5), "transform_malformed"),
        (lambda r: r["fixed"].update(width=10**9), "transform_malformed"),
        (lambda r: r["moving"].update(um_per_px=[0, 1]), "transform_malformed"),
        (lambda r: r["moving"].update(um_per_px=0.25), "transform_malformed"),
        (lambda r: r.update(field="field.npz"), "transform_malformed"),
        (lambda r: r["field"].update(file="../field.npz"), "transform_malformed"),
        (lambda r: r["field"].update(file="/etc/field.npz"), "transform_malformed"),
        (lambda r: r["field"].update(file="a\\field.npz"), "transform_malformed"),
        (lambda r: r["field"].update(file=".field.npz"), "transform_malformed"),
        (lambda r: r["field"].update(file="passwd"), "transform_malformed"),
        (lambda r: r["field"].update(file=None), "transform_malformed"),
        (lambda r: r["field"].update(shape=[100_000, 100_000]), "transform_malformed"),
        (lambda r: r["field"].update(shape=[12, 0]), "transform_malformed"),
        (lambda r: r["field"].update(spacing=[0, 1]), "transform_malformed"),
        (lambda r: r["field"].update(order="yx"), "transform_malformed"),
        (lambda r: r["field"].update(outside="zero"), "transform_malformed"),
        (lambda r: r["field"].update(shape=[9, 12]), "field_unreadable"),
        (lambda r: r["field"].update(file="missing.npz"), "field_unreadable"),
    ],
)
def test_a_wrong_record_is_refused(tmp_path: Path, change: Change, code: str) -> None:
    save(tmp_path, bent())
    path = tmp_path / "transform.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    with pytest.raises(EngineError) as caught:
        load_transform(path)
    assert caught.value.code == code
    assert caught.value.message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n",
        b"[]",
        b"[" * 100_000,
        b'{"format": NaN}',
        b"x,y\n1,2\n",
        b" " * 1_000_001,
        b"\xff\xfe",
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "transform.json"
    path.write_bytes(content)
    with pytest.raises(EngineError) as caught:
        load_transform(path)
    assert caught.value.code == "transform_unreadable"


def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(EngineError) as caught:
            load_transform(path)
        assert caught.value.code == "transform_unreadable"


def _pickled(path: Path) -> None:
    np.savez(path, field=np.array([[[{"run": "me"}, None]] * 9] * 12, dtype=object))


def _lying_header(path: Path) -> None:
    """A header that announces far more than there is."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (900000000, 900000, 2), }".ljust(117) + b"\n"
    magic = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("field.npy", magic + header + b"\0" * 64)


def _short(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def _too_little(path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (12, 9, 2), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "field.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 64
        )


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_pickled, "field_unreadable"),
        (_lying_header, "field_unreadable"),
        (_short, "field_unreadable"),
        (_too_little, "field_unreadable"),
        (lambda path: path.write_bytes(b"no zip"), "field_unreadable"),
        (lambda path: np.savez(path, other=np.zeros((12, 9, 2), np.float32)), "field_unreadable"),
        (lambda path: np.savez(path, field=np.zeros((12, 9, 2))), "field_unreadable"),
        (lambda path: np.savez(path, field=np.zeros((9, 12, 2), np.float32)), "field_unreadable"),
        (lambda path: np.savez(path, field=np.full((12, 9, 2), np.nan, np.float32)), "bad_field"),
    ],
)
def test_a_wrong_field_is_refused(tmp_path: Path, spoil: Callable[[Path], Any], code: str) -> None:
    path, field_path = save(tmp_path, bent())
    spoil(field_path)
    with pytest.raises(EngineError) as caught:
        load_transform(path)
    assert caught.value.code == code
