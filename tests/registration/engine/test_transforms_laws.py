"""The laws of transforms on random ones: affines of any turn, mirror and scale, fields without folds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from registration.engine.evaluation.field import folding_share
from registration.engine.geometry import Box, Frame, Points, Size
from registration.engine.transforms import (
    AffineTransform,
    DisplacementField,
    Transform,
    load_transform,
    sampled,
    save_transform,
    split,
)
from registration.engine.transforms.folding import smallest_area
from registration.engine.transforms.inverse import checked_inverse
from registration.engine.transforms.itk import Unit, covered, itk_files, read_itk
from registration.engine.transforms.qupath import qupath_files, read_qupath

FIXED, MOVING = Frame("fixed", Size(9000, 7000), (0.25, 0.25)), Frame("moving", Size(8000, 9500), (0.5, 0.4))
quick = settings(max_examples=25, deadline=None)


@st.composite
def affines(draw: st.DrawFn) -> AffineTransform:
    turn, scale = math.radians(draw(st.floats(0, 360))), draw(st.floats(0.3, 3))
    mirror, shear = draw(st.sampled_from((1, -1))), draw(st.floats(-0.2, 0.2))
    c, s = math.cos(turn) * scale, math.sin(turn) * scale
    linear = np.array([(c, -s), (s, c)]) @ np.array([(mirror, shear), (0, 1)])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, draw(st.tuples(st.floats(-2e5, 2e5), st.floats(-2e5, 2e5)))
    return AffineTransform(matrix, FIXED, MOVING)


@st.composite
def fields(draw: st.DrawFn) -> DisplacementField:
    """Nodes may be few, far apart differently in x and y, and outside the slide; no slope is above 0.45."""
    rows, columns = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    spacing = draw(st.floats(8, 900)), draw(st.floats(8, 900))
    origin = draw(st.floats(-500, 8000)), draw(st.floats(-500, 6000))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    height = 0.1 * min(spacing)  # neighbours differ by at most twice that in each component
    return DisplacementField(rng.uniform(-height, height, (rows, columns, 2)), origin, spacing, FIXED)


def some_points(seed: int = 0) -> Points:
    return np.random.default_rng(seed).uniform(-500, 9500, (60, 2))


@quick
@given(affines(), fields())
def test_there_and_back(affine: AffineTransform, field: DisplacementField) -> None:
    transform, points = affine @ field, some_points()
    assert smallest_area(field.values, field.spacing) > 0
    assert folding_share(field, FIXED.size.box, 200) == 0
    assert_allclose(transform.inverse()(transform(points)), points, atol=1e-5)
    assert_allclose(transform(transform.inverse()(points)), points, atol=1e-4)


@quick
@given(affines(), fields(), fields())
def test_composition_is_associative(
    affine: AffineTransform, one: DisplacementField, two: DisplacementField
) -> None:
    points = some_points()
    stepwise = affine(one(two(points)))
    assert_allclose(((affine @ one) @ two)(points), stepwise, atol=1e-9)
    assert_allclose((affine @ (one @ two))(points), stepwise, atol=1e-9)


@quick
@given(affines(), st.none() | fields())
def test_a_stored_transform_comes_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, affine: AffineTransform, field: DisplacementField | None
) -> None:
    transform: Transform = affine if field is None else affine @ field
    path = tmp_path_factory.getbasetemp() / "T.json"
    save_transform(path, transform, verdict="good", engine_version="0.1")
    assert_array_equal(load_transform(path)(some_points()), transform(some_points()))


@quick
@given(affines(), fields(), st.sampled_from(("px", "um")))
def test_what_itk_gets_comes_back(
    tmp_path_factory: pytest.TempPathFactory, affine: AffineTransform, field: DisplacementField, unit: Unit
) -> None:
    transform, folder = affine @ field, tmp_path_factory.getbasetemp()
    for name, content in itk_files(transform, unit).items():
        (folder / name).write_bytes(content)
    back = read_itk(folder / "affine.tfm", folder / "field.mha", FIXED, MOVING, unit)
    points = np.random.default_rng(2).uniform((0, 0), (9000, 7000), (80, 2))
    assert_allclose(back(points), transform(points), atol=1e-3)


@quick
@given(affines())
def test_what_qupath_gets_comes_back(
    tmp_path_factory: pytest.TempPathFactory, affine: AffineTransform
) -> None:
    folder: Path = tmp_path_factory.getbasetemp()
    for name, content in qupath_files(affine, "check").items():
        (folder / name).write_bytes(content)
        back = read_qupath(folder / name, FIXED, MOVING)
        assert_allclose(back(some_points()), affine(some_points()), atol=1e-7)


@quick
@given(affines(), fields())
def test_what_is_sampled_deviates_as_it_says(affine: AffineTransform, field: DisplacementField) -> None:
    box = Box(1000, 900, 700, 500)
    transform = affine @ field
    found, deviation = sampled(transform, box, 40)
    assert_array_equal(split(found)[0].matrix, affine.matrix)
    points = np.random.default_rng(1).uniform((box.x, box.y), (box.right, box.bottom), (500, 2))
    off = np.hypot(*(found(points) - transform(points)).T)
    # the figure is taken at the nodes and half way between; along each axis a kink may lie a quarter off
    assert off.max() <= 4 * deviation + 1e-3


@settings(max_examples=6, deadline=None)
@given(affines(), fields())
def test_the_checked_inverse_is_no_worse_than_it_says(
    affine: AffineTransform, field: DisplacementField
) -> None:
    transform = affine @ field
    found = checked_inverse(transform)
    assert 0 <= found.round_trip_p95_px <= found.round_trip_max_px
    box = covered(field)
    points = np.random.default_rng(1).uniform((box.x, box.y), (box.right, box.bottom), (4000, 2))
    off = np.hypot(*(found.transform(transform(points)) - points).T)
    assert np.percentile(off, 99) <= found.round_trip_max_px + 1e-6
