"""How far a transform is off at landmarks: TRE, rTRE and robustness, as the ANHIR challenge defines them.

TRE = |T(fixed landmark) - moving landmark|, measured on the moving slide. rTRE = TRE / that slide's diagonal.
Robustness = share of the landmarks that came closer than they were before registration.
(Borovec et al., "ANHIR: Automatic Non-Rigid Histological Image Registration Challenge", IEEE TMI 2020.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from registration.engine.errors import EngineError
from registration.engine.geometry import Frame
from registration.engine.transforms.affine import AffineTransform
from registration.engine.transforms.base import Transform

Distances = NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """Of distances in one unit."""

    median: float
    p90: float
    max: float


@dataclass(frozen=True)
class LandmarkReport:
    """px : of the moving slide. um : None where its um/px is unknown. initial_... : before registration."""

    count: int
    px: Summary
    um: Summary | None
    rtre: Summary
    robustness: float
    initial_px: Summary
    initial_um: Summary | None
    initial_rtre: Summary


def tre_px(transform: Transform, fixed: ArrayLike, moving: ArrayLike) -> Distances:
    """(N,) float64, moving level-0 px. fixed, moving : (N, 2), xy, corresponding level-0 landmarks."""
    return _length(_offsets(transform, fixed, moving), (1.0, 1.0))


def tre_um(transform: Transform, fixed: ArrayLike, moving: ArrayLike) -> Distances | None:
    """(N,) float64 um, by the moving slide's um/px on each axis; None where that is unknown."""
    um_per_px = transform.moving.um_per_px
    return None if um_per_px is None else _length(_offsets(transform, fixed, moving), um_per_px)


def unregistered(fixed: Frame, moving: Frame) -> AffineTransform:
    """What one has before registration: the same um from the corner, or the same px if um/px is unknown."""
    scale = (1.0, 1.0)
    if fixed.um_per_px is not None and moving.um_per_px is not None:
        scale = (fixed.um_per_px[0] / moving.um_per_px[0], fixed.um_per_px[1] / moving.um_per_px[1])
    return AffineTransform(np.diag((*scale, 1.0)), fixed, moving)


def assess(
    transform: Transform, fixed: ArrayLike, moving: ArrayLike, initial: Transform | None = None
) -> LandmarkReport:
    """All landmark figures of `transform` beside those of `initial` (None: unregistered).

    fixed, moving : (N, 2), xy, corresponding level-0 landmarks. Raises EngineError("no_landmarks") for N = 0.
    """
    before = unregistered(transform.fixed, transform.moving) if initial is None else initial
    px, before_px = tre_px(transform, fixed, moving), tre_px(before, fixed, moving)
    if px.size == 0:
        raise EngineError("no_landmarks", "There are no landmarks; at least one pair is needed.")
    diagonal = transform.moving.size.diagonal
    um, before_um = tre_um(transform, fixed, moving), tre_um(before, fixed, moving)
    return LandmarkReport(
        count=px.size,
        px=_summary(px),
        um=None if um is None else _summary(um),
        rtre=_summary(px / diagonal),
        robustness=float(np.mean(px < before_px)),
        initial_px=_summary(before_px),
        initial_um=None if before_um is None else _summary(before_um),
        initial_rtre=_summary(before_px / diagonal),
    )


def _offsets(transform: Transform, fixed: ArrayLike, moving: ArrayLike) -> Distances:
    mapped, wanted = transform(fixed), np.asarray(moving, dtype=np.float64)
    if mapped.shape != wanted.shape:
        raise ValueError(f"{mapped.shape[0]} fixed landmarks, but the moving ones have shape {wanted.shape}")
    return mapped - wanted


def _length(offsets: Distances, unit: tuple[float, float]) -> Distances:
    length: Distances = np.hypot(offsets[:, 0] * unit[0], offsets[:, 1] * unit[1])
    return length


def _summary(distances: Distances) -> Summary:
    return Summary(float(np.median(distances)), float(np.percentile(distances, 90)), float(distances.max()))
