"""Tests that can't be fooled: what counts is the truth, and wrong methods must fail the same assertions.

Similarity of the two images is never asked: a field that folds makes them more alike.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from registration.engine.config import RegistrationConfig, preset
from registration.engine.config.levelzero import LevelZeroConfig
from registration.engine.config.slides import SlideConfig
from registration.engine.evaluation.field import folding_share, inverse_consistency
from registration.engine.geometry import Box, Frame, Points, Size
from registration.engine.nonrigid import Grid, Matches, fit_field
from registration.engine.pipeline import align_slides, register
from registration.engine.resample import warp_region
from registration.engine.result import Level, RegistrationResult
from registration.engine.robust import fit, robust_fit
from registration.engine.source import Rgb
from registration.engine.synthetic import ArraySource, PhantomArrays, phantom_arrays
from registration.engine.synthetic.looks import BROWN, PINK
from registration.engine.synthetic.warped import WarpedSource, developed, frame_of, placed, smooth_field
from registration.engine.transforms import AffineTransform, DisplacementField, Transform

ACCURATE = preset("accurate")
#: Smaller overviews than usual, so that whole slides are aligned quickly.
QUICK = replace(ACCURATE, slides=SlideConfig(overview_px=400))
WIDTH, HEIGHT = 704, 560
BOX = Box(160, 96, 416, 352)
#: More stages than any registration may take: it must not go round in circles.
MOST_STAGES = 24


class Bent:
    """A phantom's H&E, not square, and the same pixels in another stain under a field of 8 px."""

    def __init__(self, seed: int, largest: float = 8.0) -> None:
        whole = phantom_arrays(WIDTH, seed, rotation=0, field_px=0)
        rgb = np.ascontiguousarray(whole.he.rgb[72 : 72 + HEIGHT])
        self.fixed = ArraySource(rgb, (0.25, 0.25))
        place = placed(self.fixed, Size(640, 720), degrees=12, um_per_px=(0.25, 0.25))
        field = smooth_field(place.fixed, seed, largest, 24 * largest)
        source_from_shown = AffineTransform(place.matrix, place.fixed, frame_of(self.fixed, "fixed")) @ field
        self.moving = developed(
            WarpedSource(self.fixed, source_from_shown, BROWN), noise=3.0, jpeg=85, seed=seed
        )
        self.truth = source_from_shown.inverse()
        inside = (whole.points > (0, 72)).all(axis=1) & (whole.points < (WIDTH, 72 + HEIGHT)).all(axis=1)
        points = whole.points[inside] - (0, 72)
        self.points = points[((points > (BOX.x, BOX.y)) & (points < (BOX.right, BOX.bottom))).all(axis=1)]

    def errors(self, transform: Transform) -> NDArray[np.float64]:
        return np.asarray(np.linalg.norm(transform(self.points) - self.truth(self.points), axis=1))


@pytest.fixture(scope="module")
def bent() -> Bent:
    return Bent(6)


@pytest.fixture(scope="module")
def found(bent: Bent) -> RegistrationResult:
    return register(bent.fixed, bent.moving, BOX, ACCURATE, initial=about(bent))


def about(bent: Bent, off: tuple[float, float] = (6.0, -5.0)) -> AffineTransform:
    """The truth without its field, some px off: what aligning the slides leaves."""
    corners = BOX.corners()
    matrix = fit(corners, bent.truth(corners), np.ones(4), "similarity")
    matrix[:2, 2] += off
    return AffineTransform(matrix, bent.truth.fixed, bent.truth.moving)


def confirm(result: RegistrationResult, bent: Bent, median: float, p90: float) -> None:
    """What every registration here has to pass: error against the truth, no folds, an end."""
    errors = bent.errors(result.transform)
    assert np.median(errors) <= median
    assert np.percentile(errors, 90) <= p90
    assert folding_share(result.transform, BOX, 4) == 0
    assert not result.refused
    assert 0 < len(result.stages) <= MOST_STAGES
    names = [stage.name for stage in result.stages]
    assert len(names) == len(set(names))


def test_a_bent_region_is_found_to_a_fraction_of_a_pixel(bent: Bent, found: RegistrationResult) -> None:
    confirm(found, bent, 0.5, 1.2)
    assert np.median(bent.errors(about(bent))) > 5


