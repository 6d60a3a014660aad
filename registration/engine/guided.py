"""Landmarks beside what the images say by themselves: starts of their own, and rows of the last fit.

The images' own answer is found first, as if there were no landmark. It stands unless free blocks support what
the landmarks lead to about as well. Only where the images find nothing do landmarks decide where to look.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from registration.engine.affine import AffineFit, Rules, best_place, judged_at, settled
from registration.engine.landmarkcheck import BELIEVABLE
from registration.engine.landmarkfit import residuals, starts
from registration.engine.matrices import Matrix, between_scales
from registration.engine.overviews import Levels
from registration.engine.quality import SLIDE_Z_NEEDED
from registration.engine.source import Mask
from registration.engine.stages import Tick, no_tick

#: z may fall by so much before it is clearly less. Below _CHANCE it says nothing: wrong pairs reach it one
#: way (docs/adr/0009).
_CLEARLY_LESS, _CHANCE = 0.5, 5.2
#: Landmarks that cost evidence are in conflict with the images where at least so many lie further off than
#: this in the median, px of the full overview: so far do the blocks of the last fit look. Fewer can be places
#: where one of two consecutive sections bends: true ones are up to 25 px off.
_IN_CONFLICT, _TELLING = 12.0, 4


@dataclass(frozen=True)
class Guided:
    """used : (N,), which of the landmarks the images do not contradict."""

    fit: AffineFit
    used: Mask


def guided(fixed: Levels, moving: Levels, images: AffineFit, rules: Rules, tick: Tick = no_tick) -> Guided:
    """images : the answer without landmarks. rules : with them, px of the full overviews."""
    marks, free = rules.landmarks, Rules(rules.limits)
    place = _place(fixed, moving, images, rules)
    tick(0.5)
    alone = images if place is images.matrix else settled(fixed, moving, place, free)
    if images.judged.z > max(_CHANCE, alone.judged.z + _CLEARLY_LESS):
        place, alone = images.matrix, images
    used = residuals(marks, place) <= BELIEVABLE * math.hypot(*fixed.full.shape)
    if not used.any():
        return Guided(alone, used)
    tick(0.7)
    pulled = settled(fixed, moving, place, replace(rules, landmarks=marks.where(used)))
    if alone.judged.z > max(_CHANCE, pulled.judged.z + _CLEARLY_LESS):
        return Guided(alone, used & ~_in_conflict(residuals(marks, alone.matrix), used))
    return Guided(pulled, used)


def _in_conflict(apart: NDArray[np.float64], used: Mask) -> Mask:
    """apart : (N,), how far the images' answer leaves the landmarks."""
    if used.sum() < _TELLING or np.median(apart[used]) <= _IN_CONFLICT:
        return np.zeros_like(used)
    return apart > _IN_CONFLICT


def _place(fixed: Levels, moving: Levels, images: AffineFit, rules: Rules) -> Matrix:
    """Where to fit, px of the full overviews: `images.matrix` itself, or where the landmarks start from."""
    found = starts(rules.landmarks, rules.limits)
    if not found:
        return images.matrix
    own = judged_at(fixed, moving, images.matrix, Rules(rules.limits))
    # At the coarsest scale a small overlap shows too few blocks to tell the starts apart.
    options = [judged_at(fixed, moving, start, rules) for start in found]
    best = max((*options, best_place(fixed, moving, found, rules)), key=lambda option: option.judged.z)
    matrix = between_scales(best.matrix, 2, 2)
    near = BELIEVABLE * math.hypot(*fixed.full.shape)
    met = [int((residuals(rules.landmarks, one) <= near).sum()) for one in (images.matrix, matrix)]
    agreed = met[0] >= met[1] and own.judged.z >= best.judged.z
    if best.judged.z > own.judged.z + _CLEARLY_LESS or (images.judged.z < SLIDE_Z_NEEDED and not agreed):
        return matrix
    return images.matrix
