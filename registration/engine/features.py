"""The images that the slide-level stages compare."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.source import Mask, PixelSource, Rgb
from registration.engine.stains import density
from registration.engine.tissue import constant_filling, denser_than_glass

Feature = NDArray[np.float32]


@dataclass(frozen=True)
class Overview:
    """A slide at a few hundred px.

    feature : (rows, cols) float32, square root of optical density, filled smoothly where it is not known.
    mask : (rows, cols) bool, pixels of real scene. inside : pixels of the slide, filling included.
    downsample : level-0 px per px, the same in x and y.
    """

    feature: Feature
    mask: Mask
    inside: Mask
    downsample: float

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.feature.shape
        return rows, columns


def read_overview(source: PixelSource, downsample: float) -> Overview:
    """The whole slide at `downsample`."""
    columns = max(1, round(source.width / downsample))
    rows = max(1, round(source.height / downsample))
    rgb, valid = source.read(0, 0, columns, rows, downsample)
    return overview(rgb, valid, downsample)


def overview(rgb: Rgb, valid: Mask, downsample: float) -> Overview:
    """The features of an image that has been read already."""
    feature = np.sqrt(np.maximum(density(rgb), 0))
    mask = valid & ~constant_filling(rgb)
    return Overview(fill_smoothly(feature, mask), mask, valid, downsample)


def tissue_share(image: Overview) -> float:
    """Share of the scene that shows tissue; 0 where there is no scene."""
    scene = int(image.mask.sum())
    return float(denser_than_glass(image.feature**2, image.mask).sum()) / max(1, scene)


def reduced(image: Overview, factor: int) -> Overview:
    """The same slide at a `factor` times smaller scale, by exact area averaging of whole px."""
    mask = _shrink(image.mask, factor) > 0.5
    inside = _shrink(image.inside, factor) > 0.5
    return Overview(_shrink(image.feature, factor), mask, inside, image.downsample * factor)


def texture_energy(feature: Feature) -> Feature:
    """Local standard deviation: where there is structure, whatever its stain."""
    mean = cv2.GaussianBlur(feature, (0, 0), 2.0)
    square = cv2.GaussianBlur(feature * feature, (0, 0), 2.0)
    return np.asarray(np.sqrt(np.maximum(square - mean * mean, 0)), np.float32)


def gradient_size(feature: Feature) -> Feature:
    """How steep the slightly smoothed feature is: edges, whichever side is the darker one."""
    smooth = cv2.GaussianBlur(feature, (0, 0), 1.2)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    return np.asarray(cv2.magnitude(across, down), np.float32)


def fill_smoothly(feature: Feature, mask: Mask) -> Feature:
    """Replace what is not in `mask` by what is near it (normalised convolution), so no edge arises there."""
    if mask.all() or not mask.any():
        return feature.astype(np.float32)
    radius = max(3, round(0.04 * max(feature.shape)))
    near = _smooth(np.where(mask, feature, np.float32(0)), radius)
    near += 1e-3 * float(feature[mask].mean())
    weight = _smooth(mask.astype(np.float32), radius)
    weight += 1e-3
    near /= weight
    np.copyto(near, feature, where=mask)
    return near


def _smooth(image: Feature, radius: int) -> Feature:
    """Two box averages: a tent, at a cost that does not grow with the radius."""
    size = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(cv2.blur(cv2.blur(image, size), size), np.float32)


def _shrink(image: NDArray[np.generic], factor: int) -> Feature:
    rows, columns = image.shape
    padding = ((0, -rows % factor), (0, -columns % factor))
    padded = np.pad(image.astype(np.float32), padding, mode="edge")
    size = (padded.shape[1] // factor, padded.shape[0] // factor)
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), np.float32)