@pytest.mark.parametrize("method", ["identity", "constant", "start", "opposite sign"])
def test_methods_that_do_nothing_fail(bent: Bent, found: RegistrationResult, method: str) -> None:
    """The same assertions, on a result that claims to be good."""
    fixed, moving = bent.truth.fixed, bent.truth.moving
    undone = about(bent, (0.0, 0.0)).inverse().matrix
    transforms: dict[str, Transform] = {
        "identity": AffineTransform(np.eye(3), fixed, moving),
        "constant": AffineTransform(np.array([(1e-5, 0, 320.0), (0, 1e-5, 360.0), (0, 0, 1)]), fixed, moving),
        "start": about(bent),
        "opposite sign": AffineTransform(undone, fixed, moving),
    }
    with pytest.raises(AssertionError):
        confirm(replace(found, transform=transforms[method]), bent, 0.5, 1.2)


def test_a_copy_of_the_fixed_image_is_no_registration(bent: Bent, found: RegistrationResult) -> None:
    """Nothing is more like the fixed image than itself; held against the moving slide's pixels it fails."""
    wanted, _ = warp_region(bent.moving, bent.truth, BOX)
    ours, _ = warp_region(bent.moving, found.transform, BOX)
    copied, _ = bent.fixed.read(BOX.x, BOX.y, BOX.width, BOX.height, 1.0)
    assert pixels_apart(ours, wanted) < 6
    assert pixels_apart(copied, wanted) > 4 * pixels_apart(ours, wanted)


def pixels_apart(one: Rgb, other: Rgb) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def test_the_bending_weight_is_wired(bent: Bent, found: RegistrationResult) -> None:
    """Too stiff a field can't follow the bends: the error grows with the weight, and nothing folds."""
    stiff = register(bent.fixed, bent.moving, BOX, with_bending(1e5), initial=about(bent))
    weak = register(bent.fixed, bent.moving, BOX, with_bending(1e-3), initial=about(bent))
    medians = [float(np.median(bent.errors(each.transform))) for each in (found, stiff)]
    assert medians[1] > 2 * medians[0]
    for result in (stiff, weak):
        assert folding_share(result.transform, BOX, 4) == 0


def with_bending(weight: float) -> RegistrationConfig:
    return replace(ACCURATE, level_zero=replace(LevelZeroConfig(), bending=weight))


def test_too_weak_a_bending_penalty_folds_and_errs() -> None:
    """Matches of a smooth field with noise: the fit's folds and errors fall as the weight grows, then the
    errors rise again.
    """
    rng = np.random.default_rng(4)
    grid = Grid.over(512, 384, 16)
    xs, ys = np.arange(8.0, 512, 16), np.arange(8.0, 384, 16)
    field = smooth_field(Frame("fixed", Size(512, 384), None), 3, 16.0, 300.0)
    true = field.on_grid(xs, ys) - np.stack(np.meshgrid(xs, ys), axis=-1)
    noisy = Matches(xs, ys, true + rng.normal(0, 8, true.shape), np.ones(true.shape[:2]))
    folds, errors = [], []
    for bending in (1e-4, 1.0, 1e6):
        nodes = fit_field(grid, noisy, grid.zeros(), bending, 1e6)
        fitted = DisplacementField(nodes, (grid.first,) * 2, (16.0, 16.0), field.fixed)
        folds.append(folding_share(fitted, Box(0, 0, 512, 384), 4))
        errors.append(float(np.median(np.linalg.norm(grid.evaluate(nodes, xs, ys) - true, axis=-1))))
    assert folds[0] > 0.03
    assert folds[1] == folds[2] == 0
    assert errors[1] < errors[0] / 2
    assert errors[1] < errors[2]


@pytest.fixture(scope="module")
def small() -> PhantomArrays:
    return phantom_arrays(512, seed=9, rotation=-48, field_px=4)


def test_right_and_wrong_pairs_are_told_apart(small: PhantomArrays) -> None:
    """One gate for both: the right pair passes, another specimen and disjoint halves are refused."""
    accepted = align_slides(small.he, small.ihc, QUICK)
    assert accepted.verdict.level is Level.GOOD
    errors = np.linalg.norm(accepted.transform(small.points) - small.truth(small.points), axis=1)
    assert np.median(errors) < 0.02 * small.ihc.size.diagonal
    other = phantom_arrays(512, seed=9, rotation=-48, unrelated=True)
    left, right = (part(small.he, columns) for columns in (np.s_[:250], np.s_[262:]))
    for fixed, moving in ((small.he, other.ihc), (left, right)):
        refused = align_slides(fixed, moving, QUICK)
        assert refused.refused
        assert refused.verdict.reasons
        assert refused.evidence["slide_z"] < accepted.evidence["slide_z"] / 2


def part(source: ArraySource, columns: slice) -> ArraySource:
    return ArraySource(np.ascontiguousarray(source.rgb[:, columns]), source.um_per_px)


