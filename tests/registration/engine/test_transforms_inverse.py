"""The inverse that is handed out is as exact as it is said to be; and the affine for QuPath."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from registration.engine.errors import EngineError
from registration.engine.geometry import Frame, Points, Size
from registration.engine.transforms import (
    AffineTransform,
    DisplacementField,
    Transform,
    load_transform,
    save_transform,
)
from registration.engine.transforms.folding import areas, smallest_area
from registration.engine.transforms.inverse import checked_inverse
from registration.engine.transforms.itk import covered
from registration.engine.transforms.qupath import nearest_affine, qupath_files, read_qupath

FIXED = Frame("fixed", Size(4000, 3200), (0.25, 0.25))
MOVING = Frame("moving", Size(4800, 5000), (0.5, 0.5))
MATRIX = [[0.4, -0.305, 2160.3], [0.295, 0.415, -20.7], [0.0, 0.0, 1.0]]


def affine() -> AffineTransform:
    return AffineTransform(MATRIX, FIXED, MOVING)


def smooth(height: float, origin: tuple[float, float] = (600.0, 700.0)) -> DisplacementField:
    """Waves about 1,000 px long on nodes 64 px apart."""
    y, x = np.mgrid[0:20, 0:24] * 64.0
    values = np.stack((np.sin(x / 160 + y / 300), np.cos(y / 170 - x / 250)), axis=-1) * height
    return DisplacementField(values, origin, (64, 64), FIXED)


def inside(field: DisplacementField, count: int = 3000) -> Points:
    box = covered(field)
    return np.random.default_rng(4).uniform((box.x, box.y), (box.right, box.bottom), (count, 2))


@pytest.mark.parametrize("height", [2.0, 12.0, 40.0])
def test_there_and_back_is_as_exact_as_is_said(height: float) -> None:
    field = smooth(height)
    forward = affine() @ field
    found = checked_inverse(forward)
    points = inside(field, 30_000)
    off = np.hypot(*(found.transform(forward(points)) - points).T)
    assert off.max() <= 1.2 * found.round_trip_max_px + 1e-6
    assert np.percentile(off, 95) == pytest.approx(found.round_trip_p95_px, rel=0.1, abs=1e-4)
    # these waves are steep: what is left grows with them, most of it where the field ends in a kink
    assert found.round_trip_max_px <= 0.02 * height
    assert found.round_trip_p95_px <= max(0.02, 0.004 * height)
    names = (found.transform.fixed.name, found.transform.moving.name)
    sizes = (found.transform.fixed.size, found.transform.moving.size)
    assert (names, sizes) == (("fixed", "moving"), (MOVING.size, FIXED.size))


def test_the_field_with_the_other_sign_is_far_off() -> None:
    """Negative control: the figure sees an inverse that is none."""
    field = smooth(12.0)
    forward = affine() @ field
    wrong = DisplacementField(-field.values, field.origin, field.spacing, FIXED) @ affine().inverse()
    points = inside(field)
    off = np.hypot(*(wrong(forward(points)) - points).T)
    assert np.percentile(off, 95) > 10 * checked_inverse(forward).round_trip_p95_px
    assert off.max() > 0.5


def test_the_inverse_of_an_affine_is_exact_and_can_be_stored(tmp_path: Path) -> None:
    found = checked_inverse(affine())
    assert isinstance(found.transform, AffineTransform)
    assert found.round_trip_max_px < 1e-8
    save_transform(tmp_path / "inverse.json", found.transform, verdict="good", engine_version="0.1")
    assert load_transform(tmp_path / "inverse.json").fixed.size == MOVING.size


def test_a_fold_is_named_with_its_place() -> None:
    values = np.array(smooth(2.0).values)
    values[10, 12, 0] += 200
    field = DisplacementField(values, (600, 700), (64, 64), FIXED)
    with pytest.raises(EngineError, match="folds") as caught:
        checked_inverse(affine() @ field)
    assert caught.value.code == "field_folds"
    place = [int(word.strip(",;.")) for word in caught.value.message.split() if word.strip(",;.").isdigit()]
    assert abs(place[0] - (600 + 12 * 64)) <= 64
    assert abs(place[1] - (700 + 10 * 64)) <= 64


def test_a_fold_smaller_than_a_cell_and_one_at_the_edge_are_seen() -> None:
    values = np.zeros((6, 6, 2), np.float32)
    values[2, 3] = (-70, 0)
    assert smallest_area(values, (64, 64)) <= 0
    edge = np.zeros((6, 6, 2), np.float32)
    edge[0, 2:, 0] = -70  # along the edge, and so in all that lies beyond it
    assert areas(edge, (64, 64))[0].min() <= 0
    assert smallest_area(np.zeros((1, 1, 2)), (64, 64)) == 1


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.floats(1, 60))
def test_the_smallest_area_agrees_with_a_fine_look(seed: int, height: float) -> None:
    values = np.random.default_rng(seed).normal(0, height, (4, 5, 2)).astype(np.float32)
    field = DisplacementField(values, (0, 0), (50, 60), FIXED)
    xs, ys = np.linspace(-100, 300, 161), np.linspace(-120, 300, 169)  # steps of 2.5 px: nodes are met
    points = field.on_grid(xs, ys)
    x, y = np.diff(points, axis=1)[:-1] / 2.5, np.diff(points, axis=0)[:, :-1] / 2.5
    looked = float((x[..., 0] * y[..., 1] - x[..., 1] * y[..., 0]).min())
    assert smallest_area(values, field.spacing) <= looked + 1e-6
    assert looked <= smallest_area(values, field.spacing) + 0.02 * height**2 / 100 + 0.05 * height


def test_a_steep_field_without_folds_has_an_inverse() -> None:
    """Stretched threefold: whole steps of the iteration overshoot there."""
    values = np.zeros((2, 8, 2), np.float32)
    values[:, 4:, 0] = 200
    field = DisplacementField(values, (1000, 1000), (100, 1500), FIXED)
    assert smallest_area(values, field.spacing) == 1
    points = inside(field)
    back = field.inverse()
    assert_allclose(back(field(points)), points, atol=1e-5)
    assert (
        back(field(points[7:8])).tolist() == back(field(points))[7:8].tolist()
    )  # whatever it is batched with


def test_qupath_gets_the_affine_and_gives_it_back(tmp_path: Path) -> None:
    files = qupath_files(affine(), "check")
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        back = read_qupath(tmp_path / name, FIXED, MOVING)
        assert_allclose(back.matrix, affine().matrix, atol=1e-11)
    lines = files["qupath.txt"].decode().splitlines()
    assert [line.count("\t") for line in lines] == [2, 2]
    assert "e" not in files["qupath.txt"].decode().lower()  # QuPath reads no exponents
    record = json.loads(files["qupath.json"])
    # java.awt.geom.AffineTransform(m00, m10, m01, m11, m02, m12)
    assert record["java_awt_affine_transform"] == [0.4, 0.295, -0.305, 0.415, 2160.3, -20.7]
    shown = "0.4000, \t -0.3050,\t 2160.3000,\n0.2950,\t 0.4150,\t -20.7000\n"
    (tmp_path / "copied.txt").write_text(shown)
    assert_allclose(read_qupath(tmp_path / "copied.txt", FIXED, MOVING).matrix, affine().matrix, atol=1e-9)


def test_the_nearest_affine_says_how_far_it_is_off() -> None:
    exact = nearest_affine(affine())
    assert (exact.median_px, exact.max_px) == (0, 0)
    field = smooth(12.0)
    bent: Transform = affine() @ field
    found = nearest_affine(bent)
    points = inside(field)
    off = np.hypot(*(found.affine(points) - bent(points)).T)
    assert np.median(off) == pytest.approx(found.median_px, rel=0.15)
    assert off.max() <= 1.05 * found.max_px
    plain = np.hypot(*(affine()(points) - bent(points)).T)
    assert np.sqrt((off**2).mean()) < np.sqrt((plain**2).mean())


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "transform_malformed"),
        ("1 0 0 0 1", "transform_malformed"),
        ("1 0 0 0 1 nan", "transform_malformed"),
        ("1 0 0 0 1 x", "transform_malformed"),
        ("1 2 0 1 2 0", "bad_affine"),
        ("{", "transform_unreadable"),
        ('{"format": "other"}', "transform_unreadable"),
        ('{"format": "slidepair-qupath-affine", "version": 2}', "transform_unreadable"),
        ('{"format": "slidepair-qupath-affine", "version": 1}', "transform_malformed"),
        ("{" * 5000, "transform_unreadable"),
        ("1 " * 20_000, "transform_unreadable"),
    ],
)
def test_bad_qupath_files_are_refused(tmp_path: Path, content: str, code: str) -> None:
    path = tmp_path / "qupath.txt"
    path.write_text(content)
    with pytest.raises(EngineError) as caught:
        read_qupath(path, FIXED, MOVING)
    assert caught.value.code == code


@pytest.mark.parametrize("matrix", ["[[1, 0, 0], [0, true, 0]]", '[["a", 0, 0], [0, 1, 0]]', "[1]", "7"])
def test_a_bad_matrix_in_our_json_is_refused(tmp_path: Path, matrix: str) -> None:
    path = tmp_path / "qupath.json"
    head = '"format": "slidepair-qupath-affine", "version": 1, "direction": "moving_from_fixed"'
    path.write_text(f'{{{head}, "matrix": {matrix}}}')
    with pytest.raises(EngineError) as caught:
        read_qupath(path, FIXED, MOVING)
    assert caught.value.code == "transform_malformed"


def test_a_field_far_too_dense_for_its_inverse_is_thinned() -> None:
    values = np.zeros((3, 3, 2), np.float32)
    values[1, 1] = 0.0004
    wide = Frame("fixed", Size(4000, 3200), None)
    field = DisplacementField(values, (10, 10), (0.001, 3000), wide)
    found = checked_inverse(AffineTransform(MATRIX, wide, MOVING) @ field)
    assert found.round_trip_max_px < 0.01
