"""Least squares that a few wrong matches can't spoil."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Points
from registration.engine.matrices import Matrix, apply, shift

Model = Literal["shift", "similarity", "affine"]
Weights = NDArray[np.float64]

#: Matches that determine each model with some to spare.
MATCHES_NEEDED: dict[Model, int] = {"shift": 3, "similarity": 6, "affine": 12}

#: Points spread so little across a line, as a share of along it, lie on it.
_LINE = 1e-3


def cauchy(residuals: Weights, scale: Weights | float) -> Weights:
    """Weight 1 at 0, one half at `scale`, which may differ from one to the next."""
    weights: Weights = 1 / (1 + (residuals / scale) ** 2)
    return weights


def fit(source: Points, target: Points, weights: Weights, model: Model) -> Matrix:
    """The weighted least-squares map of `source` onto `target` ((N, 2) each), fitted about the centroids."""
    total = weights.sum()
    centre_s = (weights[:, None] * source).sum(axis=0) / total
    centre_t = (weights[:, None] * target).sum(axis=0) / total
    linear = _linear(source - centre_s, target - centre_t, weights, model)
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    fitted: Matrix = shift(*centre_t) @ matrix @ shift(*-centre_s)
    return fitted


def nearest_similarity(source: Points, target: Points, weights: Weights, like: Matrix) -> Matrix:
    """As `fit`, mirrored where `like` is: as a turn it is fitted to points flipped before."""
    flip = np.diag((math.copysign(1.0, float(np.linalg.det(like[:2, :2]))), 1.0, 1.0))
    matrix: Matrix = fit(apply(flip, source), target, weights, "similarity") @ flip
    return matrix


def robust_fit(
    source: Points,
    target: Points,
    weights: Weights,
    model: Model,
    scales: tuple[float, ...],
    floor: Weights | float = 0.0,
) -> Matrix:
    """`fit`, repeated with Cauchy weights of ever smaller scale (px), first about no motion at all.

    floor : the smallest scale, of all or of each match (N,).
    """
    matrix = np.eye(3)
    for scale in scales:
        residuals = np.linalg.norm(apply(matrix, source) - target, axis=1)
        matrix = fit(source, target, weights * cauchy(residuals, np.maximum(scale, floor)), model)
    return matrix


def _linear(source: Points, target: Points, weights: Weights, model: Model) -> NDArray[np.float64]:
    if model == "shift":
        return np.eye(2)
    if model == "similarity":
        return _similarity(source, target, source * weights[:, None])
    if _on_a_line(source * weights[:, None], source):
        return _similarity(source, target, source * weights[:, None])
    root = np.sqrt(weights)[:, None]
    return np.asarray(np.linalg.lstsq(root * source, root * target, rcond=None)[0].T, np.float64)


def _on_a_line(weighted: Points, source: Points) -> bool:
    """Whether the moments of inertia say that nothing is known across a line: no affine can be fitted."""
    moments = weighted.T @ source
    return bool(np.linalg.det(moments) <= (_LINE * np.trace(moments)) ** 2)


def _similarity(source: Points, target: Points, weighted: Points) -> NDArray[np.float64]:
    """Closed form: the complex regression coefficient."""
    power = float((weighted * source).sum()) or 1.0
    real = float((weighted * target).sum()) / power
    imaginary = float((weighted[:, 0] * target[:, 1] - weighted[:, 1] * target[:, 0]).sum()) / power
    if real == imaginary == 0:
        return np.eye(2)
    return np.array([(real, -imaginary), (imaginary, real)])
