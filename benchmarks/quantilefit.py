"""Linear regression on a quantile, with weights that may not be negative."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_ROUNDS = 60
_RIDGE = 1e-3
#: Residuals smaller than this count as this large, so that the weights stay finite.
_SMALLEST = 0.05


def quantile_fit(features: Values, targets: Values, counts: Values, quantile: float) -> tuple[float, Values]:
    """(intercept, weights (K,) >= 0): `quantile` of the targets lie below intercept + features @ weights.

    features : (N, K). targets, counts : (N,); counts : what each row counts. Iterated reweighted least
    squares on the pinball loss; weights that would be negative are taken out for good.
    """
    rows = np.column_stack((np.ones(len(features)), features))
    free = np.ones(rows.shape[1], np.bool_)
    found = np.zeros(rows.shape[1])
    found[0] = np.quantile(targets, quantile)
    share = counts / counts.sum()
    for _ in range(_ROUNDS):
        residual = targets - rows @ found
        pull = (
            np.where(residual > 0, quantile, 1 - quantile) / np.maximum(np.abs(residual), _SMALLEST) * share
        )
        found = _solved(rows, targets, pull, free)
        while (found[1:] < 0).any():
            free[1 + int(np.argmin(found[1:]))] = False
            found = _solved(rows, targets, pull, free)
    found[0] += weighted_quantile(targets - rows @ found, counts, quantile)
    return float(found[0]), found[1:]


def weighted_quantile(values: Values, counts: Values, quantile: float) -> float:
    order = np.argsort(values, kind="stable")
    share = np.cumsum(counts[order]) / counts.sum()
    return float(values[order][min(len(order) - 1, int(np.searchsorted(share, quantile)))])


def spearman(a: Values, b: Values) -> float:
    """Rank correlation."""
    ranks = [np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (a, b)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _solved(rows: Values, targets: Values, pull: Values, free: NDArray[np.bool_]) -> Values:
    part = rows[:, free]
    ridge = np.full(part.shape[1], _RIDGE)
    ridge[0] = 0
    found = np.zeros(rows.shape[1])
    found[free] = np.linalg.solve(part.T @ (pull[:, None] * part) + np.diag(ridge), part.T @ (pull * targets))
    return found
