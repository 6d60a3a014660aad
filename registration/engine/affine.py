"""Stage C: candidates refined to affines, and the choice between them by free peaks.

The choice is never by the similarity that was optimised: it is by how many blocks, matched freely, agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np

from registration.engine.blockmatch import (
    Agreement,
    Blocks,
    Layout,
    block_weights,
    exact_agreement,
    match_blocks,
    match_edges_too,
    match_structure,
    pull,
    spare_agreement,
)
from registration.engine.constraints import NO_CONSTRAINTS, Landmarks
from registration.engine.features import Overview
from registration.engine.geometry import Points, Size
from registration.engine.landmarkfit import MARKED_WITHIN, rescaled, rows
from registration.engine.matrices import Matrix, between_scales, corner_based, corners_apart, singular_values
from registration.engine.overviews import QUARTER, Levels
from registration.engine.robust import MATCHES_NEEDED, Model, Weights, robust_fit
from registration.engine.stages import Tick, no_tick

#: Source and target points (N, 2), and weights (N,).
Matches = tuple[Points, Points, Weights]

#: An affine may not stretch or squash by more than this, against the scale that um/px predicts.
STRETCH_LIMITS = (0.7, 1.4)
SMALL = Layout(tile=48, search=16, stride=24)
MEDIUM = Layout(tile=48, search=16, stride=24)
JUDGE = Layout(tile=56, search=20, stride=28, start=13)
FINE = Layout(tile=64, search=12, stride=32)
FINE_JUDGE = Layout(tile=48, search=16, stride=40, start=19)
EVIDENCE = Layout(tile=56, search=32, stride=28, start=5)
_TOLERANCE = 4.0
_JUDGE_TOLERANCE = 5.0
_EVIDENCE_TOLERANCE = 6.0
_ECC_STEPS = 40
#: So many are judged again, if their z is at least this share of the best one's and their corners lie more
#: than this share of the diagonal from the others'.
_JUDGED_AGAIN, _IN_QUESTION, _SAME_PLACE = 3, 0.5, 0.05
_THREADS = 2


@dataclass(frozen=True)
class Rules:
    """limits : the smallest and largest believable stretch. landmarks : px of the full overviews."""

    limits: tuple[float, float] = STRETCH_LIMITS
    landmarks: Landmarks = NO_CONSTRAINTS.landmarks

    def coarser(self, factor: float) -> Rules:
        """For images so many times coarser."""
        return replace(self, landmarks=rescaled(self.landmarks, factor, factor))


@dataclass(frozen=True)
class AffineFit:
    """matrix : moving_from_fixed, px of the full overviews. judged : free peaks on a grid of their own.
    residual : median distance of those that agree from where `matrix` puts them, px of the full overviews.

    What judged.z was measured to be stands at the threshold, quality.SLIDE_Z_NEEDED.
    """

    matrix: Matrix
    judged: Agreement
    residual: float | None = None


def choose(
    fixed: Levels, moving: Levels, starts: Sequence[Matrix], rules: Rules, tick: Tick = no_tick
) -> AffineFit:
    """The start that free peaks favour, refined; never fails. starts : px of the full overviews."""
    best = best_place(fixed, moving, starts, rules, tick)
    return settled(fixed, moving, between_scales(best.matrix, 2, 2), rules)


def best_place(
    fixed: Levels, moving: Levels, starts: Sequence[Matrix], rules: Rules, tick: Tick = no_tick
) -> Tried:
    """The start that free peaks favour, refined in the half overviews, in whose px it is."""
    small, medium = rules.coarser(QUARTER), rules.coarser(2)
    tried: list[Tried] = []
    again: list[Tried] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        coarse = [between_scales(start, 1 / QUARTER, 1 / QUARTER) for start in starts]
        for one in pool.map(lambda start: _refined(fixed.quarter, moving.quarter, start, small), coarse):
            tried.append(one)
            tick(0.7 * len(tried) / len(coarse))
        tried.sort(key=lambda one: -_z(one))
        best = [between_scales(one.matrix, 2, 2) for one in _in_question(tried, fixed.quarter)]
        again += pool.map(lambda start: _judged_again(fixed.half, moving.half, start, medium), best)
    tick(0.9)
    return max(again, key=_z)


def judged_at(fixed: Levels, moving: Levels, matrix: Matrix, rules: Rules) -> Tried:
    """`matrix` (px of the full overviews) refined only if that helps, judged as best_place does."""
    return _judged_again(fixed.half, moving.half, between_scales(matrix, 0.5, 0.5), rules.coarser(2))


def settled(fixed: Levels, moving: Levels, matrix: Matrix, rules: Rules) -> AffineFit:
    """`matrix` (px of the full overviews) fitted to their blocks, with the evidence for the verdict."""
    for _ in range(2):
        matrix = block_fit(fixed.full, moving.full, matrix, FINE, rules)
    return _confirmed(fixed.half, moving.half, matrix)


def _confirmed(fixed: Overview, moving: Overview, matrix: Matrix) -> AffineFit:
    """With the evidence for the verdict: other blocks than those that chose and fitted, compared by what
    survives a change of stain (local orientation and contrast).

    fixed, moving : the half overviews.
    """
    blocks = match_structure(fixed, moving, between_scales(matrix, 0.5, 0.5), EVIDENCE)
    distances = np.hypot(*blocks.shifts.T)
    near = distances[distances <= _EVIDENCE_TOLERANCE]
    judged = spare_agreement(blocks, EVIDENCE, _EVIDENCE_TOLERANCE)
    return AffineFit(matrix, judged, 2 * float(np.median(near)) if len(near) else None)


def held_out_blocks(fixed: Overview, moving: Overview, matrix: Matrix) -> Blocks:
    """Free peaks on a grid that no fit has used."""
    return match_blocks(fixed, moving, matrix, FINE_JUDGE)


def block_fit(fixed: Overview, moving: Overview, matrix: Matrix, layout: Layout, rules: Rules) -> Matrix:
    """`matrix` corrected by the blocks' free peaks, or as it was: see block_correction."""
    return _corrected(matrix, match_edges_too(fixed, moving, matrix, layout), layout, rules)


