"""Stage F: the displacement field at level 0, from hematoxylin windows matched at ever finer scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registration.engine.cellevidence import CellEvidence
from registration.engine.config.levelzero import LevelZeroConfig
from registration.engine.costvolume import Peaks, match_cells
from registration.engine.geometry import point_from_index
from registration.engine.nonrigid import Grid, Matches, Nodes, Pins, fit_field
from registration.engine.region import Region, warped
from registration.engine.rigidity import fit_rigidly
from registration.engine.stains import Channel
from registration.engine.workingscale import Step

_FOLDS = 4
#: Cells are held out in squares of so many node squares.
_FOLD_NODES = 3

Tick = Callable[[float], None]


@dataclass(frozen=True)
class FieldFit:
    """nodes : displacements before the region's affine, working px. matches : of the last pass, working px
    from the fit's corner. cells : what a person may be told about each of them. agreeing : share of the
    textured windows whose free match in the check lies where the field predicts it; 0 where no cell can be
    seen. windows : how many there are. stiffened : share of the nodes where the field had to be made stiffer,
    so as not to fold or smear nuclei.
    """

    grid: Grid
    nodes: Nodes
    matches: Matches
    cells: CellEvidence
    agreeing: float
    windows: int
    stiffened: float

    @property
    def kept(self) -> NDArray[np.bool_]:
        """(rows, cols): the cells whose match counts."""
        return self.matches.weight > 0

    @property
    def hits(self) -> int:
        """How many windows agree."""
        return round(self.agreeing * self.windows)


def fit_region(region: Region, config: LevelZeroConfig, tick: Tick = lambda fraction: None) -> FieldFit:
    """The field over the region. Never fails: without matches it is the start's, and `agreeing` says so."""
    height, width = region.fixed.shape
    grid = Grid.over(width, height, region.scale.spacing(config))
    nodes = region.started(grid.node_points()).reshape(grid.rows, grid.columns, 2)
    return _fitted(region, config, grid, nodes, None, tick)


def fit_pinned(
    region: Region, config: LevelZeroConfig, found: FieldFit, pins: Pins, tick: Tick = lambda fraction: None
) -> FieldFit:
    """`found`, bent to the pins (working px from the region's corner), and fitted again from there: the first
    pass only sees so far.
    """
    robust_px = config.robust_px * usable_steps(region, config)[-1].downsample
    nodes, _ = fit_rigidly(
        found.grid, found.matches, found.nodes, config.bending, robust_px, config.largest_strain, pins
    )
    return _fitted(region, config, found.grid, nodes, pins, tick)


def _fitted(
    region: Region, config: LevelZeroConfig, grid: Grid, nodes: Nodes, pins: Pins | None, tick: Tick
) -> FieldFit:
    """From `nodes` on, pass by pass."""
    steps = usable_steps(region, config)
    stiffened = np.zeros((grid.rows, grid.columns), np.bool_)
    for done, step in enumerate(steps):
        tick(done / (len(steps) + 2))
        peaks = match_pass(region, grid, nodes, step, with_gap=step is steps[-1])
        matches = as_matches(peaks, grid, nodes, step, config)
        robust_px = config.robust_px * step.downsample
        if region.scale.shows_cells(config):
            nodes, stiffened = fit_rigidly(
                grid, matches, nodes, config.bending, robust_px, config.largest_strain, pins
            )
    tick(len(steps) / (len(steps) + 2))
    wide, distance = _wide_look(region, grid, nodes, config)
    tick((len(steps) + 1) / (len(steps) + 2))
    held_out, half = _left_out(grid, matches, nodes, config, robust_px, pins)
    hits = distance <= config.agreement_um / region.scale.um
    windows = int(wide.textured.sum())
    unit = region.scale.downsample
    cells = CellEvidence(
        matches.xs * unit,
        matches.ys * unit,
        held_out * unit,
        distance * unit,
        half * unit,
        np.where(peaks.textured, peaks.score, 0).astype(np.float64),
        np.where(peaks.textured, peaks.curvature, 0).astype(np.float64),
        np.where(peaks.textured, peaks.gap, 0).astype(np.float64),
        matches.weight,
        peaks.textured,
    )
    agreeing = float(hits.sum()) / max(1, windows) if region.scale.shows_cells(config) else 0.0
    return FieldFit(grid, nodes, matches, cells, agreeing, windows, float(stiffened.mean()))


