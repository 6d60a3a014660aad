"""Stage F: the displacement field at level 0, from hematoxylin windows matched at ever finer scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registration.engine.config.levelzero import CostPass, LevelZeroConfig
from registration.engine.costvolume import Peaks, match_cells
from registration.engine.geometry import point_from_index
from registration.engine.nonrigid import Grid, Matches, Nodes, fit_field, smallest_jacobian
from registration.engine.region import Region, warped

#: Below this correlation a window's peak is worth nothing.
SCORE_FLOOR = 0.15
#: Curvature (per px^2) from which a peak counts as sharp.
SHARP = 0.05
#: The least the field may shrink an area to.
SMALLEST_JACOBIAN = 0.4
#: A free peak this close to the held-out prediction agrees with it (level-0 px).
AGREEMENT_PX = 2.0
_STIFFER = (1.0, 10.0, 100.0, 1000.0)
_FOLDS = 4
_FOLD_BLOCK_PX = 192


@dataclass(frozen=True)
class FieldFit:
    """nodes : displacements, level-0 px. matches : of the last pass; of the check where they were lost.
    held_out : (rows, cols) distance of each match from a field fitted without it and its neighbours, level-0
    px. agreeing : share of the textured windows whose free peak in the check is predicted that way. windows :
    how many there are. stiffened : whether the field had to be made stiffer so as not to fold.
    """

    grid: Grid
    nodes: Nodes
    matches: Matches
    held_out: NDArray[np.float64]
    agreeing: float
    windows: int
    stiffened: bool

    @property
    def kept(self) -> NDArray[np.bool_]:
        """(rows, cols): the cells whose match counts."""
        return self.matches.weight > 0


def fit_region(region: Region, config: LevelZeroConfig) -> FieldFit:
    """The field over the region. Never fails: without matches it is zero, and `agreeing` says so."""
    height, width = region.fixed.shape
    grid = Grid.over(width, height, config.node_spacing)
    nodes, stiffened = grid.zeros(), False
    for step in usable_passes(config, min(height, width)):
        matches = as_matches(match_pass(region, grid, nodes, step), grid, nodes, step)
        nodes, harder = _fit_without_folds(grid, matches, nodes, config, step)
        stiffened = stiffened or harder
    distance = _held_out(grid, matches, nodes, config, step)
    wide = match_pass(region, grid, nodes, config.check)
    wide_matches = as_matches(wide, grid, nodes, config.check)
    wide_distance = _held_out(grid, wide_matches, nodes, config, config.check)
    hits = (wide_matches.weight > 0) & (wide_distance <= AGREEMENT_PX)
    textured = int(wide.textured.sum())
    lost = (wide_matches.weight > 0) & ~hits
    return FieldFit(
        grid,
        nodes,
        _replaced(matches, wide_matches, lost),
        np.where(lost, wide_distance, distance),
        float(hits.sum()) / max(1, textured),
        textured,
        stiffened,
    )


def _replaced(matches: Matches, others: Matches, where: NDArray[np.bool_]) -> Matches:
    return Matches(
        matches.xs,
        matches.ys,
        np.where(where[..., None], others.target, matches.target),
        np.where(where, others.weight, matches.weight),
    )


def usable_passes(config: LevelZeroConfig, side: int) -> list[CostPass]:
    """The passes with at least two cells across a region of `side` px; at least the last one."""
    fitting = [step for step in config.passes if side >= 2 * step.cell * step.downsample]
    return fitting or [config.passes[-1]]


def match_pass(region: Region, grid: Grid, nodes: Nodes, step: CostPass) -> Peaks:
    """Free peaks around the field so far."""
    fixed = region.fixed_at(step.downsample)
    size = (fixed.shape[0], fixed.shape[1])
    moving = warped(region, grid, nodes, step.downsample, size, step.reach)
    return match_cells(fixed, moving, region.valid, step.cell, step.reach, step.sigma)


def as_matches(peaks: Peaks, grid: Grid, nodes: Nodes, step: CostPass) -> Matches:
    """The peaks as total displacements with weights."""
    spacing = step.cell * step.downsample
    rows, columns = peaks.score.shape
    xs, ys = (point_from_index(np.arange(count), spacing) for count in (columns, rows))
    target = grid.evaluate(nodes, xs, ys) + step.downsample * peaks.shift.astype(np.float64)
    certainty = np.clip((peaks.score - SCORE_FLOOR) / 0.5, 0, 1) * np.clip(peaks.curvature / SHARP, 0, 1)
    weight = np.where(peaks.usable, certainty, 0).astype(np.float64)
    return Matches(xs, ys, target, weight)


def _fit_without_folds(
    grid: Grid, matches: Matches, start: Nodes, config: LevelZeroConfig, step: CostPass
) -> tuple[Nodes, bool]:
    """The fit, made stiffer until nothing folds; the start where even that does not help."""
    for factor in _STIFFER:
        nodes = fit_field(grid, matches, start, config.bending * factor, config.robust_px * step.downsample)
        if smallest_jacobian(grid, nodes) >= SMALLEST_JACOBIAN:
            return nodes, factor > 1
    return start, True


def _held_out(
    grid: Grid, matches: Matches, nodes: Nodes, config: LevelZeroConfig, step: CostPass
) -> NDArray[np.float64]:
    """Distances of matches from a field fitted without them and their neighbours.

    Cells are dealt in squares of 192 px to four folds; each fold is predicted from the other three.
    """
    fold = _folds(matches)
    distance = np.full(matches.weight.shape, np.inf)
    for held in range(_FOLDS):
        here = fold == held
        kept = Matches(matches.xs, matches.ys, matches.target, np.where(here, 0, matches.weight))
        fitted = fit_field(grid, kept, nodes, config.bending, config.robust_px * step.downsample, rounds=1)
        gap = matches.target - grid.evaluate(fitted, matches.xs, matches.ys)
        distance[here] = np.hypot(gap[..., 0], gap[..., 1])[here]
    return distance


def _folds(matches: Matches) -> NDArray[np.intp]:
    rows = (matches.ys // _FOLD_BLOCK_PX).astype(np.intp)
    columns = (matches.xs // _FOLD_BLOCK_PX).astype(np.intp)
    return (2 * (rows % 2)[:, None] + (columns % 2)[None, :]).astype(np.intp)
