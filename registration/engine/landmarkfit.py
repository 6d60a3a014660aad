"""Landmarks in the slide-level fit: starts of their own, and rows beside those of the blocks.

They never decide alone: see guided.py.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from registration.engine.blockmatch import Blocks, block_weights
from registration.engine.constraints import Landmarks
from registration.engine.geometry import Points
from registration.engine.matrices import Matrix, apply, singular_values
from registration.engine.robust import Weights, cauchy, fit

#: A landmark of weight 1 counts as so many blocks of average weight. All together count for no more than this
#: share of the blocks that agree (within about so many px), or of so many where fewer do.
WORTH_BLOCKS = 2.0
SHARE_OF_BLOCKS, _AGREEING_PX, _FEW_BLOCKS = 0.25, 2.0, 8.0
#: How exactly a person marks a place, px of any image: further off than this a landmark loses weight. Two
#: annotators of consecutive sections differ by 7 px in the median, slips and bends included.
MARKED_WITHIN = 4.0
#: An affine from landmarks needs so many, and this spread across their main direction (share of along it).
_AFFINE_NEEDS = 4
_NOT_ON_A_LINE = 0.1
#: From more landmarks than this only some pairs are tried.
_MOST_PAIRS = 300
_ROUNDS = 5


def rescaled(landmarks: Landmarks, fixed_factor: float, moving_factor: float) -> Landmarks:
    """The same landmarks in images that are so many times coarser."""
    return Landmarks(landmarks.fixed / fixed_factor, landmarks.moving / moving_factor, landmarks.weight)


def residuals(landmarks: Landmarks, matrix: Matrix) -> NDArray[np.float64]:
    """How far each lies from where `matrix` (moving_from_fixed) puts it, (N,) fixed px."""
    back = np.asarray(np.linalg.inv(matrix), np.float64)
    return np.asarray(np.linalg.norm(apply(back, landmarks.moving) - landmarks.fixed, axis=1))


def starts(landmarks: Landmarks, limits: tuple[float, float]) -> list[Matrix]:
    """What the landmarks say by themselves, moving_from_fixed; nothing for fewer than two.

    A similarity, mirrored or not, from the pair of landmarks that most others agree with, settled on all; and
    an affine where there are at least four, not on a line. limits : believable stretch.
    """
    if len(landmarks) < 2:
        return []
    mirrors = (False, True) if _on_a_line(landmarks.fixed) else (None,)
    found = [_similarity(landmarks, mirrored) for mirrored in mirrors]
    if len(landmarks) >= _AFFINE_NEEDS and not _on_a_line(landmarks.fixed):
        # Most may lie on a line, where the similarity meets them exactly: the others are no slips for that.
        scale = max(MARKED_WITHIN, _typical(landmarks, found[0]))
        weights = landmarks.weight * cauchy(residuals(landmarks, found[0]), scale)
        found.insert(0, fit(landmarks.fixed, landmarks.moving, weights, "affine"))
    return [matrix for matrix in found if _usable(matrix, limits)]


def rows(landmarks: Landmarks, matrix: Matrix, blocks: Blocks) -> tuple[Points, Points, Weights]:
    """Source, target (N, 2) and weight (N,) for a correction that acts in fixed px, before `matrix`.

    blocks : free peaks of the image pulled through `matrix`. Few agree in consecutive sections, and weakly.
    """
    back = np.asarray(np.linalg.inv(matrix), np.float64)
    weights = block_weights(blocks)
    usual = float(weights.mean()) if len(blocks) else 1.0
    agreeing = float((weights * cauchy(np.hypot(*blocks.shifts.T), _AGREEING_PX)).sum())
    most = SHARE_OF_BLOCKS * max(agreeing, _FEW_BLOCKS * usual)
    factor = min(WORTH_BLOCKS * usual, most / max(float(landmarks.weight.sum()), 1e-9))
    return landmarks.fixed, apply(back, landmarks.moving), landmarks.weight * factor


def _similarity(landmarks: Landmarks, mirrored: bool | None) -> Matrix:
    """mirrored None : whichever fits better."""
    if mirrored is None:
        options = [_similarity(landmarks, choice) for choice in (False, True)]
        return min(options, key=lambda matrix: _typical(landmarks, matrix))
    flip = np.diag((-1.0 if mirrored else 1.0, 1.0, 1.0))
    source = apply(flip, landmarks.fixed)
    pairs = list(combinations(range(len(source)), 2))
    pairs = pairs[:: -(-len(pairs) // _MOST_PAIRS)]
    tried = [fit(source[[pair]][0], landmarks.moving[[pair]][0], np.ones(2), "similarity") for pair in pairs]
    best = min((matrix @ flip for matrix in tried), key=lambda matrix: _typical(landmarks, matrix))
    for _ in range(_ROUNDS):
        weights = landmarks.weight * cauchy(_gaps(landmarks, best), _typical(landmarks, best))
        best = fit(source, landmarks.moving, weights, "similarity") @ flip
    return best


def _gaps(landmarks: Landmarks, matrix: Matrix) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(apply(matrix, landmarks.fixed) - landmarks.moving, axis=1))


def _typical(landmarks: Landmarks, matrix: Matrix) -> float:
    """Weighted median of the gaps (the upper one), moving px; never 0."""
    gaps = _gaps(landmarks, matrix)
    order = np.argsort(gaps, kind="stable")
    passed = np.cumsum(landmarks.weight[order])
    middle = min(len(gaps) - 1, int(np.searchsorted(passed, passed[-1] / 2, side="right")))
    return max(1e-3, float(gaps[order][middle]))


def _on_a_line(points: Points) -> bool:
    if len(points) < 3:
        return True
    along, across = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(across < _NOT_ON_A_LINE * along)


def _usable(matrix: Matrix, limits: tuple[float, float]) -> bool:
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:2, :2])) < 1e-9:
        return False
    large, small = singular_values(matrix)
    return limits[0] <= small and large <= limits[1]
