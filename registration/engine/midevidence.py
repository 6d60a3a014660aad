"""Whether a mid-scale field is better than what it started from, by blocks that it was not fitted to.

The free peaks of blocks on a grid of their own, each looked for without regard to its neighbours and compared
with a field that was fitted without the matches around it. No similarity decides anything: only where the
peaks lie.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Points
from registration.engine.midfeatures import Seen
from registration.engine.midmatch import Lattice, Peaks, score_volume, strongest
from registration.engine.nonrigid import Grid, Nodes

#: Blocks that judge, and the squares of the checkerboard whose middles they are, px.
TILE, SQUARE = 64, 96
#: Searched to each side, and how near a peak must be to agree, px.
REACH, TOLERANCE = 24, 6.0
#: The field must win more often than it loses by so many standard deviations.
_CLEARLY = 2.5
#: A start that predicts this share of the blocks needs no field, unless that is clearly better. Measured:
#: real consecutive sections .1 to .45, sections that an affine fits from .5 on.
_ENOUGH = 0.5


@dataclass(frozen=True)
class Share:
    """Free peaks that agree with a prediction. z : against chance (binomial). median, p90 : of all, px."""

    share: float
    z: float
    median: float
    p90: float


@dataclass(frozen=True)
class HeldOut:
    """One entry per held-out block; all in px of the images compared.

    centres : (N, 2). crossed : (N, 2), from a field fitted without the matches around the block to its free
    peak. before : (N, 2), from the start to the free peak found from there. lead, lead_before : (N,), of
    these two peaks over the next best: right ones tend to have more.
    """

    centres: Points
    crossed: Points
    before: Points
    lead: NDArray[np.float64]
    lead_before: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.centres)

    def contradict(self, added: Points) -> bool:
        """Whether the field moved on by `added`, (N, 2) at the centres, is clearly further from the free
        peaks (sign test over those that it or the field so far predicts).
        """
        so_far, moved = np.hypot(*self.crossed.T), np.hypot(*(self.crossed - added).T)
        predicted = np.minimum(so_far, moved) <= TOLERANCE
        signs = np.sign(so_far - moved)[predicted]
        return bool(signs.sum() <= -_CLEARLY * math.sqrt(max(1.0, np.abs(signs).sum())))

    def at_worst(self, added: Points) -> HeldOut:
        """With the field, or the field moved on by `added`, whichever is further from each free peak."""
        moved = self.crossed - added
        further = np.hypot(*moved.T) > np.hypot(*self.crossed.T)
        return replace(self, crossed=np.where(further[:, None], moved, self.crossed))


@dataclass(frozen=True)
class MidEvidence:
    """before, after : agreement of the held-out blocks with the start, and with a field fitted without them.

    won, lost : blocks that only the field, only the start predicts. smallest_jacobian : of the field.
    """

    before: Share
    after: Share
    won: int
    lost: int
    blocks: HeldOut
    smallest_jacobian: float

    @property
    def gain_z(self) -> float:
        """How clearly the field predicts more than the start (sign test over the blocks that differ)."""
        return (self.won - self.lost) / math.sqrt(max(1, self.won + self.lost))

    @property
    def better(self) -> bool:
        """Whether blocks that took no part show that the field is better than the start.

        Sections that are far apart can be better and not show it: where tissue looks alike everywhere and is
        displaced differently every few blocks, a field that was fitted around a block can't predict it.
        """
        return self.gain_z >= _CLEARLY

    @property
    def worth_using(self) -> bool:
        """For images known to belong together: whether the field is better, or the start predicts too little
        to be kept and the field is not clearly worse.
        """
        return self.better or (self.before.share < _ENOUGH and self.not_worse)

    @property
    def not_worse(self) -> bool:
        """Whether the field is not clearly worse than the start."""
        return self.gain_z > -_CLEARLY


@dataclass(frozen=True)
class Free:
    """What the blocks of one checkerboard's lattice find. usable : (rows, cols) bool."""

    lattice: Lattice
    peaks: Peaks
    usable: NDArray[np.bool_]


