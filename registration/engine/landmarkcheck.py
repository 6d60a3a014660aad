"""Landmarks that the images contradict are left out, and that is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from registration.engine import reasons
from registration.engine.constraints import Landmarks
from registration.engine.result import Level, Verdict
from registration.engine.transforms import Transform

#: Sections deform by less than this share of the diagonal; a landmark further off is a slip of the hand.
BELIEVABLE = 0.05


def believable(landmarks: Landmarks, transform: Transform) -> Landmarks:
    """Those that lie about where `transform` (moving_from_fixed, found or confirmed by the images) says."""
    if not len(landmarks):
        return landmarks
    gaps = np.linalg.norm(transform(landmarks.fixed) - landmarks.moving, axis=1)
    return landmarks.where(gaps <= BELIEVABLE * transform.moving.size.diagonal)


def told(verdict: Verdict, left_out: int, given: int) -> Verdict:
    """The verdict with a word on the landmarks that were left out: it is no longer `good` then."""
    if not left_out:
        return verdict
    level = Level.CHECK if verdict.level is Level.GOOD else verdict.level
    reason = reasons.landmarks_left_out(left_out, given)
    return replace(verdict, level=level, reasons=(*verdict.reasons, reason))
