"""The polish of the mid-scale field: known warps, and what must not move."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from registration.engine.config.midscale import MidscaleConfig, PolishConfig
from registration.engine.errors import EngineError
from registration.engine.features import read_overview
from registration.engine.geometry import Points
from registration.engine.midfeatures import MidImage, mid_image
from registration.engine.nonrigid import Grid, Nodes, smallest_jacobian
from registration.engine.polish import NOWHERE, correlation_slope, polished, unfolded
from registration.engine.source import PixelSource
from registration.engine.synthetic import ArraySource
from registration.engine.synthetic.looks import BROWN
from registration.engine.synthetic.warped import WarpedSource, frame_of, smooth_field

Values = NDArray[np.float64]

CONFIG = MidscaleConfig()
SAME = np.eye(3)


@pytest.fixture(scope="module")
def lung(data_dir: Path) -> ArraySource:
    return ArraySource(_image(data_dir, "He")[200:440, 250:550])


@pytest.mark.data
@pytest.mark.parametrize("seed", [11, 12])
def test_a_known_warp_across_stains_is_recovered(lung: ArraySource, seed: int) -> None:
    truth = smooth_field(frame_of(lung, "fixed"), seed=seed, largest=7.0, bend=150.0)
    grid, nodes = _polished(_view(WarpedSource(lung, truth, BROWN)), _view(lung))
    points = _inner(grid, _view(lung).shape)
    before = np.linalg.norm(points - truth(points), axis=1)
    after = np.linalg.norm(points + grid.evaluate_at(nodes, points) - truth(points), axis=1)
    assert np.median(before) >= 1.2
    assert np.median(after) <= 0.25 * np.median(before)
    assert np.percentile(after, 90) <= 0.5 * np.percentile(before, 90)
    assert smallest_jacobian(grid, nodes) > CONFIG.smallest_jacobian


@pytest.mark.data
def test_the_same_image_stays_where_it_is(lung: ArraySource) -> None:
    _, nodes = _polished(_view(lung), _view(lung))
    assert np.abs(nodes).max() <= 0.05


@pytest.mark.data
def test_what_is_masked_pulls_at_nothing(lung: ArraySource) -> None:
    view = _view(lung)
    spoilt, mask = view.feature.copy(), view.mask.copy()
    spoilt[:, 150:] = np.roll(spoilt, 4, axis=1)[:, 150:]
    mask[:, 150:] = False
    _, seen = _polished(MidImage(spoilt, view.mask), view)
    _, masked = _polished(MidImage(spoilt, mask), view)
    assert np.median(np.abs(seen[:, 24:, 0])) >= 2
    assert np.abs(masked).max() <= 0.05
    _, empty = _polished(MidImage(spoilt, np.zeros_like(mask)), view)
    assert not empty.any()


@pytest.mark.data
def test_other_tissue_moves_no_further_than_allowed_and_does_not_fold(
    lung: ArraySource, data_dir: Path
) -> None:
    other = ArraySource(np.ascontiguousarray(_image(data_dir, "Ki67")[200:440, 250:550][::-1]))
    loose = MidscaleConfig(polish=PolishConfig(stiffness=0.05))
    grid, nodes = polished(_view(lung), _view(other), SAME, _start(lung), loose)
    assert smallest_jacobian(grid, nodes) > CONFIG.smallest_jacobian
    assert 1 <= np.hypot(*np.moveaxis(nodes, -1, 0)).max() <= CONFIG.polish.furthest + 1e-3


def test_a_correction_that_folds_is_taken_back_there_and_nowhere_else() -> None:
    field = _field((320, 480))
    torn = Bump((120.0, 160.0), 24.0, wide=10.0)
    far = Bump((400.0, 100.0), 2.0, wide=24.0)
    grid = Grid.over(480, 320, 8)
    assert smallest_jacobian(grid, torn.on(grid)) < 0
    nodes = unfolded(grid, field, torn.on(grid) + far.on(grid), CONFIG.smallest_jacobian)
    assert smallest_jacobian(grid, nodes) > CONFIG.smallest_jacobian
    away = np.linalg.norm(grid.node_points() - torn.place, axis=1).reshape(nodes.shape[:2]) > 160
    assert np.array_equal(nodes[away], far.on(grid)[away])
    kept = grid.evaluate_at(nodes, np.array([torn.place]))[0, 0]
    assert 2 <= kept <= 20


def test_where_the_field_itself_folds_nothing_is_added_and_elsewhere_it_is() -> None:
    coarse, _ = _field((320, 480))
    grid = Grid.over(480, 320, 8)
    folded, far = Bump((120.0, 160.0), 40.0, wide=12.0), Bump((400.0, 100.0), 2.0, wide=24.0)
    field = (coarse, folded.on(coarse))
    own = unfolded(grid, field, grid.zeros(), CONFIG.smallest_jacobian)
    assert smallest_jacobian(grid, own) < 0
    added = Bump((124.0, 164.0), 3.0, wide=12.0).on(grid) + far.on(grid)
    nodes = unfolded(grid, field, added, CONFIG.smallest_jacobian)
    assert smallest_jacobian(grid, nodes) >= smallest_jacobian(grid, own) - 1e-5
    far_off = np.array([far.place])
    assert grid.evaluate_at(nodes, far_off)[0, 0] == pytest.approx(2, abs=0.1)


def test_held_places_stay_though_the_nodes_lie_elsewhere() -> None:
    coarse, nodes = _field((320, 480))
    rng = np.random.default_rng(9)
    field = (coarse, nodes + rng.normal(0, 1.5, nodes.shape))
    held, grid = rng.uniform((20, 20), (460, 300), (20, 2)), Grid.over(480, 320, 8)
    moved = []
    for places in (held, NOWHERE):
        found = unfolded(grid, field, grid.zeros(), CONFIG.smallest_jacobian, places)
        there = grid.evaluate_at(found, held) - coarse.evaluate_at(field[1], held)
        moved.append(np.linalg.norm(there, axis=1).max())
    assert moved[0] <= 0.1 < moved[1]


@pytest.mark.data
def test_held_places_stay_and_the_same_bytes_come_twice(lung: ArraySource) -> None:
    moved = MidImage(np.roll(_view(lung).feature, 3, axis=1), _view(lung).mask)
    held = np.array([(151.0, 120.0)])
    runs = []
    threads = cv2.getNumThreads()
    try:
        for count in (1, 2):
            cv2.setNumThreads(count)
            runs.append(polished(_view(lung), moved, SAME, _start(lung), CONFIG, held))
    finally:
        cv2.setNumThreads(threads)
    (grid, nodes), (_, again) = runs
    assert np.array_equal(nodes, again)
    assert np.abs(grid.evaluate_at(nodes, held)).max() <= 1e-6
    assert grid.evaluate_at(nodes, held + np.array((80, 0)))[0, 0] >= 2


def test_the_slope_is_that_of_the_correlation() -> None:
    """Against finite differences of the windows' correlation, written down anew."""
    rng = np.random.default_rng(5)
    fixed, moving = (
        np.asarray(cv2.GaussianBlur(rng.random((24, 26)), (0, 0), 2.0), np.float64) for _ in "fm"
    )
    known = np.ones((24, 26), np.float64)
    known[:, :9] = 0
    here, there, seen = (np.asarray(one, np.float32) for one in (fixed - 0.5, moving - 0.5, known))
    slope, none = (correlation_slope(here, other, seen, 4) for other in (there, here))
    for row, column in ((12, 18), (12, 10), (2, 22), (23, 25)):
        step = np.zeros_like(moving)
        step[row, column] = 1e-6
        windows = [_correlations(fixed, moving + sign * step, known, 4) for sign in (1, -1)]
        weight = (windows[0][1] + windows[1][1]) / 2
        change = float((weight * (windows[0][0] - windows[1][0])).sum() / 2e-6)
        assert slope[row, column] == pytest.approx(change, rel=5e-3)
    assert not slope[:, :9].any()
    assert np.abs(none).max() <= 1e-3 * np.abs(slope).max()


