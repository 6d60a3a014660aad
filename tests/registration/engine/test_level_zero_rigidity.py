"""The level-0 field never bends a nucleus out of shape, and leaves honest fields alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from registration.engine.config.levelzero import LevelZeroConfig
from registration.engine.nonrigid import Grid, Matches, Pins, fit_field
from registration.engine.rigidity import fit_rigidly, largest_strain

LIMIT = LevelZeroConfig().largest_strain
SIDE, SPACING, CELL = 1024, 64, 16
GRID = Grid.over(SIDE, SIDE, SPACING)
LINE = np.arange(CELL / 2, SIDE, CELL)


def _matches(target: NDArray[np.float64]) -> Matches:
    return Matches(LINE, LINE, target, np.ones(target.shape[:2]))


def _torn(gap: float) -> NDArray[np.float64]:
    """Both halves of a torn section are matched perfectly, `gap` px apart."""
    x, _ = np.meshgrid(LINE, LINE)
    return np.stack((np.where(x < SIDE / 2, -gap / 2, gap / 2), np.zeros_like(x)), axis=-1)


def _bent() -> NDArray[np.float64]:
    x, y = np.meshgrid(LINE, LINE)
    return np.stack((20 * np.sin(2 * np.pi * y / SIDE), 10 * np.cos(2 * np.pi * x / SIDE)), axis=-1)


def _nucleus_stretch(nodes: NDArray[np.float64]) -> float:
    """The largest ratio of the diameters of a 10 um circle after the field, over the whole grid."""
    angles = np.linspace(0, np.pi, 24, endpoint=False)
    ring = 20 * np.stack((np.cos(angles), np.sin(angles)), axis=-1)
    worst = 1.0
    for centre in np.random.default_rng(0).uniform(100, SIDE - 100, (400, 2)):
        ends = [p + GRID.evaluate_at(nodes, p) for p in (centre + ring, centre - ring)]
        diameters = np.linalg.norm(ends[0] - ends[1], axis=1)
        worst = max(worst, diameters.max() / diameters.min())
    return float(worst)


@pytest.mark.parametrize("gap", [40.0, -40.0, 120.0])
def test_a_tear_does_not_smear_the_nuclei_beside_it(gap: float) -> None:
    matches = _matches(_torn(gap))
    free = fit_field(GRID, matches, GRID.zeros(), 0.06, 1.5)
    nodes, stiffened = fit_rigidly(GRID, matches, GRID.zeros(), 0.06, 1.5, LIMIT)
    assert largest_strain(GRID, free).max() > LIMIT
    assert largest_strain(GRID, nodes).max() <= LIMIT
    assert _nucleus_stretch(nodes) < (1 + LIMIT) / (1 - LIMIT)
    assert _nucleus_stretch(nodes) < _nucleus_stretch(free)
    assert stiffened.any()


def test_away_from_the_tear_the_field_still_follows_the_matches() -> None:
    matches = _matches(_torn(40.0))
    nodes, _ = fit_rigidly(GRID, matches, GRID.zeros(), 0.06, 1.5, LIMIT)
    error = np.linalg.norm(GRID.evaluate(nodes, LINE, LINE) - matches.target, axis=-1)
    away = np.abs(LINE - SIDE / 2) > 300
    assert np.median(error[:, away]) < 1.5


def test_a_field_within_the_limit_is_left_as_it_is() -> None:
    matches = _matches(_bent())
    nodes, stiffened = fit_rigidly(GRID, matches, GRID.zeros(), 0.06, 1.5, LIMIT)
    assert np.array_equal(nodes, fit_field(GRID, matches, GRID.zeros(), 0.06, 1.5))
    assert not stiffened.any()


def test_wild_matches_give_a_field_that_bends_nothing_too_far() -> None:
    rng = np.random.default_rng(5)
    matches = _matches(rng.uniform(-60, 60, (len(LINE), len(LINE), 2)))
    nodes, _ = fit_rigidly(GRID, matches, GRID.zeros(), 1e-4, 100.0, LIMIT)
    assert largest_strain(GRID, nodes).max() <= LIMIT


def test_contradicting_pins_do_not_fold_the_field() -> None:
    pins = Pins(
        np.array([(500.0, 500.0), (520.0, 500.0)]), np.array([(50.0, 0.0), (-50.0, 0.0)]), np.ones(2) * 5
    )
    nodes, _ = fit_rigidly(GRID, _matches(_bent()), GRID.zeros(), 0.06, 1.5, LIMIT, pins)
    assert largest_strain(GRID, nodes).max() <= LIMIT


def test_strain_of_known_maps() -> None:
    points = GRID.node_points()
    for matrix, expected in (
        (np.array([(1.2, 0.0), (0.0, 1.0)]), 0.2),
        (np.array([(1.0, 0.3), (0.0, 1.0)]), 0.161),  # a shear of 0.3: singular values 1.161 and 0.861
        (np.array([(np.cos(0.5), -np.sin(0.5)), (np.sin(0.5), np.cos(0.5))]), 0.0),
        (np.array([(-1.0, 0.0), (0.0, 1.0)]), 2.0),
    ):
        nodes = (points @ matrix.T - points).reshape(GRID.rows, GRID.columns, 2)
        assert largest_strain(GRID, nodes) == pytest.approx(expected, abs=1e-3)