def block_correction(blocks: Blocks, layout: Layout, matches: Matches | None = None) -> Matrix:
    """The map, in fixed px, that the free peaks ask for; none where they are too few or it is absurd.

    matches : further source and target points (N, 2), fixed px, with weights (N,): those of landmarks.
    """
    model = model_for(len(blocks) + (len(matches[0]) if matches else 0))
    if model is None:
        return np.eye(3)
    source, target = blocks.centres, blocks.centres + blocks.shifts
    weights, floor = block_weights(blocks), np.zeros(len(blocks))
    if matches:
        source, target = np.concatenate((source, matches[0])), np.concatenate((target, matches[1]))
        weights = np.concatenate((weights, matches[2]))
        floor = np.concatenate((floor, np.full(len(matches[0]), MARKED_WITHIN)))
    scales = (layout.search / 2, layout.search / 4, layout.search / 6, 2.0, 2.0)
    correction = robust_fit(source, target, weights, model, scales, floor)
    return correction if believable(correction, STRETCH_LIMITS) else np.eye(3)


def model_for(matches: int) -> Model | None:
    """The richest model that so many matches carry."""
    models: tuple[Model, ...] = ("affine", "similarity", "shift")
    return next((model for model in models if matches >= MATCHES_NEEDED[model]), None)


def believable(matrix: Matrix, scale_limits: tuple[float, float]) -> bool:
    if not np.isfinite(matrix).all():
        return False
    large, small = singular_values(matrix)
    return small >= scale_limits[0] and large <= scale_limits[1]


@dataclass(frozen=True)
class Tried:
    """A matrix with the free peaks of the grid it is judged and fitted on."""

    matrix: Matrix
    blocks: Blocks
    judged: Agreement


def _in_question(ranked: Sequence[Tried], fixed: Overview) -> list[Tried]:
    """The first, and the few that come near it in z and lie elsewhere: several starts end in one place."""
    apart = _SAME_PLACE * math.hypot(*fixed.shape)
    kept = [ranked[0]]
    for one in ranked[1:]:
        near = one.judged.z >= _IN_QUESTION * ranked[0].judged.z
        if near and all(corners_apart(one.matrix, other.matrix, fixed.shape) > apart for other in kept):
            kept.append(one)
    return kept[:_JUDGED_AGAIN]


def _refined(fixed: Overview, moving: Overview, start: Matrix, rules: Rules) -> Tried:
    variants = [start, *_ecc_variants(fixed, moving, start, rules.limits)]
    tried = [_try(fixed, moving, variant, SMALL, _TOLERANCE) for variant in variants]
    for _ in range(2):
        last = max(tried, key=_z) if len(tried) == len(variants) else tried[-1]
        corrected = _corrected(last.matrix, last.blocks, SMALL, rules)
        tried.append(_try(fixed, moving, corrected, SMALL, _TOLERANCE))
    return max(tried, key=_z)


def _judged_again(fixed: Overview, moving: Overview, start: Matrix, rules: Rules) -> Tried:
    fitted = block_fit(fixed, moving, start, MEDIUM, rules)
    fitted = block_fit(fixed, moving, fitted, MEDIUM, rules)
    return max((_try(fixed, moving, option, JUDGE, _JUDGE_TOLERANCE) for option in (fitted, start)), key=_z)


def _try(fixed: Overview, moving: Overview, matrix: Matrix, layout: Layout, tolerance: float) -> Tried:
    blocks = match_blocks(fixed, moving, matrix, layout)
    return Tried(matrix, blocks, exact_agreement(blocks, layout, tolerance))


def _corrected(matrix: Matrix, blocks: Blocks, layout: Layout, rules: Rules) -> Matrix:
    matches = rows(rules.landmarks, matrix, blocks) if len(rules.landmarks) else None
    corrected: Matrix = matrix @ block_correction(blocks, layout, matches)
    return corrected if believable(corrected, rules.limits) else matrix


def _z(tried: Tried) -> float:
    return tried.judged.z


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
