"""The parts of the level-0 stage, each against a truth of its own."""

import cv2
import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from registration.engine.costvolume import Rows, match_cells
from registration.engine.matrices import apply, shift, turn
from registration.engine.midfeatures import MidImage, pulled
from registration.engine.nonrigid import Grid, Matches, Pins, fit_field, smallest_jacobian
from registration.engine.resample import lattice, sample, sample_lattice
from registration.engine.stains import Channel

STEP = 16


def _texture(side: int, seed: int = 3) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    grey: NDArray[np.uint8] = np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    return grey


@pytest.mark.parametrize(("rows", "columns"), [(200, 333), (16, 16), (1, 7)])
def test_a_lattice_map_gives_the_pixels_of_the_full_map(rows: int, columns: int) -> None:
    image = _texture(700)
    matrix = turn(31)[:2, :2]

    def mapped(xs: ArrayLike, ys: ArrayLike) -> NDArray[np.float64]:
        points: NDArray[np.float64] = np.stack(
            np.meshgrid(np.asarray(xs), np.asarray(ys)), axis=-1
        ) @ matrix.T + (230.3, 90.7)
        return points

    coarse = mapped(lattice(0, columns, STEP), lattice(0, rows, STEP))
    found = sample_lattice(image, coarse, STEP, (rows, columns))
    expected, valid = sample(
        image, mapped(np.linspace(0.5, columns - 0.5, columns), np.linspace(0.5, rows - 0.5, rows)), fill=0
    )
    assert valid.all()
    assert found.shape == (rows, columns)
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 3  # OpenCV's 1/32 px, on steep texture


@pytest.mark.parametrize("left", [0, 20_000, 39_800, 50_000])
def test_a_lattice_map_into_an_image_that_opencv_takes_no_longer(left: int) -> None:
    """As from the part of it that is needed; nothing beyond the image."""
    image = np.random.default_rng(4).integers(0, 256, (60, 40_000), dtype=np.uint8)
    xs, ys = lattice(0, 500, STEP), lattice(0, 40, STEP)
    points = np.stack(np.meshgrid(xs + 0.25, ys + 3.5), axis=-1)
    part = np.zeros((60, 800), np.uint8)
    part[:, : max(0, min(800, 40_000 - left))] = image[:, left : left + 800]
    found = sample_lattice(image, points + np.array((left, 0)), STEP, (40, 500))
    inner = sample_lattice(part, points, STEP, (40, 500))
    np.testing.assert_array_equal(found[:, 1:], inner[:, 1:])


@pytest.mark.parametrize("margin", [0, 5, 32])
def test_an_image_pulled_through_a_field_is_that_of_the_full_map(margin: int) -> None:
    """In strips of the field's squares, whether or not the margin is made of whole ones."""
    image, shape, grid = _texture(700).astype(np.float32), (300, 410), Grid.over(410, 300, STEP)
    noise = np.random.default_rng(1).normal(0, 60, grid.zeros().shape)
    nodes = np.asarray(cv2.GaussianBlur(noise, (0, 0), 3.0), np.float64)
    matrix = shift(170, -40) @ turn(31)
    mask = np.indices(image.shape).sum(axis=0) % 400 < 300
    xs, ys = (np.arange(0.5 - margin, side + margin, dtype=np.float64) for side in reversed(shape))
    full = grid.evaluate(nodes, xs, ys) + np.stack(np.meshgrid(xs, ys), axis=-1)
    full = apply(matrix, full.reshape(-1, 2)).reshape(full.shape)
    values, valid = sample(image, full)
    known = valid & (sample(mask.astype(np.uint8), full, "nearest", fill=0)[0] > 0)
    found = pulled(MidImage(image, mask), matrix, (grid, nodes), shape, margin)
    assert 0.3 < known.mean() < 0.9
    assert (found.mask != known).mean() <= 1e-3
    assert np.abs(found.feature - values)[known & found.mask].max() <= 3  # OpenCV's 1/32 px


def _rows(image: Channel) -> Rows:
    return lambda first, last: image[first:last]