def usable_steps(region: Region, config: LevelZeroConfig) -> list[Step]:
    """The passes with at least two cells across the region; at least the last one."""
    steps, side = region.scale.steps(config), min(region.fixed.shape)
    return [step for step in steps if side >= 2 * step.cell_px] or [steps[-1]]


def match_pass(region: Region, grid: Grid, nodes: Nodes, step: Step, *, with_gap: bool = False) -> Peaks:
    """Free peaks around the field so far."""
    fixed = region.fixed_at(step.downsample)
    width = fixed.shape[1] + 2 * step.reach

    def moving(first: int, last: int) -> Channel:
        corner = (-step.reach, first - step.reach)
        return warped(region, grid, nodes, step.downsample, (last - first, width), corner)

    return match_cells(fixed, moving, region.valid, step.cell, step.reach, step.sigma, with_gap=with_gap)


def as_matches(peaks: Peaks, grid: Grid, nodes: Nodes, step: Step, config: LevelZeroConfig) -> Matches:
    """The peaks as total displacements with weights."""
    rows, columns = peaks.score.shape
    xs, ys = (point_from_index(np.arange(count), step.cell_px) for count in (columns, rows))
    target = grid.evaluate(nodes, xs, ys) + step.downsample * peaks.shift.astype(np.float64)
    alike = np.clip((peaks.score - np.float32(config.score_floor)) / 0.5, 0, 1)
    certainty = alike * np.clip(peaks.curvature / np.float32(config.sharp), 0, 1)
    weight = np.where(peaks.usable, certainty, 0).astype(np.float64)
    return Matches(xs, ys, target, weight)


def _wide_look(
    region: Region, grid: Grid, nodes: Nodes, config: LevelZeroConfig
) -> tuple[Peaks, NDArray[np.float64]]:
    """The check's peaks, and how far each lies from the field as it is, working px; NaN where a window shows
    nothing, infinite where it does and no peak lies within the search.

    Not from a field refitted to them: that would follow the matches of a lost fit and find nothing.
    """
    step = region.scale.check(config)
    wide = match_pass(region, grid, nodes, step)
    distance = step.downsample * np.hypot(wide.shift[..., 0], wide.shift[..., 1]).astype(np.float64)
    return wide, np.where(wide.usable, distance, np.where(wide.textured, np.inf, np.nan))


def _left_out(
    grid: Grid,
    matches: Matches,
    nodes: Nodes,
    config: LevelZeroConfig,
    robust_px: float,
    pins: Pins | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances of matches from a field fitted without them and their neighbours (NaN where there is none),
    and between two fields that share no match; working px.

    Cells are dealt in squares to four folds: each fold is predicted from the other three, and the two
    diagonals are fitted apart.
    """

    def fitted(kept: NDArray[np.bool_]) -> Nodes:
        part = Matches(matches.xs, matches.ys, matches.target, np.where(kept, matches.weight, 0))
        again = fit_field(grid, part, nodes, config.bending, robust_px, rounds=1, pins=pins)
        return grid.evaluate(again, matches.xs, matches.ys)

    fold = _folds(grid, matches)
    distance = np.full(matches.weight.shape, np.nan)
    for held in range(_FOLDS):
        here = (fold == held) & (matches.weight > 0)
        gap = matches.target - fitted(fold != held)
        distance[here] = np.hypot(gap[..., 0], gap[..., 1])[here]
    diagonal = (fold == 0) | (fold == _FOLDS - 1)
    apart = fitted(diagonal) - fitted(~diagonal)
    return distance, np.hypot(apart[..., 0], apart[..., 1])


def _folds(grid: Grid, matches: Matches) -> NDArray[np.intp]:
    rows, columns = (
        (line // (_FOLD_NODES * grid.spacing)).astype(np.intp) for line in (matches.ys, matches.xs)
    )
    return (2 * (rows % 2)[:, None] + (columns % 2)[None, :]).astype(np.intp)
