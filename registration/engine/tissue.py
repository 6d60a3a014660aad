"""Where there is tissue, and where a slide holds nothing but constant filling."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.source import Mask, Rgb
from registration.engine.stains import density

Planes = NDArray[np.float32]

#: Optical density above the background's at which a pixel counts as tissue.
TISSUE_DENSITY = 0.035
#: Grey level, of 255, that the lightest px of filling stay below and that some px near any tissue reach.
BLACK = 32
_FILLING_KERNEL = np.ones((7, 7), np.uint8)
#: Grey levels: the most by which noisy filling varies (standard deviation in 7 x 7 px) and its mean wanders,
#: and how much lighter than it glass is. Shares: of the border that it takes, and of the px that are lighter.
_NOISE, _WANDERS, _LIGHTER = 4.0, 3.0, 12.0
_OF_BORDER, _OF_SCENE = 0.2, 0.02
#: How far the surroundings reach, and rows that are looked at at a time, which bounds the memory, px.
_REACH, _STRIP = 3, 256


def constant_filling(rgb: Rgb) -> Mask:
    """(rows, cols) bool: px in whose 7 x 7 surroundings nothing changes (scanner filling, canvas), or no
    light comes through (filling that is black but for its noise); and noisy filling of another colour.
    """
    darkest, lightest = cv2.erode(rgb, _FILLING_KERNEL), cv2.dilate(rgb, _FILLING_KERNEL)
    core = cv2.inRange(lightest, (0, 0, 0), (BLACK - 1,) * 3) > 0
    core |= cv2.inRange(lightest - darkest, (0, 0, 0), (0, 0, 0)) > 0
    core |= _noisy_filling(rgb, ~core)
    return cv2.dilate(core.astype(np.uint8), _FILLING_KERNEL).astype(bool)


def _noisy_filling(rgb: Rgb, rest: Mask) -> Mask:
    """Px of `rest` that have the border's colour but for noise, where glass is lighter than that.

    Without anything lighter it is glass itself, whose outline against the tissue is worth seeing.
    """
    filling = np.zeros_like(rest)
    mean, even = _border(rgb, rest)
    if even.sum() < _OF_BORDER * len(even):
        return filling
    colour, lighter = np.median(mean[:, even], axis=1)[:, None, None], 0
    for top in range(0, len(rgb), _STRIP):
        first, here = min(top, _REACH), rest[top : top + _STRIP]
        inner = slice(first, first + len(here))
        mean, even = _evenness(rgb[top - first : top + _STRIP + _REACH])
        mean, even = mean[:, inner], even[inner]
        lighter += int(((mean > colour + _LIGHTER).all(axis=0) & here).sum())
        filling[top : top + _STRIP] = even & here & (np.abs(mean - colour) < _WANDERS).all(axis=0)
    return filling if lighter >= _OF_SCENE * rest.sum() else np.zeros_like(filling)


def _border(rgb: Rgb, rest: Mask) -> tuple[Planes, Mask]:
    """Of the outermost px: the mean around each, (3, N), and (N,) whether it is even and of `rest`."""
    means, evens = [], []
    for image, known, ends in (
        (rgb, rest, slice(None)),
        (rgb.swapaxes(0, 1), rest.swapaxes(0, 1), slice(1, -1)),
    ):
        for line, rim in ((0, image[: _REACH + 1]), (-1, image[-_REACH - 1 :])):
            mean, even = _evenness(rim)
            means.append(mean[:, line, ends])
            evens.append(even[line, ends] & known[line, ends])
    return np.concatenate(means, axis=1), np.concatenate(evens)


def _evenness(rgb: Rgb) -> tuple[Planes, Mask]:
    """The mean of each px's 7 x 7 surroundings, (3, rows, cols), and whether they vary no more than noise."""
    mean = np.empty((3, *rgb.shape[:2]), np.float32)
    even = np.ones(rgb.shape[:2], np.bool_)
    for channel, smooth in enumerate(mean):
        image = rgb[..., channel].astype(np.float32)
        smooth[:] = cv2.blur(image, (7, 7))
        even &= cv2.blur(image * image, (7, 7)) - smooth * smooth < _NOISE**2
    return mean, even


def tissue_mask(rgb: Rgb, valid: Mask) -> Mask:
    """rgb : (rows, cols, 3) uint8; valid : (rows, cols) bool. Returns (rows, cols) bool.

    A pixel is tissue when it is valid and clearly denser than glass; glass is taken to be at most as dense
    as light grey, so a region wholly covered by tissue is not mistaken for its own background.
    """
    return denser_than_glass(density(rgb), valid)


def denser_than_glass(values: NDArray[np.float32], valid: Mask) -> Mask:
    """tissue_mask of optical densities (rows, cols)."""
    smooth = np.asarray(cv2.GaussianBlur(values, (0, 0), 1.5), np.float32)
    mask: Mask = (smooth > _glass(smooth, valid) + TISSUE_DENSITY) & valid
    return mask


def tissue_fraction(rgb: Rgb, valid: Mask) -> float:
    """Share of all pixels, valid or not, that show tissue."""
    return float(tissue_mask(rgb, valid).mean()) if valid.size else 0.0


def _glass(smooth: NDArray[np.float32], valid: Mask) -> float:
    """Density of the glass: the lightest percentiles, between white and light grey (0.06)."""
    if not valid.any():
        return 0.0
    return float(np.clip(np.percentile(smooth[valid], 2), 0.0, 0.06))
