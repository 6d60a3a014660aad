"""The slide-level affine: stages A to C, the run backwards, and the evidence they leave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from registration.engine.affine import AffineFit, choose, held_out_blocks
from registration.engine.coarse import UNKNOWN_SCALES, candidates
from registration.engine.config import RegistrationConfig
from registration.engine.features import Overview
from registration.engine.inputs import frame, scale_known
from registration.engine.matrices import Matrix, apply, between_scales
from registration.engine.overviews import Levels, downsamples, read_levels
from registration.engine.quality import SlideEvidence, spread
from registration.engine.result import Spread
from registration.engine.source import PixelSource
from registration.engine.stages import Stages
from registration.engine.transforms import AffineTransform

#: Free peaks further than this (overview px) from the prediction are false and not counted into the error.
_NEAR = 6.0
_STRETCH = (0.7, 1.4)


@dataclass(frozen=True)
class SlideFit:
    """error_px : of held-out matches, fixed level-0 px. matrix : the affine, corner-based px of the two
    overviews, which follow.
    """

    affine: AffineTransform
    evidence: SlideEvidence
    error_px: Spread | None
    matrix: Matrix
    overviews: tuple[Overview, Overview]


def fit_slides(
    fixed: PixelSource, moving: PixelSource, config: RegistrationConfig, stages: Stages
) -> SlideFit:
    """Never raises for slides that do not match: see the evidence. Raises EngineError("mpp_missing")."""
    scales = (1.0,) if scale_known(fixed, moving) else UNKNOWN_SCALES
    factors = downsamples(fixed, moving, config.slides.overview_px)
    levels_f = stages.run("reading the first slide", 0, lambda: read_levels(fixed, factors[0]))
    levels_m = stages.run("reading the second slide", 10, lambda: read_levels(moving, factors[1]))
    there = stages.run("aligning the slides", 20, lambda: _search(levels_f, levels_m, scales))
    back_scales = _near_inverse(scales, there)
    back = stages.run("checking backwards", 60, lambda: _search(levels_m, levels_f, back_scales))
    error = stages.run("measuring", 95, lambda: _error(levels_f, levels_m, there))
    matrix = between_scales(there.matrix, *factors)
    evidence = SlideEvidence(
        there.judged.z, there.judged.share, there.judged.blocks, inconsistency(levels_f, there, back)
    )
    affine = AffineTransform(matrix, frame("fixed", fixed), frame("moving", moving))
    return SlideFit(affine, evidence, error, there.matrix, (levels_f.full, levels_m.full))


def inconsistency(fixed: Levels, there: AffineFit, back: AffineFit) -> float:
    """Median distance of points that went there and back, as a share of the fixed image's diagonal."""
    rows, columns = fixed.full.shape
    xs, ys = np.meshgrid(np.linspace(0, columns, 9), np.linspace(0, rows, 9))
    points = np.stack((xs, ys), axis=-1).reshape(-1, 2)
    returned = apply(back.matrix, apply(there.matrix, points))
    return float(np.median(np.linalg.norm(returned - points, axis=1))) / math.hypot(rows, columns)


def _near_inverse(scales: Sequence[float], there: AffineFit) -> Sequence[float]:
    """The three scales nearest to the inverse of the one found; turn, mirror and place are checked."""
    found = math.sqrt(abs(float(np.linalg.det(there.matrix[:2, :2]))))
    return sorted(scales, key=lambda scale: abs(math.log(scale * found)))[:3]


def _search(fixed: Levels, moving: Levels, scales: Sequence[float]) -> AffineFit:
    starts = [candidate.matrix for candidate in candidates(fixed.thumb, moving.thumb, scales)]
    return choose(fixed, moving, starts, (_STRETCH[0] * min(scales), _STRETCH[1] * max(scales)))


def _error(fixed: Levels, moving: Levels, fit: AffineFit) -> Spread | None:
    blocks = held_out_blocks(fixed.full, moving.full, fit.matrix)
    distances = np.hypot(*blocks.shifts.T)
    return spread(distances[distances <= _NEAR] * fixed.full.downsample)
