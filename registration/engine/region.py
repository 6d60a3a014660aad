"""The pixels of a region for the level-0 stage: two hematoxylin images, each in its own frame, no more."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Box, Size
from registration.engine.matrices import Matrix, apply, between_scales, scaling, shift
from registration.engine.nonrigid import Grid, Nodes
from registration.engine.resample import lattice, moving_downsample, sample_lattice, warp_array
from registration.engine.source import PixelSource
from registration.engine.stains import Channel, hematoxylin
from registration.engine.tissue import tissue_mask
from registration.engine.transforms import AffineTransform

#: The moving image is held this much wider on each side (px at level 0): shifts up to it can be followed.
MARGIN = 128
COARSEST = 8
#: px between the points at which a warp is computed; in between it is linear.
_LATTICE = 16
_BLOCK = 1024
_THREADS = 2


@dataclass(frozen=True)
class Region:
    """box : fixed level-0 px. fixed : (h, w) uint8 hematoxylin. moving : the same of the moving slide, in its
    own frame. to_moving : (3, 3), px from the box's corner to px of `moving`, both corner-based. valid,
    tissue, fixed_tissue : (h / 8, w / 8) float32, 1 where both slides have pixels, where both show tissue,
    and where the fixed one does.
    """

    box: Box
    fixed: Channel
    moving: Channel
    to_moving: Matrix
    valid: NDArray[np.float32]
    tissue: NDArray[np.float32]
    fixed_tissue: NDArray[np.float32]

    @cached_property
    def _fixed_pyramid(self) -> dict[int, Channel]:
        return _pyramid(self.fixed)

    @cached_property
    def _moving_pyramid(self) -> dict[int, Channel]:
        return _pyramid(self.moving)

    def fixed_at(self, downsample: int) -> Channel:
        """downsample : a power of 2 up to COARSEST."""
        return self._fixed_pyramid[downsample]

    def moving_at(self, downsample: int) -> Channel:
        """downsample : a power of 2 up to COARSEST."""
        return self._moving_pyramid[downsample]


def read_region(fixed: PixelSource, moving: PixelSource, affine: AffineTransform, box: Box) -> Region:
    """Both slides' hematoxylin over `box`, read block by block, each slide in its own frame."""
    downsample = moving_downsample(affine)
    to_moving = scaling(1 / downsample) @ affine.matrix
    moving_size = Size(math.ceil(moving.width / downsample), math.ceil(moving.height / downsample))
    twin = _twin(box, to_moving, moving_size)
    needed = [block for block in _blocks(twin) if _near(block, box, to_moving)]
    fixed_part, moving_part = _Canvas.empty(box.size), _Canvas.empty(twin.size)
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda block: fixed_part.read(fixed, box, block, 1.0), _blocks(box)))
        list(pool.map(lambda block: moving_part.read(moving, twin, block, downsample), needed))
    local = shift(-twin.x, -twin.y) @ to_moving @ shift(box.x, box.y)
    small = between_scales(local, 1 / COARSEST, 1 / COARSEST)
    size = Size(fixed_part.valid.shape[1], fixed_part.valid.shape[0])
    valid, tissue = (
        warp_array(plane, small, size, fill=0)[0] for plane in (moving_part.valid, moving_part.tissue)
    )
    return Region(
        box,
        fixed_part.channel,
        moving_part.channel,
        local,
        fixed_part.valid * valid,
        fixed_part.tissue * tissue,
        fixed_part.tissue,
    )


