"""Pulling pixels through a transform. Nothing else calls cv2.remap, but the polish for its own small planes.

Sample positions are rounded to 1/256 px before OpenCV sees them. Together with whole-pixel crops this makes a
resampled pixel a function of its position alone: blocks, regions and whole images agree to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.errors import EngineError
from registration.engine.geometry import Box, Frame, Points, Size, index_from_point, point_from_index
from registration.engine.source import Mask, PixelSource, Rgb
from registration.engine.transforms.affine import AffineTransform
from registration.engine.transforms.base import Transform

Interpolation = Literal["linear", "cubic", "nearest"]
Image = NDArray[Any]

#: Output px a side that are made at a time, on a grid that starts at level-0 px (0, 0).
BLOCK = 1024
#: cv2.remap takes no image of 32,767 px a side or more.
LARGEST_SIDE = 32_000
#: Up to this many moving px to an output px plain interpolation does not alias visibly.
SAME_SCALE = 1.25
#: A regular transform needs about 2 * BLOCK ** 2 px of the moving slide for a block.
LARGEST_READ_PX = 64_000_000

_STEPS_PER_PX = 256
_MARGIN = 3  # px that cubic interpolation needs around a position, and one more
_FLAGS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "nearest": cv2.INTER_NEAREST}
_BORDERS = {"edge": cv2.BORDER_REPLICATE, "zero": cv2.BORDER_CONSTANT}


def sample(
    image: Image, points: Points, interpolation: Interpolation = "linear", fill: float = 255
) -> tuple[Image, Mask]:
    """The image's values at `points`.

    image : (h, w) or (h, w, c), uint8, uint16, float32 or float64. points : (rows, cols, 2), xy, corner-based
    px of `image`. Returns values (rows, cols[, c]) of the image's dtype, and validity (rows, cols): whether
    the point lies on [0, w] x [0, h]. Where it does not, the value is `fill`.
    """
    height, width = image.shape[:2]
    values = np.full((*points.shape[:2], *image.shape[2:]), fill, dtype=image.dtype)
    valid = _on_image(points, width, height)
    if valid.any():
        _remap_into(values, image, index_from_point(points), _FLAGS[interpolation])
        values[~valid] = fill
    return values, valid


def warp_array(
    image: Image,
    matrix: NDArray[np.float64],
    size: Size,
    interpolation: Interpolation = "linear",
    fill: float = 255,
) -> tuple[Image, Mask]:
    """An affinely warped image of `size`, made in blocks.

    matrix : (3, 3), takes corner-based px of the OUTPUT to corner-based px of `image`. Otherwise as `sample`.
    """
    frame_in = Frame("output", size, None)
    frame_out = Frame("image", Size(image.shape[1], image.shape[0]), None)
    transform = AffineTransform(matrix, frame_in, frame_out)
    values = np.empty((size.height, size.width, *image.shape[2:]), dtype=image.dtype)
    valid = np.empty((size.height, size.width), dtype=np.bool_)
    for rows, columns in _blocks(0, 0, size):
        points = transform.on_grid(_centres(columns), _centres(rows))
        values[rows, columns], valid[rows, columns] = sample(image, points, interpolation, fill)
    return values, valid


def warp_quick(
    image: Image, matrix: NDArray[np.float64], size: Size, *, outside: Literal["edge", "zero"] = "edge"
) -> Image:
    """As `warp_array`, for matching only, not for export: positions rounded to 1/32 px, no validity.

    image : (h, w[, c]) float32 (linear) or uint8 (nearest), sides below LARGEST_SIDE. outside : the value
    beyond the image, that of its nearest edge or 0.
    """
    offset = float(index_from_point(np.zeros(2))[0])
    indexed = np.array(matrix, np.float64)[:2]
    indexed[:, 2] += offset - indexed[:, :2] @ (offset, offset)
    flag = cv2.INTER_NEAREST if image.dtype == np.uint8 else cv2.INTER_LINEAR
    flags = flag | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(image, indexed, (size.width, size.height), flags=flags, borderMode=_BORDERS[outside])
    )


def warp_region(
    moving: PixelSource, transform: Transform, box: Box, downsample: float = 1.0
) -> tuple[Rgb, Mask]:
    """The pixels of `moving` that belong to `box` of the fixed slide.

    box : fixed level-0 px; it may reach outside the slides (white and invalid there). downsample : fixed
    level-0 px to an output px. Returns RGB uint8 (rows, cols, 3) on white, and validity (rows, cols), where
    cols = round(width / downsample). Made in blocks of BLOCK px on an absolute grid: memory beyond the output
    is bounded. Raises EngineError("transform_irregular") if a block would need an absurd part of the slide.
    """
    size = Size(max(1, round(box.width / downsample)), max(1, round(box.height / downsample)))
    rgb = np.full((size.height, size.width, 3), 255, dtype=np.uint8)
    valid = np.zeros((size.height, size.width), dtype=np.bool_)
    scale = moving_downsample(transform, downsample)
    for rows, columns in _blocks(math.floor(box.x / downsample), math.floor(box.y / downsample), size):
        xs = box.x + point_from_index(np.arange(columns.start, columns.stop), downsample)
        ys = box.y + point_from_index(np.arange(rows.start, rows.stop), downsample)
        points = transform.on_grid(xs, ys)
        rgb[rows, columns], valid[rows, columns] = _pull(moving, points, scale)
    return rgb, valid


def lattice(start: int, stop: int, step: int) -> NDArray[np.float64]:
    """Where `sample_lattice` wants its map: the middles of the steps of `step` px that cover output px
    `start` to `stop`, and of one more on either side; output px, corner-based."""
    count = -(-(stop - start) // step)
    return start + step * point_from_index(np.arange(-1, count + 1))


def sample_lattice(
    image: Image,
    points: Points,
    step: int,
    size: tuple[int, ...],
    interpolation: Interpolation = "linear",
    *,
    outside: Literal["edge", "zero"] = "zero",
) -> Image:
    """The values of `image` on a smooth map that is given every `step` px only; for matching, not for export.

    image : (h, w), uint8 or float32. points : (len(ys), len(xs), 2), xy, corner-based px of `image`, at
    `lattice` ys and xs. size : (rows, cols). Between the points the map is linear. outside : the value beyond
    the image, that of its nearest edge or 0.
    """
    if max(image.shape) > LARGEST_SIDE:
        rows, columns = image.shape
        near = np.clip(points, -_MARGIN, (columns + _MARGIN, rows + _MARGIN))
        crop = _around(near, 1.0).intersection(Size(columns, rows).box)
        image = image[crop.y : crop.bottom, crop.x : crop.right]
        points = points - (crop.x, crop.y)
    if image.size == 0:
        return np.zeros(size, image.dtype)
    whole = (points.shape[1] * step, points.shape[0] * step)
    index = cv2.resize(index_from_point(points).astype(np.float32), whole, interpolation=cv2.INTER_LINEAR)
    part = index[step : step + size[0], step : step + size[1]]
    x, y = cv2.split(part)
    return np.asarray(cv2.remap(image, x, y, _FLAGS[interpolation], borderMode=_BORDERS[outside]))


def _pull(moving: PixelSource, points: Points, downsample: float) -> tuple[Rgb, Mask]:
    """Sample `moving` at `points` (rows, cols, 2), moving level-0 px, read at `downsample`."""
    on_slide = _on_image(points, moving.width, moving.height)
    rgb = np.full((*points.shape[:2], 3), 255, dtype=np.uint8)
    if not on_slide.any():
        return rgb, on_slide
    crop = _needed(points if on_slide.all() else points[on_slide], downsample, moving)
    source, source_valid = moving.read(
        crop.x * downsample, crop.y * downsample, crop.width, crop.height, downsample
    )
    local = points / downsample - (crop.x, crop.y)
    np.copyto(rgb, sample(source, local)[0], where=on_slide[..., None])
    if source_valid.all():
        return rgb, on_slide
    known, _ = sample(source_valid.astype(np.uint8), local, "nearest", fill=0)
    return rgb, on_slide & (known > 0)


def _needed(points: Points, downsample: float, moving: PixelSource) -> Box:
    """The whole px (at `downsample`, counted from the slide's corner) around `points` (..., 2)."""
    slide = Size(math.ceil(moving.width / downsample), math.ceil(moving.height / downsample))
    crop = _around(points, downsample).intersection(slide.box)
    if crop.area > LARGEST_READ_PX:
        raise EngineError(
            "transform_irregular",
            f"The transform spreads a block of {BLOCK} px over {crop.width} x {crop.height} px of the moving "
            f"slide ({moving.width} x {moving.height} px). It can't be right; register the region again.",
        )
    return crop


def moving_downsample(transform: Transform, downsample: float = 1.0) -> float:
    """Moving level-0 px to a px read: as fine as the output needs; the reader low-passes a finer slide.

    From the whole frame's change of area, so that it is the same for every region.
    """
    corners = transform(transform.fixed.size.box.corners())
    diagonals = corners[2] - corners[0], corners[3] - corners[1]
    area = abs(diagonals[0][0] * diagonals[1][1] - diagonals[0][1] * diagonals[1][0]) / 2
    needed = downsample * math.sqrt(area / transform.fixed.size.box.area)
    return needed if needed > SAME_SCALE else 1.0


def _blocks(x: int, y: int, size: Size) -> Iterator[tuple[slice, slice]]:
    """(rows, columns) slices that tile an output whose pixel [0, 0] is number (x, y) of an absolute grid."""
    for rows in _cuts(y, size.height):
        for columns in _cuts(x, size.width):
            yield rows, columns


def _cuts(start: int, length: int) -> Iterator[slice]:
    at = 0
    while at < length:
        end = min(length, at + BLOCK - (start + at) % BLOCK)
        yield slice(at, end)
        at = end


def _centres(pixels: slice) -> Points:
    return point_from_index(np.arange(pixels.start, pixels.stop))


def _on_image(points: Points, width: int, height: int) -> Mask:
    x, y = points[..., 0], points[..., 1]
    inside: Mask = (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
    return inside


def _remap_into(values: Image, image: Image, index: Points, flag: int) -> None:
    """cv2.remap of a part of the image that is small enough for it, else of two halves of the output.

    index : (rows, cols, 2), xy, centre-based px; positions outside the image may get any value.
    """
    height, width = image.shape[:2]
    index = np.clip(index, -1, (width, height))
    crop = _around(index, 1.0).intersection(Size(width, height).box)
    if max(*index.shape[:2], crop.width, crop.height) > LARGEST_SIDE:
        axis = int(np.argmax(index.shape[:2]))
        halves = zip(np.array_split(values, 2, axis), np.array_split(index, 2, axis), strict=True)
        for half_values, half_index in halves:
            _remap_into(half_values, image, half_index, flag)
        return
    rounded = np.rint(index * _STEPS_PER_PX) / _STEPS_PER_PX - (crop.x, crop.y)
    part = image[crop.y : crop.bottom, crop.x : crop.right]
    x, y = (rounded[..., axis].astype(np.float32) for axis in (0, 1))
    remapped = np.asarray(cv2.remap(part, x, y, flag, borderMode=cv2.BORDER_REPLICATE))
    values[...] = remapped.reshape(values.shape)


def _around(points: Points, downsample: float) -> Box:
    """Whole px at `downsample` around all `points` (..., 2), with what interpolation needs beside them."""
    x, y = points[..., 0], points[..., 1]
    left, top = (math.floor(axis.min() / downsample) - _MARGIN for axis in (x, y))
    right, bottom = (math.ceil(axis.max() / downsample) + _MARGIN + 1 for axis in (x, y))
    return Box(left, top, right - left, bottom - top)
