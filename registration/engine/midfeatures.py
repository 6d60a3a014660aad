"""What the mid-scale stage compares: local orientation and local contrast, which survive a change of stain.

Structure tensor and its orientation as (cos 2t, sin 2t): Bigun and Granlund 1987, "Optimal orientation
detection of linear symmetry".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import cv2
import numpy as np

from registration.engine.features import Feature, Overview, fill_smoothly
from registration.engine.matrices import Matrix, apply
from registration.engine.nonrigid import Grid, Nodes
from registration.engine.resample import lattice, sample_lattice
from registration.engine.source import Mask

#: Gaussians, px: of the gradient, of the tensor, of the energy it is divided by, of the local contrast.
_GRADIENT, _TENSOR, _ENERGY, _CONTRAST = 1.0, 2.0, 8.0, 16.0
#: Shares of the mean energy and of the mean contrast that keep empty places from being blown up.
_LITTLE_ENERGY, _LITTLE_CONTRAST = 0.1, 0.2
#: Squares between nodes that are pulled at a time, which bounds what that takes.
_STRIP = 16
_THREADS = 2


@dataclass(frozen=True)
class MidImage:
    """An image at the working scale.

    feature : (rows, cols) float32, square root of optical density, filled smoothly where it is not known.
    mask : (rows, cols) bool, pixels of real scene; the others never match.
    """

    feature: Feature
    mask: Mask

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.feature.shape
        return rows, columns


@dataclass(frozen=True)
class Seen:
    """What is compared. channels : (rows, cols, 3) float32, cos 2t, sin 2t and local contrast; 0 where `mask`
    (rows, cols) bool is not set.
    """

    channels: Feature
    mask: Mask

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.mask.shape
        return rows, columns

    def without(self, rim: int) -> Seen:
        """Its part that lies `rim` px and more from the edge."""
        inner = slice(rim, -rim or None)
        return Seen(self.channels[inner, inner], self.mask[inner, inner])

    def averaged(self, factor: int) -> Seen:
        if factor == 1:
            return self
        return Seen(averaged(self.channels, factor), averaged(self.mask.astype(np.float32), factor) > 0.5)


def mid_image(image: Overview) -> MidImage:
    return MidImage(image.feature, image.mask)


def seen(image: MidImage) -> Seen:
    known = image.mask.astype(np.float32)
    channels = np.empty((*image.shape, 3), np.float32)
    planes = chain(_orientation(image.feature, known), _local_contrast(image.feature, known))
    for channel, plane in enumerate(planes):
        np.multiply(plane, known, out=channels[..., channel])
    return Seen(channels, image.mask)


def pulled(
    moving: MidImage,
    moving_from_fixed: Matrix,
    field: tuple[Grid, Nodes],
    shape: tuple[int, int],
    margin: int,
) -> MidImage:
    """`moving` in the frame of the fixed image of `shape`, `margin` px wider on each side.

    moving_from_fixed : applied after the field.
    """
    grid, nodes = field
    step = grid.spacing
    skipped = -margin % step  # strips begin between nodes, so that the map is linear within them
    start = -margin - skipped
    rows, columns = (skipped + side + 2 * margin for side in shape)
    values, known = np.empty((rows, columns), np.float32), np.empty((rows, columns), np.bool_)
    mask = moving.mask.view(np.uint8)

    def pull(top: int) -> None:
        size = (min(_STRIP * step, rows - top), columns)
        ys, xs = (
            lattice(first, first + side, step) for first, side in zip((start + top, start), size, strict=True)
        )
        points = grid.evaluate(nodes, xs, ys) + np.stack(np.meshgrid(xs, ys), axis=-1)
        mapped = apply(moving_from_fixed, points.reshape(-1, 2)).reshape(points.shape)
        part = slice(top, top + size[0])
        values[part] = sample_lattice(moving.feature, mapped, step, size, outside="edge")
        known[part] = sample_lattice(mask, mapped, step, size, "nearest") > 0

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(pull, range(0, rows, _STRIP * step)))
    inner = np.s_[skipped:, skipped:]
    return MidImage(fill_smoothly(values[inner], known[inner]), known[inner])


def averaged(image: Feature, factor: int) -> Feature:
    """Over factor x factor px, from the first one on; the last may repeat the edge's."""
    below, right = (-side % factor for side in image.shape[:2])
    whole = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = (whole.shape[1] // factor, whole.shape[0] // factor)
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.float32)


def _orientation(feature: Feature, known: Feature) -> Iterator[Feature]:
    """cos 2t and sin 2t of the gradient's direction t, by how clear it is. In place: images are large."""
    smooth = _blurred(feature, _GRADIENT)
    xx, yy = (_slope(smooth, *axis) for axis in ((1, 0), (0, 1)))
    del smooth
    double_xy = 2 * xx * yy
    xx *= xx
    yy *= yy
    energy = xx + yy
    xx -= yy
    del yy
    for part in (energy, xx, double_xy):
        part *= known
        _blur(part, _TENSOR)
    _blur(energy, _ENERGY)
    energy += _LITTLE_ENERGY * _mean_over(energy, known) + 1e-12
    for part in (xx, double_xy):
        part /= energy
        yield part


def _local_contrast(feature: Feature, known: Feature) -> Iterator[Feature]:
    high = _blurred(feature, _CONTRAST)
    np.subtract(feature, high, out=high)
    deviation = high * high
    _blur(deviation, _CONTRAST)
    np.sqrt(deviation, out=deviation)
    deviation += _LITTLE_CONTRAST * _mean_over(deviation, known) + 1e-6
    high /= deviation
    _blur(high, 0.7)
    yield high


def _mean_over(values: Feature, known: Feature) -> np.float32:
    return np.float32((values * known).sum(dtype=np.float64) / max(float(known.sum()), 1.0))


def _slope(image: Feature, dx: int, dy: int) -> Feature:
    return np.asarray(cv2.Scharr(image, cv2.CV_32F, dx, dy, scale=1 / 16), np.float32)


def _blur(image: Feature, sigma: float) -> None:
    """In place."""
    np.copyto(image, _blurred(image, sigma))


def _blurred(image: Feature, sigma: float) -> Feature:
    """One half in each thread: OpenCV blurs in one only."""
    rows, reach = len(image), math.ceil(4 * sigma) + 1
    out = np.empty_like(image)

    def blur(part: slice) -> None:
        first = max(0, part.start - reach)
        wider = cv2.GaussianBlur(image[first : part.stop + reach], (0, 0), sigma)
        out[part] = wider[part.start - first : part.stop - first]

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(blur, (slice(0, rows // 2), slice(rows // 2, rows))))
    return out
