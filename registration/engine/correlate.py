"""Masked normalised cross-correlation of two images at every shift, by FFT.

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
Spectrum = NDArray[np.complex64]

#: Contrast, as a share of the whole image's, that the common part must have in both images.
_CONTRAST_NEEDED = 0.05


@dataclass(frozen=True)
class Spectra:
    """FFTs of an image's mask, and of each feature's masked values and their squares.

    values, squares : (k, ...). energy : (k,) mean square of the centred values. area : px in the mask.
    """

    mask: Spectrum
    values: Spectrum
    squares: Spectrum
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
    stacked = np.concatenate((weight[None], centred, squares))
    transformed = np.asarray(np.fft.rfft2(stacked, shape), np.complex64)
    count = len(features)
    return Spectra(
        transformed[0], transformed[1 : 1 + count], transformed[1 + count :], energy, float(weight.sum())
    )


def masked_ncc(fixed: Spectra, moving: Spectra, shape: tuple[int, int], overlap: float) -> Planes:
    """Correlation at every shift s of `moving` against `fixed`: fixed[x + s] is compared with moving[x].

    Returns (k, *shape) float32; [:, r, c] is the shift (c, r), negative ones wrapped to the end. Shifts that
    share less than `overlap` of the smaller mask, or hardly any contrast, get -1.
    """
    mask, values, squares = (np.conj(part) for part in (moving.mask, moving.values, moving.squares))
    count_k = len(fixed.values)
    products = np.concatenate(
        (
            (fixed.mask * mask)[None],
            fixed.values * values,
            fixed.values * mask,
            fixed.mask * values,
            fixed.squares * mask,
            fixed.mask * squares,
        )
    )
    sums = np.asarray(np.fft.irfft2(products, shape), np.float32)
    count = np.maximum(sums[0], 1)
    cross, sum_f, sum_m, square_f, square_m = sums[1:].reshape(5, count_k, *shape)
    covariance = cross - sum_f * sum_m / count
    variance_f = square_f - sum_f * sum_f / count
    variance_m = square_m - sum_m * sum_m / count
    least_f, least_m = (_CONTRAST_NEEDED * part.energy[:, None, None] for part in (fixed, moving))
    contrast = (variance_f > least_f * count) & (variance_m > least_m * count)
    smaller = min(fixed.area, moving.area)
    usable = (count >= max(1.0, overlap * smaller)) & contrast & (smaller > 0)
    scale = np.sqrt(np.where(usable, variance_f * variance_m, 1))
    return np.where(usable, covariance / scale, np.float32(-1))
