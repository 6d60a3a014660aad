"""Stage C: candidates refined to affines, and the choice between them by free peaks.

The choice is never by the similarity that was optimised: it is by how many blocks, matched freely, agree.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from registration.engine.blockmatch import (
    Agreement,
    Blocks,
    Layout,
    exact_agreement,
    match_blocks,
    match_edges_too,
    pull,
)
from registration.engine.features import Overview
from registration.engine.geometry import Size
from registration.engine.matrices import Matrix, between_scales, corner_based, singular_values
from registration.engine.overviews import QUARTER, THUMB, Levels
from registration.engine.robust import MATCHES_NEEDED, Model, robust_fit

#: An affine may not stretch or squash by more than this, against the scale that um/px predicts.
STRETCH_LIMITS = (0.7, 1.4)
SMALL = Layout(tile=48, search=16, stride=24)
MEDIUM = Layout(tile=48, search=16, stride=24)
JUDGE = Layout(tile=56, search=20, stride=28, start=13)
FINE = Layout(tile=64, search=12, stride=32)
FINE_JUDGE = Layout(tile=48, search=16, stride=40, start=19)
EVIDENCE = Layout(tile=72, search=28, stride=36, start=7)
_TOLERANCE = 4.0
_EVIDENCE_TOLERANCE = 7.0
_JUDGE_TOLERANCE = 5.0
_ECC_STEPS = 40
_JUDGED_AGAIN = 3
_THREADS = 2
ECC = True


@dataclass(frozen=True)
class AffineFit:
    """matrix : moving_from_fixed, px of the full overviews. judged : free peaks on a grid of their own."""

    matrix: Matrix
    judged: Agreement


def choose(
    fixed: Levels, moving: Levels, starts: list[Matrix], scale_limits: tuple[float, float]
) -> AffineFit:
    """The start that free peaks favour, refined. starts : px of the thumbs. Never fails; see `judged`.

    scale_limits : the smallest and largest stretch that is believable.
    """
    ratio = THUMB / QUARTER
    finer = [between_scales(start, ratio, ratio) for start in starts]
    with ThreadPoolExecutor(_THREADS) as pool:
        tried = list(pool.map(lambda m: _refined(fixed.quarter, moving.quarter, m, scale_limits), finer))
        tried.sort(key=lambda fit: -fit.judged.z)
        best = [fit.matrix for fit in tried[:_JUDGED_AGAIN]]
        again = list(pool.map(lambda m: _judged_again(fixed.half, moving.half, m, scale_limits), best))
    chosen = max(again, key=_z)
    matrix = between_scales(chosen.matrix, 2, 2)
    for _ in range(2):
        matrix = block_fit(fixed.full, moving.full, matrix, FINE, scale_limits)
    return AffineFit(matrix, confirmed(fixed.half, moving.half, between_scales(matrix, 0.5, 0.5)))


def confirmed(fixed: Overview, moving: Overview, matrix: Matrix) -> Agreement:
    """The evidence for the verdict: other blocks than those that chose and fitted, and a second cue."""
    return exact_agreement(match_edges_too(fixed, moving, matrix, EVIDENCE), EVIDENCE, _EVIDENCE_TOLERANCE)


def held_out_blocks(fixed: Overview, moving: Overview, matrix: Matrix) -> Blocks:
    """Free peaks on a grid that no fit has used."""
    return match_blocks(fixed, moving, matrix, FINE_JUDGE)


def block_fit(
    fixed: Overview, moving: Overview, matrix: Matrix, layout: Layout, scale_limits: tuple[float, float]
) -> Matrix:
    """`matrix` corrected by the blocks' free peaks, or as it was: see block_correction."""
    blocks = match_blocks(fixed, moving, matrix, layout)
    corrected: Matrix = matrix @ block_correction(blocks, layout)
    return corrected if believable(corrected, scale_limits) else matrix


def block_correction(blocks: Blocks, layout: Layout) -> Matrix:
    """The map, in fixed px, that the free peaks ask for; none where they are too few or it is absurd."""
    model = model_for(len(blocks))
    if model is None:
        return np.eye(3)
    weights = np.clip(blocks.score, 0.05, 1) ** 2
    scales = (layout.search / 2, layout.search / 4, layout.search / 6, 2.0, 2.0)
    correction = robust_fit(blocks.centres, blocks.centres + blocks.shifts, weights, model, scales)
    return correction if believable(correction, STRETCH_LIMITS) else np.eye(3)