def free_peaks(fixed: Seen, pulled: Seen) -> tuple[Free, Free]:
    """pulled : the moving image through a field, REACH px wider on each side. Both checkerboards' blocks."""
    first, second = (_free(fixed, pulled, Lattice(TILE, SQUARE, SQUARE / 2 * (1 + n))) for n in (0, 1))
    return first, second


def held_out(
    shape: tuple[int, int],
    before: tuple[Free, Free],
    after: tuple[Free, Free],
    grid: Grid,
    nodes: Nodes,
    halves: tuple[tuple[Nodes, Nodes], tuple[Nodes, Nodes]],
) -> tuple[HeldOut, int, int]:
    """shape : of the fixed image. before, after : what is found through the start and through the answer.
    nodes : of the answer. halves : for both checkerboards, without the even squares' matches and without the
    odd ones'. Returns the blocks, and how many were won and lost.
    """
    parts = [
        _compared(first, second, grid, nodes, pair, shape)
        for first, second, pair in zip(before, after, halves, strict=True)
    ]
    blocks = HeldOut(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    hit_before, hit_after = (_near(shift) for shift in (blocks.before, blocks.crossed))
    return blocks, int((hit_after & ~hit_before).sum()), int((hit_before & ~hit_after).sum())


def unfitted(fixed: Seen, moving: Seen) -> tuple[Points, NDArray[np.float64]]:
    """moving : through a map, REACH px wider on each side. Returns from it to the blocks' free peaks, (N, 2),
    and the peaks' leads, (N,).
    """
    found = free_peaks(fixed, moving)
    shifts = np.concatenate([each.peaks.shifts[each.usable] for each in found])
    lead = np.concatenate([each.peaks.gap[each.usable] for each in found])
    return shifts, lead.astype(np.float64)


def agreeing(shifts: Points) -> Share:
    """shifts : (N, 2), from the prediction to the free peaks."""
    count = len(shifts)
    if count == 0:
        return Share(0.0, 0.0, math.nan, math.nan)
    chance = math.pi * TOLERANCE**2 / (2 * REACH + 1) ** 2
    hits = int(_near(shifts).sum())
    z = (hits - count * chance) / math.sqrt(count * chance * (1 - chance))
    distance = np.hypot(*shifts.T)
    return Share(hits / count, z, float(np.median(distance)), float(np.percentile(distance, 90)))


def checker(xs: NDArray[np.float64], ys: NDArray[np.float64], phase: int) -> NDArray[np.bool_]:
    """Which of the places lie in even squares of a checkerboard, moved by half a square for phase 1."""
    columns, rows = ((places - SQUARE / 2 * phase) // SQUARE for places in (xs, ys))
    even: NDArray[np.bool_] = (columns[None, :] + rows[:, None]) % 2 == 0
    return even


def _near(shifts: Points) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = np.hypot(*shifts.T) <= TOLERANCE
    return near


def _free(fixed: Seen, moving: Seen, lattice: Lattice) -> Free:
    volume = score_volume(fixed, moving, lattice, REACH)
    return Free(lattice, strongest(volume.scores, volume.apart), volume.usable)


def _compared(
    before: Free, after: Free, grid: Grid, nodes: Nodes, pair: tuple[Nodes, Nodes], shape: tuple[int, int]
) -> tuple[NDArray[np.float64], ...]:
    xs, ys = (before.lattice.middles(side) for side in reversed(shape))
    both = before.usable & after.usable
    even = checker(xs, ys, round(2 * before.lattice.first / SQUARE) - 1)
    here = grid.evaluate(nodes, xs, ys)
    without = np.where(even[..., None], *(grid.evaluate(half, xs, ys) for half in pair))
    centres = np.stack(np.meshgrid(xs, ys), axis=-1)
    return (
        centres[both],
        (after.peaks.shifts + here - without)[both],
        before.peaks.shifts[both],
        after.peaks.gap[both].astype(np.float64),
        before.peaks.gap[both].astype(np.float64),
    )
