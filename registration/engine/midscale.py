"""Stage D: a smooth field on top of an affine map, for sections that do not show the same cells.

Block matching over a pyramid. In every pass the moving image is pulled through the field so far, its features
are computed afterwards (so directions are those of the fixed frame), and the whole field is fitted anew to
that pass's matches. Blocks choose their shifts together with their neighbours, not each on its own: tissue
that looks alike everywhere (alveoli, fat, stroma) has many peaks of one height.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from registration.engine.config.midscale import MidPass, MidscaleConfig
from registration.engine.features import Feature
from registration.engine.matrices import Matrix
from registration.engine.midevidence import MidEvidence, agreeing, checker, held_out
from registration.engine.midfeatures import MidImage, channels, mid_image, pulled, smaller
from registration.engine.midmatch import (
    Lattice,
    Peaks,
    Volume,
    agreed,
    score_volume,
    standardised,
    strongest,
)
from registration.engine.nonrigid import Grid, Matches, Nodes, Pins, fit_field, smallest_jacobian
from registration.engine.stages import Tick, no_tick

__all__ = ["MidFit", "MidImage", "fit_midscale", "mid_image"]

#: A field that shrinks too much is fitted again, so many times stiffer each time, so often.
_STIFFER, _TRIES = 4.0, 8


@dataclass(frozen=True)
class MidFit:
    """nodes : (rows, cols, 2), the whole displacement at the grid's nodes, px of the fixed image, to be
    applied before the affine map. evidence : from blocks that were not used."""

    grid: Grid
    nodes: Nodes
    evidence: MidEvidence


@dataclass(frozen=True)
class _Level:
    """The two images of one reduction. seen : the fixed one's channels."""

    fixed: MidImage
    moving: MidImage
    seen: Feature


def fit_midscale(
    fixed: MidImage,
    moving: MidImage,
    moving_from_fixed: Matrix,
    config: MidscaleConfig,
    *,
    start: Nodes | None = None,
    pins: Pins | None = None,
    tick: Tick = no_tick,
) -> MidFit:
    """moving_from_fixed : (3, 3), corner-based px of the two images, which show things at about one size.

    start : the field so far on Grid.over(width, height, config.node_spacing) of the fixed image. Never
    raises for images that do not match, never returns a field that folds (unless `start` does): see the
    evidence.
    """
    rows, columns = fixed.shape
    grid = Grid.over(columns, rows, config.node_spacing)
    first = grid.zeros() if start is None else start
    levels: dict[int, _Level] = {}
    nodes, matches = first, None
    for number, one in enumerate(config.passes):
        tick(number / (len(config.passes) + 1))
        if one.reduction not in levels:
            levels[one.reduction] = _level(fixed, moving, one.reduction)
        nodes, matches = _pass(levels[one.reduction], one, moving_from_fixed, grid, nodes, config, pins)
    tick(len(config.passes) / (len(config.passes) + 1))
    evidence = _evidence((fixed, moving), moving_from_fixed, grid, (first, nodes), matches, config, pins)
    return MidFit(grid, nodes, evidence)


def _level(fixed: MidImage, moving: MidImage, reduction: int) -> _Level:
    image = smaller(fixed, reduction)
    return _Level(image, smaller(moving, reduction), channels(image))


def _pass(
    level: _Level,
    one: MidPass,
    moving_from_fixed: Matrix,
    grid: Grid,
    nodes: Nodes,
    config: MidscaleConfig,
    pins: Pins | None,
) -> tuple[Nodes, Matches]:
    """The field fitted to this pass's matches, and these as they were last chosen."""
    shape = level.fixed.shape
    image = pulled(level.moving, moving_from_fixed, (grid, nodes), shape, one.reduction, one.search)
    lattice = Lattice.covering(one.tile, one.stride)
    seen = channels(image)
    volume = score_volume(level.seen, level.fixed.mask, seen, image.mask, lattice, one.search, one.pitch)
    xs, ys = (volume.lattice.middles(side) * one.reduction for side in reversed(shape))
    before = grid.evaluate(nodes, xs, ys)
    apart = volume.lattice.stride * one.reduction
    scores = agreed(standardised(volume), config.step * one.reduction * one.pitch / apart, config.jump)
    peaks = strongest(scores, volume.apart, one.pitch)
    weight = _weight(volume, peaks, config.gap)
    target = before + peaks.shifts * one.reduction * (weight / (weight + config.trust))[..., None]
    matches = Matches(xs, ys, target, weight + config.trust)
    return _fitted(grid, matches, nodes, one.search * one.reduction, config, pins), matches


def _weight(volume: Volume, peaks: Peaks, gap: float) -> NDArray[np.float64]:
    """Correlation x lead of the peak; 0 where nothing can be said."""
    rows, columns = np.indices(volume.usable.shape)
    chosen = volume.scores[rows, columns, peaks.place[..., 0], peaks.place[..., 1]]
    correlation = np.maximum(chosen, 0).astype(np.float64)
    lead = np.clip(peaks.gap / gap, 0, 1)
    return np.where(volume.usable & peaks.inner, correlation * lead, 0.0)


def _fitted(
    grid: Grid, matches: Matches, start: Nodes, widest: float, config: MidscaleConfig, pins: Pins | None
) -> Nodes:
    """As fit_field, first forgiving residuals of up to `widest` px; stiffer where it would fold."""
    bending = config.bending
    for _ in range(_TRIES):
        nodes = start
        for scale in (max(widest, config.robust_px), max(widest / 2, config.robust_px)):
            nodes = fit_field(grid, matches, nodes, bending, scale, 1, pins=pins)
        if smallest_jacobian(grid, nodes) > config.smallest_jacobian:
            return nodes
        bending *= _STIFFER
    return start


def _evidence(
    images: tuple[MidImage, MidImage],
    moving_from_fixed: Matrix,
    grid: Grid,
    fields: tuple[Nodes, Nodes],
    matches: Matches | None,
    config: MidscaleConfig,
    pins: Pins | None,
) -> MidEvidence:
    halves = [_halves(grid, matches, phase, fields[1], config, pins) for phase in (0, 1)]
    pairs = ((halves[0][0], halves[0][1]), (halves[1][0], halves[1][1]))
    blocks, won, lost = held_out(images, moving_from_fixed, grid, fields, pairs)
    gaps = [np.hypot(*np.moveaxis(one - other, -1, 0)) for one, other in pairs]
    return MidEvidence(
        before=agreeing(blocks.before),
        after=agreeing(blocks.crossed),
        won=won,
        lost=lost,
        blocks=blocks,
        half_gap=np.asarray((gaps[0] + gaps[1]) / 2, np.float64),
        smallest_jacobian=smallest_jacobian(grid, fields[1]),
    )


def _halves(
    grid: Grid,
    matches: Matches | None,
    phase: int,
    nodes: Nodes,
    config: MidscaleConfig,
    pins: Pins | None,
) -> tuple[Nodes, Nodes]:
    """The field without the matches in a checkerboard's even squares, and without those in its odd ones."""
    if matches is None:
        return nodes, nodes
    even = checker(matches.xs, matches.ys, phase)
    first, second = (
        fit_field(
            grid,
            replace(matches, weight=np.where(kept, matches.weight, 0.0)),
            nodes,
            config.bending,
            config.robust_px,
            1,
            pins=pins,
        )
        for kept in (~even, even)
    )
    return first, second
