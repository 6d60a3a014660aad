"""Area averaging at fractional positions: the low-pass and the resampling of slide reads in one step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def area_average(values: NDArray[np.uint8], x: Floats, y: Floats) -> NDArray[np.uint8]:
    """The mean of `values` over each cell of a grid of intervals.

    values : (h, w, channels) uint8, px [r, c] covers [c, c+1) x [r, r+1).
    x, y : (columns, 2) and (rows, 2) float64, low and high ends, low < high, inside [0, w] and [0, h].
    Returns (rows, columns, channels) uint8, rounded to nearest.
    """
    means = _means(values, y)
    means = _means(np.ascontiguousarray(means.transpose(1, 0, 2)), x).transpose(1, 0, 2)
    return np.rint(means).astype(np.uint8)


def _means(values: NDArray[np.uint8] | NDArray[np.float32], spans: Floats) -> NDArray[np.float32]:
    """Means of `values` along axis 0 over each of `spans`, px by px of the longest span."""
    first = spans[:, 0].astype(np.intp)
    means = np.zeros((len(spans), *values.shape[1:]), np.float32)
    for k in range(int((np.ceil(spans[:, 1]) - first).max())):
        at = first + k
        overlap = np.minimum(spans[:, 1], at + 1) - np.maximum(spans[:, 0], at)
        weight = np.maximum(overlap, 0) / (spans[:, 1] - spans[:, 0])
        means += values[np.minimum(at, len(values) - 1)] * weight.astype(np.float32)[:, None, None]
    return means
