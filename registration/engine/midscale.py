"""Stage D: a smooth field on top of an affine map, for sections that do not show the same cells.

Block matching over a pyramid. In every pass the moving image is pulled through the field so far, its features
are computed afterwards (so directions are those of the fixed frame), and the whole field is fitted anew to
that pass's matches. Blocks choose their shifts together with their neighbours, not each on its own: tissue
that looks alike everywhere (alveoli, fat, stroma) has many peaks of one height.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from registration.engine.config.midscale import MidPass, MidscaleConfig
from registration.engine.landmarkfit import MARKED_WITHIN
from registration.engine.matrices import Matrix
from registration.engine.midevidence import REACH, Free, MidEvidence, agreeing, checker, free_peaks, held_out
from registration.engine.midfeatures import MidImage, Seen, mid_image, pulled, seen
from registration.engine.midmatch import Lattice, Peaks, Volume, agreed, score_volume, strongest
from registration.engine.nonrigid import Grid, Matches, Nodes, Pins, fit_field, smallest_jacobian
from registration.engine.robust import cauchy
from registration.engine.stages import Tick, no_tick

__all__ = ["MidFit", "MidImage", "fit_midscale", "mid_image"]

#: A field that shrinks too much is fitted again, so many times stiffer each time, so often.
_STIFFER, _TRIES = 4.0, 8
#: A field that only landmarks ask for must leave them at this share of the distance before at most.
_CLOSER = 0.8


@dataclass(frozen=True)
class MidFit:
    """nodes : (rows, cols, 2), the whole displacement at the grid's nodes, px of the fixed image, to be
    applied before the affine map. evidence : from blocks that were not used."""

    grid: Grid
    nodes: Nodes
    evidence: MidEvidence

    def apart(self, pins: Pins) -> NDArray[np.float64]:
        """How far from each pin (N,) the field leaves it, px of the fixed image."""
        return np.asarray(
            np.linalg.norm(self.grid.evaluate_at(self.nodes, pins.points) - pins.target, axis=1)
        )

    def closer(self, start: Nodes, pins: Pins) -> bool:
        """Whether the pins lie clearly closer than with the field `start`; not without pins."""
        before = replace(self, nodes=start).apart(pins)
        return bool(len(pins)) and bool(np.median(self.apart(pins)) <= _CLOSER * np.median(before))


@dataclass(frozen=True)
class _Task:
    """What every pass shares. view : of the fixed image."""

    view: Seen
    moving: MidImage
    moving_from_fixed: Matrix
    grid: Grid
    config: MidscaleConfig
    pins: Pins | None

    def through(self, nodes: Nodes, margin: int) -> Seen:
        """The moving image in the fixed frame, `margin` px wider on each side."""
        image = pulled(self.moving, self.moving_from_fixed, (self.grid, nodes), self.view.shape, margin)
        return seen(image)

    def volume(self, one: MidPass, moving: Seen) -> Volume:
        """moving : through the field that the pass starts from, one.reach px wider on each side."""
        fixed, moving = self.view.averaged(one.reduction), moving.averaged(one.reduction)
        return score_volume(fixed, moving, Lattice.covering(one.tile, one.stride), one.search)

    def fit(self, matches: Matches, start: Nodes, bending: float, robust_px: float) -> Nodes:
        return fit_field(self.grid, matches, start, bending, robust_px, 1, pins=self.pins)


@dataclass(frozen=True)
class _Fitted:
    """A field with the matches and the bending that it was fitted with."""

    nodes: Nodes
    matches: Matches
    bending: float


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
    tick(0.0)
    task = _Task(seen(fixed), moving, moving_from_fixed, grid, config, pins)
    before, volume = _first_look(task, first)
    fitted = _pass(task, config.passes[0], first, volume)
    del volume  # as large as both images together
    for number, one in enumerate(config.passes[1:], 1):
        tick(number / (len(config.passes) + 1))
        fitted = _pass(task, one, fitted.nodes, task.volume(one, task.through(fitted.nodes, one.reach)))
    tick(len(config.passes) / (len(config.passes) + 1))
    return MidFit(grid, fitted.nodes, _evidence(task, before, fitted))


def fit_marked(fitted: Callable[[Pins | None, Tick], MidFit], pins: Pins, tick: Tick = no_tick) -> MidFit:
    """The field of the images and the landmarks, or of the images alone where the landmarks cost agreement.

    fitted : fit_midscale of two images with pins or without. A landmark that the images' own field does not
    come near weighs little: no residual makes a pin lose weight while a field is fitted.
    """
    if not len(pins):
        return fitted(None, tick)
    images = fitted(None, lambda share: tick(share / 2))
    weighed = replace(pins, weight=pins.weight * cauchy(images.apart(pins), MARKED_WITHIN))
    marked = fitted(weighed, lambda share: tick((1 + share) / 2))
    return marked if marked.evidence.after.share >= images.evidence.after.share else images


def _first_look(task: _Task, start: Nodes) -> tuple[tuple[Free, Free], Volume]:
    """Through the start: the held-out blocks, and the first pass."""
    one = task.config.passes[0]
    widest = max(REACH, one.reach)
    unmoved = task.through(start, widest)
    before = free_peaks(task.view, unmoved.without(widest - REACH))
    return before, task.volume(one, unmoved.without(widest - one.reach))


def _pass(task: _Task, one: MidPass, nodes: Nodes, volume: Volume) -> _Fitted:
    """The field fitted to this pass's matches, from `nodes`, through which they were looked for."""
    config = task.config
    xs, ys = (
        volume.lattice.middles(-(-side // one.reduction)) * one.reduction
        for side in reversed(task.view.shape)
    )
    before = task.grid.evaluate(nodes, xs, ys)
    peaks = strongest(agreed(volume, config.step / one.stride, config.jump), volume.apart)
    weight = _weight(volume, peaks, config.gap)
    target = before + peaks.shifts * one.reduction * (weight / (weight + config.trust))[..., None]
    matches = Matches(xs, ys, target, weight + config.trust)
    return _fitted(task, matches, nodes, one.reach)


def _weight(volume: Volume, peaks: Peaks, gap: float) -> NDArray[np.float64]:
    """Correlation x lead of the peak; 0 where nothing can be said."""
    rows, columns = np.indices(volume.usable.shape)
    chosen = volume.scores[rows, columns, peaks.place[..., 0], peaks.place[..., 1]]
    correlation = np.maximum(chosen, 0).astype(np.float64)
    lead = np.clip(peaks.gap / gap, 0, 1)
    return np.where(volume.usable & peaks.inner, correlation * lead, 0.0)


def _fitted(task: _Task, matches: Matches, start: Nodes, widest: float) -> _Fitted:
    """As fit_field, first forgiving residuals of up to `widest` px; stiffer where it would fold."""
    config, bending = task.config, task.config.bending
    for _ in range(_TRIES):
        nodes = start
        for scale in (max(widest, config.robust_px), max(widest / 2, config.robust_px)):
            nodes = task.fit(matches, nodes, bending, scale)
        if smallest_jacobian(task.grid, nodes) > config.smallest_jacobian:
            return _Fitted(nodes, matches, bending)
        bending *= _STIFFER
    return _Fitted(start, matches, bending)


def _evidence(task: _Task, before: tuple[Free, Free], fitted: _Fitted) -> MidEvidence:
    """before : the held-out blocks through the start."""
    after = free_peaks(task.view, task.through(fitted.nodes, REACH))
    halves = (_halves(task, fitted, 0), _halves(task, fitted, 1))
    blocks, won, lost = held_out(task.view.shape, before, after, task.grid, fitted.nodes, halves)
    return MidEvidence(
        before=agreeing(blocks.before),
        after=agreeing(blocks.crossed),
        won=won,
        lost=lost,
        blocks=blocks,
        smallest_jacobian=smallest_jacobian(task.grid, fitted.nodes),
    )


def _halves(task: _Task, fitted: _Fitted, phase: int) -> tuple[Nodes, Nodes]:
    """The field without the matches in a checkerboard's even squares, and without those in its odd ones."""
    matches = fitted.matches
    even = checker(matches.xs, matches.ys, phase)
    kept = (replace(matches, weight=np.where(one, matches.weight, 0.0)) for one in (~even, even))
    first, second = (task.fit(each, fitted.nodes, fitted.bending, task.config.robust_px) for each in kept)
    return first, second