def model_for(matches: int) -> Model | None:
    """The richest model that so many matches carry."""
    models: tuple[Model, ...] = ("affine", "similarity", "shift")
    return next((model for model in models if matches >= MATCHES_NEEDED[model]), None)


def believable(matrix: Matrix, scale_limits: tuple[float, float]) -> bool:
    large, small = singular_values(matrix)
    return bool(np.isfinite(matrix).all()) and small >= scale_limits[0] and large <= scale_limits[1]


@dataclass(frozen=True)
class _Tried:
    """A matrix with the free peaks of the grid it is judged and fitted on."""

    matrix: Matrix
    blocks: Blocks
    judged: Agreement


def _refined(fixed: Overview, moving: Overview, start: Matrix, limits: tuple[float, float]) -> AffineFit:
    variants = [start, *(_ecc_variants(fixed, moving, start, limits) if ECC else [])]
    tried = [_try(fixed, moving, variant, SMALL, _TOLERANCE) for variant in variants]
    best = _improved(fixed, moving, max(tried, key=_z), SMALL, _TOLERANCE, limits)
    return AffineFit(best.matrix, best.judged)


def _improved(
    fixed: Overview,
    moving: Overview,
    first: _Tried,
    layout: Layout,
    tolerance: float,
    limits: tuple[float, float],
) -> _Tried:
    """The best of `first` and two rounds of fitting its blocks."""
    tried = [first]
    for _ in range(2):
        corrected = tried[-1].matrix @ block_correction(tried[-1].blocks, layout)
        if not believable(corrected, limits):
            break
        tried.append(_try(fixed, moving, corrected, layout, tolerance))
    return max(tried, key=_z)


def _judged_again(
    fixed: Overview, moving: Overview, matrix: Matrix, limits: tuple[float, float]
) -> AffineFit:
    start = between_scales(matrix, 2, 2)
    fitted = block_fit(fixed, moving, start, MEDIUM, limits)
    fitted = block_fit(fixed, moving, fitted, MEDIUM, limits)
    return max((_judge(fixed, moving, option, JUDGE, _JUDGE_TOLERANCE) for option in (fitted, start)), key=_z)


def _try(fixed: Overview, moving: Overview, matrix: Matrix, layout: Layout, tolerance: float) -> _Tried:
    blocks = match_blocks(fixed, moving, matrix, layout)
    return _Tried(matrix, blocks, exact_agreement(blocks, layout, tolerance))


def _judge(fixed: Overview, moving: Overview, matrix: Matrix, layout: Layout, tolerance: float) -> AffineFit:
    tried = _try(fixed, moving, matrix, layout, tolerance)
    return AffineFit(matrix, tried.judged)


def _z(fit: AffineFit | _Tried) -> float:
    return fit.judged.z


def _ecc_variants(
    fixed: Overview, moving: Overview, start: Matrix, limits: tuple[float, float]
) -> list[Matrix]:
    """`start` improved by ECC with a rigid and then an affine model, where that converges."""
    found: list[Matrix] = []
    for motion in (cv2.MOTION_EUCLIDEAN, cv2.MOTION_AFFINE):
        improved = _ecc(fixed, moving, found[-1] if found else start, motion)
        if improved is not None and believable(improved, limits):
            found.append(improved)
    return found


def _ecc(fixed: Overview, moving: Overview, start: Matrix, motion: int) -> Matrix | None:
    """Evangelidis and Psarakis' ECC from `start`; None where it does not converge."""
    rows, columns = fixed.shape
    pulled, known = pull(moving, start, Size(columns, rows), 0)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ECC_STEPS, 1e-4)
    try:
        _, warp = cv2.findTransformECC(
            fixed.feature,
            pulled,
            np.eye(2, 3, dtype=np.float32),
            motion,
            criteria,
            known.astype(np.uint8),
            5,
        )
    except cv2.error:
        return None
    correction = corner_based(np.vstack((warp, (0, 0, 1))).astype(np.float64))
    improved: Matrix = start @ correction
    return improved
