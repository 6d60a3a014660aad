"""Masked normalised cross-correlation of two images at every shift, by FFT; and peaks between two px.

Formula: Padfield 2012, "Masked object registration in the Fourier domain" (every sum of the correlation
coefficient over the overlap is itself a correlation with a mask). Several features of the same two images
share their masks' part.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.source import Mask

Plane = NDArray[np.float32]
Planes = NDArray[np.float32]

#: Contrast, as a share of the whole image's, that the common part must have in both images.
_CONTRAST_NEEDED = 0.05


@dataclass(frozen=True)
class Spectra:
    """DFTs of an image's mask, and of each feature's masked values and their squares, as cv2.dft packs them.

    mask : (rows, cols). values, squares : (k, rows, cols). energy : (k,) mean square of the centred values.
    area : px in the mask.
    """

    mask: Plane
    values: Planes
    squares: Planes
    energy: NDArray[np.float32]
    area: float


def fft_shape(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    """A fast shape that holds every shift of the two without wrapping round."""
    rows, columns = (cv2.getOptimalDFTSize(a + b - 1) for a, b in zip(first, second, strict=True))
    return rows, columns


def spectra(features: Planes, mask: Mask, shape: tuple[int, int]) -> Spectra:
    """features : (k, rows, cols) float32; only px in `mask` count. They are centred first, for precision."""
    weight = mask.astype(np.float32)
    area = max(1.0, float(weight.sum()))
    mean = (features * weight).sum(axis=(1, 2), keepdims=True) / np.float32(area)
    centred = (features - mean) * weight
    squares = centred * centred
    energy = squares.sum(axis=(1, 2)) / np.float32(area)
    rows, columns = mask.shape
    padded = np.zeros((1 + 2 * len(features), *shape), np.float32)
    padded[:, :rows, :columns] = np.concatenate((weight[None], centred, squares))
    for plane in padded:
        cv2.dft(plane, plane, nonzeroRows=rows)
    count = len(features)
    return Spectra(padded[0], padded[1 : 1 + count], padded[1 + count :], energy, float(weight.sum()))


def masked_ncc(fixed: Spectra, moving: Spectra, overlap: float) -> tuple[Planes, Plane]:
    """Correlation at every shift s of `moving` against `fixed`: fixed[x + s] is compared with moving[x].

    Returns (k, rows, cols) float32 and the px that are compared, (rows, cols) float32; [..., r, c] is the
    shift (c, r), negative ones wrapped to the end. Shifts that share less than `overlap` of the smaller mask,
    or hardly any contrast, get -1.
    """
    count = np.maximum(_correlated(fixed.mask, moving.mask), 1)
    smaller = min(fixed.area, moving.area)
    usable = (count >= max(1.0, overlap * smaller)) & (smaller > 0)
    scores = np.empty_like(fixed.values)
    for feature in range(len(scores)):
        values_f, values_m = fixed.values[feature], moving.values[feature]
        sum_f, sum_m = _correlated(values_f, moving.mask), _correlated(fixed.mask, values_m)
        covariance = _correlated(values_f, values_m) - sum_f * sum_m / count
        variance_f = _correlated(fixed.squares[feature], moving.mask) - sum_f * sum_f / count
        variance_m = _correlated(fixed.mask, moving.squares[feature]) - sum_m * sum_m / count
        least_f, least_m = (_CONTRAST_NEEDED * part.energy[feature] for part in (fixed, moving))
        seen = usable & (variance_f > least_f * count) & (variance_m > least_m * count)
        scale = np.sqrt(np.where(seen, variance_f * variance_m, 1))
        scores[feature] = np.where(seen, covariance / scale, -1)
    return scores, count


def _correlated(fixed: Plane, moving: Plane) -> Plane:
    """From the two spectra, the sum of products at every shift."""
    product = cv2.mulSpectrums(fixed, moving, 0, conjB=True)
    return np.asarray(cv2.dft(product, product, cv2.DFT_INVERSE | cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT))


def parabola(before: Plane, peak: Plane, after: Plane) -> tuple[Plane, Plane]:
    """Where between two px a peak lies: the vertex, within half a px, of the parabola through three values,
    which may have any shape; and its curvature, positive at a maximum.
    """
    curvature = np.maximum(2 * peak - before - after, np.float32(1e-6))
    offset = np.clip(0.5 * (after - before) / curvature, -0.5, 0.5)
    return offset.astype(np.float32), curvature.astype(np.float32)
