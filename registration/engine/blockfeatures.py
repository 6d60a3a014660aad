"""What the evidence says of the error at each place of a region of which no cells match.

The evidence are blocks of the region's surroundings, matched freely around the transform that is handed out.
Lengths are counted in px of the image that the blocks were matched on (about 2 um). Each feature is a
logarithm that grows with the error it speaks of.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from registration.engine.blockmatch import Blocks
from registration.engine.geometry import Points

Plane = NDArray[np.float64]

#: A block whose free peak lies further off (px) does not agree; what it says is noise.
AGREES = 6.0
#: Sigma of the window in which blocks count as near, px.
_NEAR = 40.0
#: Weight, in blocks, of what holds on average over the region against what is measured near a place.
_PRIOR = 0.5
#: What counts where there are no blocks at all.
_NOTHING = 16.0


def block_features(blocks: Blocks, points: Points) -> Plane:
    """(N, features) float64 at `points` (N, 2), px of the image that the blocks were matched on.

    Distance of the blocks that agree, near and of all; share that does not agree, near and of all;
    1 - correlation.
    """
    if len(blocks) == 0:
        nothing = np.array([np.log(_NOTHING)] * 2 + [0.0] * 3)
        return np.tile(nothing, (len(points), 1))
    distance = np.hypot(*blocks.shifts.T)
    agrees = (distance <= AGREES).astype(np.float64)
    near = _windows(blocks.centres, points)
    squared, lost, dull = np.minimum(distance, AGREES) ** 2, 1 - agrees, 1 - np.clip(blocks.score, 0, 1)
    columns = (
        np.log(0.1 + np.sqrt(_mean(near, squared, agrees))),
        np.full(len(points), np.log(0.1 + np.sqrt(_whole(squared, agrees)))),
        np.log(0.05 + _mean(near, lost, np.ones_like(lost))),
        np.full(len(points), np.log(0.05 + lost.mean())),
        np.log(0.05 + _mean(near, dull, np.ones_like(dull))),
    )
    return np.stack(columns, axis=-1)


def lost_blocks(blocks: Blocks, points: Points) -> Plane:
    """(N,) of the blocks around each point, the share that does not agree; 1 without blocks."""
    if len(blocks) == 0:
        return np.ones(len(points))
    lost = (np.hypot(*blocks.shifts.T) > AGREES).astype(np.float64)
    return _mean(_windows(blocks.centres, points), lost, np.ones_like(lost))


def _windows(centres: Points, points: Points) -> Plane:
    """(N, blocks) Gaussian weights."""
    squared = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=-1)
    weights: Plane = np.exp(-squared / (2 * _NEAR**2))
    return weights


def _mean(near: Plane, values: Plane, weight: Plane) -> Plane:
    # Summed by einsum, not through BLAS: the same bits with any number of threads.
    above = np.einsum("nb,b->n", near, values * weight) + _PRIOR * _whole(values, weight)
    mean: Plane = above / (np.einsum("nb,b->n", near, weight) + _PRIOR)
    return mean


def _whole(values: Plane, weight: Plane) -> float:
    total = float(weight.sum())
    return float((values * weight).sum()) / total if total > 0 else AGREES**2
