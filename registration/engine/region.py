"""The pixels of a region for the level-0 stage: two hematoxylin images, each in its own frame, no more."""

from __future__ import annotations

import math
import mmap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.counterstain import Counterstain, counterstain, hematoxylin_beside
from registration.engine.geometry import Box, Points, Size, point_from_index
from registration.engine.localstart import LocalStart
from registration.engine.matrices import Matrix, apply, scaling, shift
from registration.engine.nonrigid import Grid, Nodes
from registration.engine.resample import lattice, moving_downsample, sample, sample_lattice
from registration.engine.source import PixelSource
from registration.engine.stages import Tick, no_tick
from registration.engine.stains import Channel
from registration.engine.tissue import tissue_mask
from registration.engine.workingscale import WorkingScale

#: The moving image is held this much wider on each side (working px): shifts up to it can be followed.
MARGIN = 128
COARSEST = 8
#: px at 1 / COARSEST.
_RIM = 4
#: px between the points at which a warp is computed; in between it is linear.
_LATTICE = 16
#: px a side that are read, warped or halved at a time, each of which needs many times that for a while.
_BLOCK = 512
_THREADS = 2

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Region:
    """box : fixed level-0 px. start : where the level-0 stage begins. fixed : (h, w) uint8 hematoxylin at the
    working scale. moving : the same of the moving slide, in its own frame, at about the same scale. to_moving
    : (3, 3), working px from the box's corner to px of `moving`, both corner-based, without the start's
    field. valid, tissue, fixed_tissue : (h / 8, w / 8) float32, 1 where both slides have pixels, where both
    show tissue, and where the fixed one does.
    """

    box: Box
    scale: WorkingScale
    start: LocalStart
    fixed: Channel
    moving: Channel
    to_moving: Matrix
    valid: Plane
    tissue: Plane
    fixed_tissue: Plane

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

    def started(self, points: Points) -> Points:
        """The displacement that the start's field gives `points` (N, 2), working px from the corner."""
        scale = self.scale.downsample
        return self.start.shift(points * scale + (self.box.x, self.box.y)) / scale

    def tissue_in(self, box: Box) -> float:
        """Share of `box` (fixed level-0 px) that shows tissue in the fixed slide; a rim, into which the blur
        of the mask carries what lies around, is left out where there is room.
        """
        unit = self.scale.downsample * COARSEST
        rows, columns = self.fixed_tissue.shape
        top, bottom = _without_rim(box.y - self.box.y, box.bottom - self.box.y, unit, rows)
        left, right = _without_rim(box.x - self.box.x, box.right - self.box.x, unit, columns)
        return float(self.fixed_tissue[top:bottom, left:right].mean())


def _without_rim(start: int, stop: int, unit: int, limit: int) -> tuple[int, int]:
    """From px to px of the small plane."""
    first, last = start // unit, -(-stop // unit)
    rim = _RIM if last - first > 4 * _RIM else 0
    first = min(first + rim, limit - 1)
    return first, max(first + 1, last - rim)