@pytest.mark.parametrize("wrong", [{"window": 0}, {"rate": float("nan")}, {"steps": 1.5}, {"furthest": 500}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="polish") as raised:
        PolishConfig(**wrong)
    assert raised.value.code == "bad_config"


@dataclass(frozen=True)
class Bump:
    """A displacement in x by `most` px at `place`, falling off as a Gaussian."""

    place: tuple[float, float]
    most: float
    wide: float

    def on(self, grid: Grid) -> Nodes:
        apart = np.linalg.norm(grid.node_points() - self.place, axis=1).reshape(grid.rows, grid.columns)
        size = self.most * np.exp(-((apart / self.wide) ** 2) / 2)
        return np.stack((np.where(size < 1e-6, 0, size), np.zeros_like(size)), axis=-1)


def _correlations(
    fixed: Values, moving: Values, known: Values, radius: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the windows that are known well enough, and what each counts for."""
    found = []
    for row, column in np.ndindex(*fixed.shape):
        place = tuple(slice(max(0, at - radius), at + radius + 1) for at in (row, column))
        inside = known[place] > 0
        if inside.sum() > 0.3 * (2 * radius + 1) ** 2:
            found.append(np.cov(fixed[place][inside], moving[place][inside], ddof=0))
    both = np.array(found)
    spreads = [both[:, i, i] for i in (0, 1)]
    weights = [spread / (spread + 0.05 * spread.mean()) for spread in spreads]
    return both[:, 0, 1] / np.sqrt(spreads[0] * spreads[1]), weights[0] * weights[1]


def _polished(fixed: MidImage, moving: MidImage) -> tuple[Grid, Nodes]:
    return polished(fixed, moving, SAME, _field(fixed.shape), CONFIG)


def _start(source: PixelSource) -> tuple[Grid, Nodes]:
    return _field((source.height, source.width))


def _field(shape: tuple[int, int]) -> tuple[Grid, Nodes]:
    grid = Grid.over(shape[1], shape[0], CONFIG.node_spacing)
    return grid, grid.zeros()


def _inner(grid: Grid, shape: tuple[int, int]) -> Points:
    points = grid.node_points()
    return points[(points > 30).all(axis=1) & (points < np.array(shape[::-1]) - 30).all(axis=1)]


def _view(source: PixelSource) -> MidImage:
    return mid_image(read_overview(source, 1.0))


def _image(data_dir: Path, name: str) -> NDArray[np.uint8]:
    read = cv2.imread(str(data_dir / "landmarks" / "lung-lesion-3" / f"{name}.jpg"))
    assert read is not None
    return np.ascontiguousarray(read[..., ::-1], np.uint8)
