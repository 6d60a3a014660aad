"""Masked normalised cross-correlation of two images at every shift, by FFT.

Formula: Padfield 2012, "Masked object registration in the Fourier domain" (every sum of the correlation
coefficient over the overlap is itself a correlation with a mask).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.source import Mask

Plane = NDArray[np.float32]
Spectrum = NDArray[np.complex64]


@dataclass(frozen=True)
class Spectra:
    """FFTs of an image's mask, masked values and their squares. area : px in the mask."""

    mask: Spectrum
    value: Spectrum
    square: Spectrum
    energy: float
    area: float


def fft_shape(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    """A fast shape that holds every shift of the two without wrapping round."""
    rows, columns = (cv2.getOptimalDFTSize(a + b - 1) for a, b in zip(first, second, strict=True))
    return rows, columns


def spectra(values: Plane, mask: Mask, shape: tuple[int, int]) -> Spectra:
    """values : (rows, cols) float32; only those in `mask` count. They are centred first, for precision."""
    weight = mask.astype(np.float32)
    area = float(weight.sum())
    mean = float((values * weight).sum()) / max(area, 1.0)
    centred = (values - np.float32(mean)) * weight
    square = centred * centred
    energy = float(square.sum()) / max(area, 1.0)
    transformed = np.fft.rfft2(np.stack((weight, centred, square)), shape)
    return Spectra(transformed[0], transformed[1], transformed[2], energy, area)


def masked_ncc(fixed: Spectra, moving: Spectra, shape: tuple[int, int], overlap: float) -> Plane:
    """Correlation at every shift s of `moving` against `fixed`: fixed[x + s] is compared with moving[x].

    Returns `shape` float32; [r, c] is the shift (c, r), negative ones wrapped to the end. Shifts that share
    less than `overlap` of the smaller mask, or hardly any contrast, get -1.
    """
    pairs = (
        (fixed.mask, moving.mask),
        (fixed.value, moving.value),
        (fixed.value, moving.mask),
        (fixed.mask, moving.value),
        (fixed.square, moving.mask),
        (fixed.mask, moving.square),
    )
    products = np.stack([a * np.conj(b) for a, b in pairs])
    count, cross, sum_f, sum_m, square_f, square_m = np.fft.irfft2(products, shape)
    count = np.maximum(count, 1)
    covariance = cross - sum_f * sum_m / count
    variance_f = square_f - sum_f * sum_f / count
    variance_m = square_m - sum_m * sum_m / count
    enough = count >= overlap * min(fixed.area, moving.area)
    contrast = (variance_f > 0.05 * fixed.energy * count) & (variance_m > 0.05 * moving.energy * count)
    usable = enough & contrast & (min(fixed.area, moving.area) > 0)
    scale = np.sqrt(np.where(usable, variance_f * variance_m, 1))
    return np.where(usable, covariance / scale, -1).astype(np.float32)