def warped(
    region: Region, grid: Grid, nodes: Nodes, downsample: int, size: tuple[int, int], reach: int
) -> Channel:
    """The moving image at `downsample` pulled through the field: `size` (rows, cols), `reach` px around."""
    rows, columns = size[0] + 2 * reach, size[1] + 2 * reach
    image = region.moving_at(downsample)
    out = np.empty((rows, columns), np.uint8)

    def work(corner: tuple[int, int]) -> None:
        part = tuple(
            slice(at, min(at + _BLOCK, end)) for at, end in zip(corner, (rows, columns), strict=True)
        )
        ys, xs = ((lattice(s.start, s.stop, _LATTICE) - reach) * downsample for s in part)
        points = grid.evaluate(nodes, xs, ys) + np.stack(np.meshgrid(xs, ys), axis=-1)
        mapped = apply(region.to_moving, points.reshape(-1, 2)).reshape(points.shape) / downsample
        out[part] = sample_lattice(image, mapped, _LATTICE, out[part].shape)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(work, product(range(0, rows, _BLOCK), range(0, columns, _BLOCK))))
    return out


@dataclass(frozen=True)
class _Canvas:
    """Block by block filled: hematoxylin, and at 1 / COARSEST validity and tissue."""

    channel: Channel
    valid: NDArray[np.float32]
    tissue: NDArray[np.float32]

    @classmethod
    def empty(cls, size: Size) -> _Canvas:
        small = (-(-size.height // COARSEST), -(-size.width // COARSEST))
        channel = np.zeros((size.height, size.width), np.uint8)
        return cls(channel, np.zeros(small, np.float32), np.zeros(small, np.float32))

    def read(self, source: PixelSource, box: Box, block: Box, downsample: float) -> None:
        """box : what the canvas shows, block : a part of it; px at `downsample`."""
        rgb, valid = source.read(
            block.x * downsample, block.y * downsample, block.width, block.height, downsample
        )
        x, y = block.x - box.x, block.y - box.y
        self.channel[y : y + block.height, x : x + block.width] = hematoxylin(rgb)
        size = (-(-block.width // COARSEST), -(-block.height // COARSEST))
        top, left = y // COARSEST, x // COARSEST
        part = (slice(top, top + size[1]), slice(left, left + size[0]))
        small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        self.valid[part] = cv2.resize(valid.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        self.tissue[part] = tissue_mask(small, self.valid[part] > 0.5)


def _twin(box: Box, to_moving: Matrix, size: Size) -> Box:
    """The px of the moving slide that the region and MARGIN around it can need; at least one.

    to_moving : from fixed level-0 px to those px. size : of the moving slide, in those px.
    """
    around = Box(box.x - MARGIN, box.y - MARGIN, box.width + 2 * MARGIN, box.height + 2 * MARGIN)
    corners = apply(to_moving, around.corners())
    x, y = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    twin = Box(int(x), int(y), int(right - x), int(bottom - y)).intersection(size.box)
    return Box(
        min(twin.x, size.width - 1), min(twin.y, size.height - 1), max(1, twin.width), max(1, twin.height)
    )


def _near(block: Box, box: Box, to_moving: Matrix) -> bool:
    """Whether a block of the moving slide can be needed for `box` and MARGIN around it."""
    corners = apply(np.asarray(np.linalg.inv(to_moving), np.float64), block.corners())
    left, top = corners.min(axis=0)
    right, bottom = corners.max(axis=0)
    across = left < box.right + MARGIN and right > box.x - MARGIN
    return bool(across and top < box.bottom + MARGIN and bottom > box.y - MARGIN)


def _blocks(box: Box) -> list[Box]:
    return [
        Box(x, y, min(_BLOCK, box.right - x), min(_BLOCK, box.bottom - y))
        for y, x in product(range(box.y, box.bottom, _BLOCK), range(box.x, box.right, _BLOCK))
    ]


def _pyramid(image: Channel) -> dict[int, Channel]:
    """The image halved again and again, by downsample."""
    levels = {1: image}
    while max(levels) < COARSEST:
        finer = levels[max(levels)]
        rows, columns = (max(1, side // 2) for side in finer.shape)
        whole = finer[: 2 * rows, : 2 * columns]
        halved = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
        levels[2 * max(levels)] = np.asarray(halved, np.uint8)
    return levels
