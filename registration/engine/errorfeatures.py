"""What the evidence says of the error at each square of a region, as features of a log-linear model.

Lengths are counted in sixteenths of a cell's pitch (a level-0 px at 0.25 um/px), so that the same tissue
gives the same features at any resolution. Each feature is a logarithm that grows with the error it speaks of.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.cellevidence import CellEvidence

Plane = NDArray[np.float64]

#: Cells along the side of a square of the error map.
CELLS = 4
_UNITS_TO_A_CELL = 16.0
#: Longest distance that is told from a longer one, units.
_LONGEST = 40.0
#: A wide match further off than this (units) contradicts the field.
_CONTRADICTS = 6.0
#: Share of the cells around that must match for a place to count as matched.
_MATCHED = 0.3
#: Weight, in cells, of what holds on average over the region against what is measured near a place.
_PRIOR = 0.05
_NEAR, _AROUND = 3.0, 10.0


def cell_features(evidence: CellEvidence) -> Plane:
    """(rows, cols, features) float64 of the squares of CELLS x CELLS cells; a rest makes a square too.

    Held-out distance, near and around; disagreement of the half fits; wide check, its distance near and the
    share that is lost; misses; 1 - correlation; peak gap; bluntness of the peak; distance to the next match.
    """
    unit = cell_unit(evidence)
    weight = evidence.weight
    matched = (weight > 0).astype(np.float64)
    seen = evidence.textured.astype(np.float64)
    held = _limited(evidence.held_out_px / unit)
    wide = _limited(evidence.wide_px / unit)
    compared = np.isfinite(evidence.wide_px) * seen
    planes = (
        _log(np.sqrt(_mean(held**2, weight, _NEAR)), 0.05),
        _log(np.sqrt(_mean(held**2, weight, _AROUND)), 0.05),
        _log(np.sqrt(_mean(_limited(evidence.half_px / unit) ** 2, np.ones_like(weight), 2.0)), 0.05),
        _log(np.sqrt(_mean(wide**2, compared, _NEAR)), 0.1),
        _log(_mean((wide > _CONTRADICTS).astype(np.float64), compared, _NEAR + 1), 0.02),
        _log(1 - _blur(matched, _NEAR), 0.05),
        _log(1 - _mean(evidence.score, matched, _NEAR, nothing=0.0), 0.05),
        -_log(_mean(evidence.gap, matched, _NEAR, nothing=0.0), 0.02),
        -_log(_mean(evidence.curvature, matched, _NEAR, nothing=0.0), 0.02),
        np.log1p(_distance(_blur(matched, 1.0) > _MATCHED)),
    )
    return np.stack([squares(plane) for plane in planes], axis=-1)


def lost_share(evidence: CellEvidence) -> Plane:
    """(rows, cols) of the squares: of the cells around that the wide look could match, the share that it
    does not confirm, be it that the match lies elsewhere or that there is none.
    """
    unit = cell_unit(evidence)
    looked = (evidence.textured & ~np.isnan(evidence.wide_px)).astype(np.float64)
    agrees = (_known(evidence.wide_px) / unit <= _CONTRADICTS) & evidence.textured
    agreeing = _blur(agrees.astype(np.float64), _NEAR + 1)
    seen = _blur(looked, _NEAR + 1)
    share: Plane = 1 - (agreeing + _PRIOR * _share(agrees, looked)) / (seen + _PRIOR)
    return squares(share)


def _share(agrees: NDArray[np.bool_], looked: Plane) -> float:
    """Of the cells looked at; 0 where there are none: what can't be seen is not known to be right."""
    return float(agrees.sum()) / max(1.0, float(looked.sum()))


def _known(lengths: Plane) -> Plane:
    return np.where(np.isnan(lengths), np.inf, lengths)


def cell_unit(evidence: CellEvidence) -> float:
    """Fixed level-0 px to a unit."""
    return 2 * float(evidence.xs[0]) / _UNITS_TO_A_CELL


def squares(plane: Plane) -> Plane:
    """Means over CELLS x CELLS cells; at the right and bottom of what is left."""
    rows, columns = plane.shape
    more = ((0, -rows % CELLS), (0, -columns % CELLS))
    padded = np.pad(plane, more, mode="edge")
    blocks = padded.reshape(padded.shape[0] // CELLS, CELLS, -1, CELLS)
    means: Plane = blocks.mean(axis=(1, 3))
    return means


def _limited(lengths: Plane) -> Plane:
    return np.minimum(np.nan_to_num(lengths, nan=0.0, posinf=_LONGEST), _LONGEST)


def _log(values: Plane, least: float) -> Plane:
    logs: Plane = np.log(least + np.maximum(values, 0))
    return logs


def _mean(values: Plane, weight: Plane, sigma: float, nothing: float = _LONGEST) -> Plane:
    """The weighted mean around each cell; the region's where there is nothing, `nothing` if all is."""
    total = float(weight.sum())
    whole = float((values * weight).sum()) / total if total > 0 else nothing
    mean: Plane = (_blur(values * weight, sigma) + _PRIOR * whole) / (_blur(weight, sigma) + _PRIOR)
    return mean


def _blur(plane: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float64)


def _distance(near: NDArray[np.bool_]) -> Plane:
    """Cells to the nearest True; the grid's diagonal where there is none."""
    if not near.any():
        return np.full(near.shape, float(np.hypot(*near.shape)))
    distance = cv2.distanceTransform((~near).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance, np.float64)