@pytest.mark.parametrize("cell", [8, 12, 16])
@pytest.mark.parametrize(("dx", "dy"), [(2, -1), (-3, 3), (0, 0)])
def test_cells_find_the_shift_between_two_images(cell: int, dx: int, dy: int) -> None:
    reach, side = 4, 192
    scene = _texture(side + 4 * reach)
    fixed = scene[2 * reach : 2 * reach + side, 2 * reach : 2 * reach + side]
    moving = scene[reach - dy : reach - dy + side + 2 * reach, reach - dx : reach - dx + side + 2 * reach]
    peaks = match_cells(fixed, _rows(moving), np.ones((4, 4), np.float32), cell, reach, 2.0)
    assert peaks.usable.all()
    assert np.abs(peaks.shift - (dx, dy)).max() < 0.1
    assert peaks.score.min() > 0.99


def test_cells_of_unrelated_images_do_not_agree_on_a_shift() -> None:
    fixed, moving = _texture(192, 1), _texture(200, 2)
    peaks = match_cells(fixed, _rows(moving), np.ones((4, 4), np.float32), 16, 4, 2.0)
    assert np.median(peaks.score) < 0.5


def test_flat_and_invalid_cells_are_not_used() -> None:
    fixed = np.full((192, 192), 90, np.uint8)
    flat = match_cells(
        fixed, _rows(np.full((200, 200), 90, np.uint8)), np.ones((4, 4), np.float32), 16, 4, 2.0
    )
    textured = match_cells(_texture(192), _rows(_texture(200)), np.zeros((4, 4), np.float32), 16, 4, 2.0)
    assert not flat.usable.any()
    assert not textured.usable.any()


def _matches(grid_side: int, bend: float, weight: float = 1.0) -> tuple[Matches, NDArray[np.float64]]:
    xs = np.arange(8.0, grid_side, 16)
    x, y = np.meshgrid(xs, xs)
    truth = np.stack((3 + 0.01 * x - 0.02 * y, bend * np.sin(2 * np.pi * x / grid_side)), axis=-1)
    return Matches(xs, xs, truth, np.full(x.shape, weight)), truth


def test_a_field_follows_smooth_matches_and_ignores_wild_ones() -> None:
    matches, truth = _matches(1024, bend=5)
    rng = np.random.default_rng(0)
    wild = rng.random(matches.weight.shape) < 0.15
    target = np.where(wild[..., None], truth + rng.uniform(-40, 40, truth.shape), truth)
    grid = Grid.over(1024, 1024, 64)
    nodes = fit_field(grid, Matches(matches.xs, matches.ys, target, matches.weight), grid.zeros(), 0.1, 1.5)
    error = np.linalg.norm(grid.evaluate(nodes, matches.xs, matches.ys) - truth, axis=-1)
    assert np.median(error) < 0.3
    assert np.percentile(error, 90) < 1.0
    assert smallest_jacobian(grid, nodes) > 0.8


def test_an_affine_field_goes_on_where_nothing_was_matched() -> None:
    matches, truth = _matches(1024, bend=0)
    hole = matches.weight.copy()
    hole[20:44, 20:44] = 0
    grid = Grid.over(1024, 1024, 64)
    nodes = fit_field(grid, Matches(matches.xs, matches.ys, truth, hole), grid.zeros(), 0.1, 30.0)
    error = np.linalg.norm(grid.evaluate(nodes, matches.xs, matches.ys) - truth, axis=-1)
    assert error[20:44, 20:44].max() < 0.5


def test_without_matches_the_field_stays_as_it_is() -> None:
    matches, _ = _matches(512, bend=0, weight=0)
    grid = Grid.over(512, 512, 64)
    start = grid.zeros() + 1.5
    assert np.array_equal(fit_field(grid, matches, start, 0.1, 1.5), start)


def test_a_pin_pulls_the_field_to_where_a_person_put_it_and_no_further() -> None:
    matches, truth = _matches(1024, bend=0, weight=0.05)
    grid = Grid.over(1024, 1024, 64)
    place = np.array([(517.0, 500.0)])
    wanted = grid.evaluate_at(fit_field(grid, matches, grid.zeros(), 0.1, 1.5), place)
    wanted = wanted + np.array((6.0, -4.0))
    nodes = fit_field(grid, matches, grid.zeros(), 0.1, 1.5, pins=Pins(place, wanted, np.array([20.0])))
    assert np.linalg.norm(grid.evaluate_at(nodes, place) - wanted) < 1.0
    error = np.linalg.norm(grid.evaluate(nodes, matches.xs, matches.ys) - truth, axis=-1)
    assert np.median(error) < 0.5