@pytest.fixture(scope="module")
def shifted() -> tuple[ArraySource, ArraySource]:
    """A slide that is not square, and the same 7 px further right and 3 px further up in another stain."""
    whole = phantom_arrays(704, 5, rotation=0, field_px=0).he.rgb
    moving = PINK(np.ascontiguousarray(whole[103:603, 13:633]))
    fixed = np.ascontiguousarray(whole[100:600, 20:640])
    return ArraySource(fixed, (0.25, 0.25)), ArraySource(moving, (0.25, 0.25))


@pytest.mark.parametrize("method", ["accurate", "rigid"])
def test_image_and_points_move_the_same_way(shifted: tuple[ArraySource, ArraySource], method: str) -> None:
    """Pull: the transform takes a fixed point to where the moving slide shows it."""
    fixed, moving = shifted
    box = Box(150, 130, 320, 256)
    start = AffineTransform(np.eye(3), frame_of(fixed, "fixed"), frame_of(moving, "moving"))
    result = register(fixed, moving, box, preset(method), initial=start)
    points = grid_points(box)
    assert_allclose(np.median(result.transform(points) - points, axis=0), (7, -3), atol=0.15)
    pulled, _ = warp_region(moving, result.transform, box)
    wanted = moving.rgb[box.y - 3 : box.bottom - 3, box.x + 7 : box.right + 7]
    assert pixels_apart(pulled, wanted) < 4
    assert folding_share(result.transform, box, 4) == 0


def test_swapping_the_slides_gives_the_inverse(small: PhantomArrays) -> None:
    there = align_slides(small.he, small.ihc, QUICK).transform
    back = align_slides(small.ihc, small.he, QUICK).transform
    back = renamed(back, there)
    assert inverse_consistency(there, back, Box(128, 128, 256, 256), 16) < 4.0
    points = grid_points(Box(128, 128, 256, 256))
    assert np.median(np.linalg.norm(there(points) - small.truth(points), axis=1)) < 4.0


def renamed(back: Transform, there: Transform) -> Transform:
    """`back` from there's moving frame to its fixed one."""
    start = AffineTransform(np.eye(3), there.moving, back.fixed)
    end = AffineTransform(np.eye(3), back.moving, there.fixed)
    return end @ back @ start


def grid_points(box: Box) -> Points:
    xs, ys = np.arange(box.x + 8.0, box.right, 16), np.arange(box.y + 8.0, box.bottom, 16)
    return np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)


def test_a_pull_field_is_not_pushed() -> None:
    """Adding it to moving points, or only flipping its sign, is off by px; the inverse is exact."""
    frame = Frame("fixed", Size(600, 500), None)
    field = smooth_field(frame, 2, 20.0, 260.0)
    points = grid_points(Box(0, 0, 600, 500))
    moved = field(points)
    shift = field(moved) - moved
    added, flipped = (np.linalg.norm(moved + sign * shift - points, axis=1) for sign in (1, -1))
    exact = np.linalg.norm(field.inverse()(moved) - points, axis=1)
    assert added.max() > 15
    assert flipped.max() > 1
    assert exact.max() < 1e-6


corners = st.floats(-2e5, 2e5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), corners, corners, st.floats(-3.2, 3.2), st.floats(0.5, 2.0))
def test_a_fit_is_as_good_far_from_the_corner(
    seed: int, x: float, y: float, turn: float, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    source = rng.uniform(0, 900, (40, 2))
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    target = source @ linear.T + (31.0, -12.0)
    target[:3] += 400
    far = np.array((x, y))
    matrix = robust_fit(source + far, target + far, np.ones(40), "similarity", (200.0, 20.0, 2.0, 0.1, 0.01))
    near = (source[3:] + far) @ matrix[:2, :2].T + matrix[:2, 2] - far
    if np.abs(near - target[3:]).max() > 1:  # three gross errors can win over a start that is far off
        return
    assert_allclose(near, target[3:], atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.5, 25.0), st.floats(-180, 180), st.booleans(), st.floats(0.4, 2.5))
def test_any_made_transform_is_undone_and_keeps_composing(
    seed: int, largest: float, degrees: float, mirrored: bool, scale: float
) -> None:
    source = ArraySource(np.zeros((400, 500, 3), np.uint8))
    place = placed(source, Size(450, 620), degrees=degrees, mirrored=mirrored, scale=scale)
    field = smooth_field(place.fixed, seed, largest, 16 * largest)
    transform = place @ field
    points = np.random.default_rng(seed).uniform(-100, 700, (60, 2))
    assert_allclose(transform.inverse()(transform(points)), points, atol=1e-4)
    assert_allclose(transform(points), place(field(points)), atol=1e-9)
    assert folding_share(transform, Box(0, 0, 450, 620), 10) == 0