def read_region(
    fixed: PixelSource,
    moving: PixelSource,
    start: LocalStart,
    box: Box,
    scale: WorkingScale,
    tick: Tick = no_tick,
) -> Region:
    """Both slides' hematoxylin over `box`, read block by block, each slide in its own frame.

    box : fixed level-0 px, its corner a multiple of the scale's downsample.
    """
    unit = scale.downsample
    work = Box(box.x // unit, box.y // unit, max(1, box.width // unit), max(1, box.height // unit))
    downsample = moving_downsample(start.affine, unit)
    to_moving = scaling(1 / downsample) @ start.affine.matrix @ scaling(unit)
    moving_size = Size(math.ceil(moving.width / downsample), math.ceil(moving.height / downsample))
    margin = MARGIN + math.ceil(start.reach / unit)
    twin = _twin(work, to_moving, moving_size, margin)
    needed = [block for block in _blocks(twin) if _near(block, work, to_moving, margin)]
    fixed_part, moving_part = (
        _Canvas.empty(part.size, counterstain(source)) for part, source in ((work, fixed), (twin, moving))
    )
    reads = [partial(fixed_part.read, fixed, work, block, unit) for block in _blocks(work)]
    reads += [partial(moving_part.read, moving, twin, block, downsample) for block in needed]
    with ThreadPoolExecutor(_THREADS) as pool:
        for done, _ in enumerate(pool.map(lambda read: read(), reads), start=1):
            tick(done / len(reads))
    region = Region(
        box=box,
        scale=scale,
        start=start,
        fixed=fixed_part.channel,
        moving=moving_part.channel,
        to_moving=shift(-twin.x, -twin.y) @ to_moving @ shift(work.x, work.y),
        valid=fixed_part.valid,
        tissue=fixed_part.tissue,
        fixed_tissue=fixed_part.tissue,
    )
    where = _small_points(region)
    valid, tissue = (sample(plane, where, fill=0)[0] for plane in (moving_part.valid, moving_part.tissue))
    return replace(region, valid=fixed_part.valid * valid, tissue=fixed_part.tissue * tissue)


def _small_points(region: Region) -> Points:
    """(h / 8, w / 8, 2): where the moving slide's small planes show what the fixed slide's do."""
    rows, columns = region.fixed_tissue.shape
    xs, ys = (point_from_index(np.arange(count), COARSEST) for count in (columns, rows))
    points = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    mapped = apply(region.to_moving, points + region.started(points)) / COARSEST
    return mapped.reshape(rows, columns, 2)


def warped(
    region: Region,
    grid: Grid,
    nodes: Nodes,
    downsample: int,
    size: tuple[int, int],
    corner: tuple[int, int] = (0, 0),
) -> Channel:
    """The moving image at `downsample` pulled through the field: `size` (rows, cols) px from `corner` (x, y)
    on, px of the fixed image at `downsample`.
    """
    rows, columns = size
    image = region.moving_at(downsample)
    out = np.empty((rows, columns), np.uint8)

    def work(block: tuple[int, int]) -> None:
        part = tuple(slice(at, min(at + _BLOCK, end)) for at, end in zip(block, size, strict=True))
        ys, xs = (
            (lattice(s.start, s.stop, _LATTICE) + first) * downsample
            for s, first in zip(part, corner[::-1], strict=True)
        )
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
    valid: Plane
    tissue: Plane
    beside: Counterstain

    @classmethod
    def empty(cls, size: Size, beside: Counterstain) -> _Canvas:
        small = (-(-size.height // COARSEST), -(-size.width // COARSEST))
        channel = _zeros(size.height, size.width)
        return cls(channel, np.zeros(small, np.float32), np.zeros(small, np.float32), beside)

    def read(self, source: PixelSource, box: Box, block: Box, downsample: float) -> None:
        """box : what the canvas shows, block : a part of it; px at `downsample`."""
        rgb, valid = source.read(
            block.x * downsample, block.y * downsample, block.width, block.height, downsample
        )
        x, y = block.x - box.x, block.y - box.y
        self.channel[y : y + block.height, x : x + block.width] = hematoxylin_beside(rgb, self.beside)
        size = (-(-block.width // COARSEST), -(-block.height // COARSEST))
        top, left = y // COARSEST, x // COARSEST
        part = (slice(top, top + size[1]), slice(left, left + size[0]))
        small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        self.valid[part] = cv2.resize(valid.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        self.tissue[part] = tissue_mask(small, self.valid[part] > 0.5)


def _twin(box: Box, to_moving: Matrix, size: Size, margin: int) -> Box:
    """The px of the moving slide that the region and `margin` around it can need; at least one.

    box : working px. to_moving : from those to px of the moving slide. size : of that slide, in its px.
    """
    around = Box(box.x - margin, box.y - margin, box.width + 2 * margin, box.height + 2 * margin)
    corners = apply(to_moving, around.corners())
    x, y = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    twin = Box(int(x), int(y), int(right - x), int(bottom - y)).intersection(size.box)
    return Box(
        min(twin.x, size.width - 1), min(twin.y, size.height - 1), max(1, twin.width), max(1, twin.height)
    )


def _near(block: Box, box: Box, to_moving: Matrix, margin: int) -> bool:
    """Whether a block of the moving slide can be needed for `box` and `margin` around it."""
    corners = apply(np.asarray(np.linalg.inv(to_moving), np.float64), block.corners())
    left, top = corners.min(axis=0)
    right, bottom = corners.max(axis=0)
    across = left < box.right + margin and right > box.x - margin
    return bool(across and top < box.bottom + margin and bottom > box.y - margin)


def _blocks(box: Box) -> list[Box]:
    return [
        Box(x, y, min(_BLOCK, box.right - x), min(_BLOCK, box.bottom - y))
        for y, x in product(range(box.y, box.bottom, _BLOCK), range(box.x, box.right, _BLOCK))
    ]


def _pyramid(image: Channel) -> dict[int, Channel]:
    """The image halved again and again, by downsample."""
    levels = {1: image}
    while max(levels) < COARSEST:
        levels[2 * max(levels)] = _halved(levels[max(levels)])
    return levels


def _halved(image: Channel) -> Channel:
    """Block by block; those that hold nothing are left out, see _zeros."""
    out = _zeros(*(max(1, side // 2) for side in image.shape))
    for y, x in product(*(range(0, side, _BLOCK) for side in out.shape)):
        part = out[y : y + _BLOCK, x : x + _BLOCK]
        whole = image[2 * y : 2 * (y + part.shape[0]), 2 * x : 2 * (x + part.shape[1])]
        if whole.any():
            part[:] = cv2.resize(whole, part.shape[::-1], interpolation=cv2.INTER_AREA)
    return out


def _zeros(rows: int, columns: int) -> Channel:
    """Zeros that take memory only where something is written, page by page (numpy's come in huge pages): of
    a slide that is turned against the other, half of the box around the region is not needed.
    """
    memory = mmap.mmap(-1, rows * columns, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(memory, np.uint8).reshape(rows, columns)
