"""How far a number of hits is from chance."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

#: Below this natural logarithm of a probability its normal quantile is taken from the tail's expansion.
_SMALLEST_LOG = -650.0


def binomial_z(hits: int, count: int, chance: float) -> float:
    """The normal deviate as rare as `hits` or more out of `count`, each with probability `chance`.

    From the binomial's exact tail: unlike (hits - mean) / deviation it is not carried away by few trials.
    About 0 where the hits are what chance gives; 0.0 for no trial at all.
    """
    if count == 0:
        return 0.0
    return quantile(log_tail(hits, count, chance))


def log_tail(hits: int, count: int, chance: float) -> float:
    """Natural logarithm of P(X >= hits), X binomial of `count` and `chance` (above 0, below 1)."""
    if hits <= 0:
        return 0.0
    k = np.arange(hits, count + 1)
    ways = np.array([math.lgamma(count + 1) - math.lgamma(i + 1) - math.lgamma(count - i + 1) for i in k])
    terms = ways + k * math.log(chance) + (count - k) * math.log1p(-chance)
    largest = float(terms.max())
    return min(0.0, largest + math.log(float(np.exp(terms - largest).sum())))


def quantile(log_probability: float) -> float:
    """The z that a standard normal variable exceeds with this probability (natural logarithm, at most 0)."""
    if log_probability > _SMALLEST_LOG:
        probability = min(math.exp(log_probability), 1 - 1e-12)
        return -NormalDist().inv_cdf(probability)
    z = math.sqrt(-2 * log_probability)
    for _ in range(4):
        z = math.sqrt(-2 * log_probability - math.log(2 * math.pi) - 2 * math.log(z))
    return z
