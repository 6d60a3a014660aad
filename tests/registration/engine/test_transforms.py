"""One set of promises that every kind of transform keeps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from skimage.transform import AffineTransform as SkimageAffine
from skimage.transform import warp

from registration.engine.errors import EngineError
from registration.engine.geometry import Frame, Points, Size, point_from_index
from registration.engine.resample import sample
from registration.engine.transforms import (
    AffineTransform,
    Composite,
    DisplacementField,
    FrameMismatch,
    Transform,
)

FIXED = Frame("fixed", Size(400, 320), (0.25, 0.25))
MOVING = Frame("moving", Size(480, 500), (0.5, 0.5))
OTHER = Frame("other", Size(300, 300), None)
MATRIX = [[0.8, -0.61, 160.3], [0.59, 0.83, -20.7], [0.0, 0.0, 1.0]]
SECOND = [[-1.2, 0.1, 400.0], [0.05, 1.1, -3.25], [0.0, 0.0, 1.0]]


def affine() -> Transform:
    return AffineTransform(MATRIX, FIXED, MOVING)


def field(origin: tuple[float, float] = (20.0, 10.0)) -> DisplacementField:
    """Smooth waves of 3 px, a few hundred px long."""
    row, column = np.mgrid[:9, :11]
    values = np.stack((3 * np.sin(row / 2 + column / 3), 3 * np.cos(row / 3 - column / 2)), axis=-1)
    return DisplacementField(values, origin, (34.0, 38.0), FIXED)


def composite() -> Transform:
    return affine() @ field()


def inverse_field() -> Transform:
    return field().inverse()


def inverse_composite() -> Transform:
    return composite().inverse()


KINDS = (affine, field, composite, inverse_field, inverse_composite)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def transform(request: pytest.FixtureRequest) -> Transform:
    make: Callable[[], Transform] = request.param
    return make()


def some_points(seed: int = 0, count: int = 500) -> Points:
    return np.random.default_rng(seed).uniform(-60, 460, (count, 2))


def test_inverse_undoes(transform: Transform) -> None:
    points = some_points()
    assert_allclose(transform.inverse()(transform(points)), points, atol=1e-5)
    assert_allclose(transform(transform.inverse()(points)), points, atol=1e-5)
    assert transform.inverse().fixed == transform.moving
    assert transform.inverse().moving == transform.fixed


def test_inverse_of_the_inverse_is_the_transform(transform: Transform) -> None:
    points = some_points()
    assert_allclose(transform.inverse().inverse()(points), transform(points), atol=1e-9)


def test_identity_changes_nothing_on_either_side(transform: Transform) -> None:
    points = some_points()
    before = transform @ AffineTransform.identity(transform.fixed)
    after = AffineTransform.identity(transform.moving) @ transform
    assert_allclose(before(points), transform(points), atol=1e-10)
    assert_allclose(after(points), transform(points), atol=1e-10)


def test_composition_is_function_composition_and_associative(transform: Transform) -> None:
    outer = AffineTransform(SECOND, transform.moving, OTHER)
    inner = DisplacementField(np.full((2, 2, 2), 1.5), (0, 0), (200, 200), transform.fixed)
    points = some_points()
    stepwise = outer(transform(inner(points)))
    assert_allclose((outer @ (transform @ inner))(points), stepwise, atol=1e-9)
    assert_allclose(((outer @ transform) @ inner)(points), stepwise, atol=1e-9)
    assert (outer @ transform @ inner).fixed == transform.fixed
    assert (outer @ transform @ inner).moving == OTHER


def test_frames_that_do_not_meet_are_refused(transform: Transform) -> None:
    stranger = AffineTransform(SECOND, OTHER, OTHER)
    with pytest.raises(FrameMismatch, match="must be the same frame"):
        stranger @ transform
    with pytest.raises(FrameMismatch):
        transform @ stranger


def test_no_points_give_no_points(transform: Transform) -> None:
    nothing = transform(np.empty((0, 2)))
    assert nothing.shape == (0, 2)
    assert nothing.dtype == np.float64


@pytest.mark.parametrize("shape", [(2,), (3, 3), (2, 2, 2)])
def test_anything_but_pairs_is_refused(transform: Transform, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(N, 2\)"):
        transform(np.zeros(shape))


def test_points_are_not_changed_in_place(transform: Transform) -> None:
    points = some_points()
    kept = points.copy()
    transform(points)
    assert_array_equal(points, kept)


def test_a_grid_is_mapped_like_its_points(transform: Transform) -> None:
    xs, ys = np.arange(-30, 430, 7.3), np.arange(-40, 350, 11.1)
    points = np.stack(np.meshgrid(xs, ys), axis=-1)
    grid = transform.on_grid(xs, ys)
    assert grid.shape == (len(ys), len(xs), 2)
    assert_allclose(grid.reshape(-1, 2), transform(points.reshape(-1, 2)), rtol=0, atol=2e-7)


def shifted(kind: str, far: float) -> Transform:
    """The same transform on a slide that lies `far` px further out, and goes there too."""
    out = np.array([[1, 0, far], [0, 1, far], [0.0, 0.0, 1.0]])
    home = np.linalg.inv(out)
    moved_affine = AffineTransform(out @ np.array(MATRIX) @ home, FIXED, MOVING)
    moved_field = field((20.0 + far, 10.0 + far))
    return {
        "affine": moved_affine,
        "field": moved_field,
        "composite": moved_affine @ moved_field,
        "inverse_field": moved_field.inverse(),
        "inverse_composite": (moved_affine @ moved_field).inverse(),
    }[kind]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_accuracy_is_the_same_far_from_the_corner(kind: Callable[[], Transform]) -> None:
    far, points = 1e5, some_points()
    near = kind()(points)
    assert_allclose(shifted(kind.__name__, far)(points + far) - far, near, atol=2e-6)


def test_image_and_points_agree(transform: Transform) -> None:
    """Dots on the moving image, pulled to the fixed one, lie where the inverse takes their places."""
    spots = transform(np.array([[130.3, 110.8], [200.0, 171.5], [260.6, 140.2]]))
    width, height = 620, 620
    x, y = np.meshgrid(*(point_from_index(np.arange(side)) for side in (width, height)))
    for spot in spots:
        dot = np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * 1.5**2)).astype(np.float32)
        xs, ys = point_from_index(np.arange(400)), point_from_index(np.arange(320))
        pulled, _ = sample(dot, transform.on_grid(xs, ys), fill=0)
        weight = pulled.sum()
        centroid = np.array([(pulled.sum(axis=0) * xs).sum(), (pulled.sum(axis=1) * ys).sum()]) / weight
        wanted = transform.inverse()(spot[None])[0]
        assert_allclose(centroid, wanted, atol=0.06)


def test_affine_agrees_with_skimage() -> None:
    points = some_points()
    theirs: Any = SkimageAffine(matrix=np.array(MATRIX))  # type: ignore[no-untyped-call]
    assert_allclose(affine()(points), theirs(points), atol=1e-9)


def test_pulling_an_image_agrees_with_skimage() -> None:
    """skimage counts from pixel centres: the same affine there is shifted by half a pixel on both sides."""
    image = np.random.default_rng(1).random((90, 110)).astype(np.float32)
    matrix = np.array([[0.9, -0.2, 8.0], [0.15, 1.05, -6.0], [0.0, 0.0, 1.0]])
    frame = Frame("fixed", Size(110, 90), None)
    ours_at = AffineTransform(matrix, frame, frame).on_grid(
        point_from_index(np.arange(110)), point_from_index(np.arange(90))
    )
    ours, valid = sample(image, ours_at, fill=0)
    half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    centred = np.linalg.inv(half) @ matrix @ half
    theirs: Any = warp(image, centred, order=1, mode="edge")  # type: ignore[no-untyped-call]
    assert valid.mean() > 0.6
    # OpenCV rounds positions to 1/32 px: up to 1/64 px off on each axis, and values change by up to 1 a px.
    assert_allclose(ours[valid], theirs[valid], atol=1 / 32)


def test_a_field_is_bilinear_between_nodes_and_constant_outside() -> None:
    values = np.zeros((2, 3, 2), np.float32)
    values[..., 0] = [[0, 2, 4], [10, 12, 14]]
    shift = DisplacementField(values, (100, 50), (10, 20), FIXED).shift
    assert_allclose(shift(np.array([[100, 50], [115, 60], [120, 70]]))[:, 0], [0, 8, 14])
    assert_allclose(shift(np.array([[-1e6, -1e6], [1e6, 1e6], [105, 1e6]]))[:, 0], [0, 14, 11])


def test_a_single_node_shifts_everything() -> None:
    shift = DisplacementField([[[3, -2]]], (0, 0), (64, 64), FIXED)
    assert_allclose(shift(np.array([[7.0, 9.0]])), [[10.0, 7.0]])


def test_a_field_that_folds_has_no_inverse() -> None:
    values = np.zeros((1, 8, 2))
    values[0, ::2, 0] = 60
    folded = DisplacementField(values, (0, 0), (20, 20), FIXED)
    with pytest.raises(EngineError, match="folds") as caught:
        folded.inverse()(some_points())
    assert caught.value.code == "field_not_invertible"


def test_two_affines_become_one() -> None:
    second = AffineTransform(SECOND, MOVING, OTHER)
    merged = second @ (affine() @ field())
    assert isinstance(merged, Composite)
    assert [type(part) for part in merged.parts] == [AffineTransform, DisplacementField]


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(2),
        np.zeros((3, 3)),
        np.diag([1, 0, 1]),
        np.diag([1, np.nan, 1]),
        [[1, 0, 0], [0, 1, 0], [0.1, 0, 1]],
    ],
)
def test_what_is_no_affine_is_refused(matrix: Any) -> None:
    with pytest.raises(EngineError) as caught:
        AffineTransform(matrix, FIXED, MOVING)
    assert caught.value.code == "bad_affine"


@pytest.mark.parametrize("values", [np.zeros((3, 3)), np.zeros((0, 4, 2)), np.full((2, 2, 2), np.inf)])
def test_what_is_no_field_is_refused(values: Any) -> None:
    with pytest.raises(EngineError) as caught:
        DisplacementField(values, (0, 0), (10, 10), FIXED)
    assert caught.value.code == "bad_field"


@pytest.mark.parametrize("spacing", [(0, 10), (10, -1), (np.nan, 10)])
def test_nodes_must_lie_apart(spacing: tuple[float, float]) -> None:
    with pytest.raises(EngineError, match="spacing"):
        DisplacementField(np.zeros((2, 2, 2)), (0, 0), spacing, FIXED)


def test_transforms_keep_their_own_numbers() -> None:
    matrix, values = np.eye(3), np.zeros((2, 2, 2), np.float32)
    turned, bent = AffineTransform(matrix, FIXED, FIXED), DisplacementField(values, (0, 0), (9, 9), FIXED)
    matrix[0, 0], values[0, 0] = 5, 5
    assert_array_equal(turned.matrix, np.eye(3))
    assert not bent.values.any()
    with pytest.raises(ValueError, match="read-only"):
        turned.matrix[0, 0] = 2


@given(
    arrays(np.float64, (2, 2), elements=st.floats(-2, 2)),
    arrays(np.float64, (5, 2), elements=st.floats(-2e5, 2e5)),
)
def test_any_regular_affine_is_undone(linear: Points, points: Points) -> None:
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    if abs(np.linalg.det(matrix)) < 0.05:
        return
    transform = AffineTransform(matrix, FIXED, MOVING)
    assert_allclose(transform.inverse()(transform(points)), points, atol=1e-7)
