"""Where there is tissue, and where a slide holds nothing but constant filling."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.source import Mask, Rgb
from registration.engine.stains import density

#: Optical density above the background's at which a pixel counts as tissue.
TISSUE_DENSITY = 0.035
#: Grey level, of 255, that the lightest px of filling stay below and that some px near any tissue reach.
BLACK = 32
_FILLING_KERNEL = np.ones((7, 7), np.uint8)
#: Grey levels: the most by which noisy filling varies (standard deviation in 7 x 7 px) and its mean wanders,
#: and how much lighter than it glass is. Shares: of the border that it takes, and of the px that are lighter.
_NOISE, _WANDERS, _LIGHTER = 4.0, 3.0, 12.0
_OF_BORDER, _OF_SCENE = 0.2, 0.02


def constant_filling(rgb: Rgb) -> Mask:
    """(rows, cols) bool: px in whose 7 x 7 surroundings nothing changes (scanner filling, canvas), or no
    light comes through (filling that is black but for its noise); and noisy filling of another colour.
    """
    darkest, lightest = cv2.erode(rgb, _FILLING_KERNEL), cv2.dilate(rgb, _FILLING_KERNEL)
    core = (darkest == lightest).all(axis=2) | (lightest.max(axis=2) < BLACK)
    core |= _noisy_filling(rgb, ~core)
    return cv2.dilate(core.astype(np.uint8), _FILLING_KERNEL).astype(bool)


def _noisy_filling(rgb: Rgb, rest: Mask) -> Mask:
    """Px of `rest` that have the border's colour but for noise, where glass is lighter than that.

    Without anything lighter it is glass itself, whose outline against the tissue is worth seeing.
    """
    image = rgb.astype(np.float32)
    mean, square = cv2.blur(image, (7, 7)), cv2.blur(image * image, (7, 7))
    even = ((square - mean * mean).max(axis=2) < _NOISE**2) & rest
    border = np.zeros(even.shape, np.bool_)
    border[[0, -1]] = border[:, [0, -1]] = True
    if (even & border).sum() < _OF_BORDER * border.sum():
        return np.zeros_like(even)
    colour = np.median(mean[even & border], axis=0)
    lighter = (mean > colour + _LIGHTER).all(axis=2) & rest
    if lighter.sum() < _OF_SCENE * rest.sum():
        return np.zeros_like(even)
    filling: Mask = even & (np.abs(mean - colour) < _WANDERS).all(axis=2)
    return filling


def tissue_mask(rgb: Rgb, valid: Mask) -> Mask:
    """rgb : (rows, cols, 3) uint8; valid : (rows, cols) bool. Returns (rows, cols) bool.

    A pixel is tissue when it is valid and clearly denser than glass; glass is taken to be at most as dense
    as light grey, so a region wholly covered by tissue is not mistaken for its own background.
    """
    smooth = np.asarray(cv2.GaussianBlur(density(rgb), (0, 0), 1.5), np.float32)
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
