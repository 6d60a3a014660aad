"""Any slide seen turned, mirrored, cut, bent and stained otherwise, by a transform that is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from registration.engine.geometry import Box, Frame, Points, Size, point_from_index
from registration.engine.matrices import scaling, shift, turn
from registration.engine.resample import moving_downsample, sample
from registration.engine.source import Mask, PixelSource, Rgb
from registration.engine.synthetic.looks import Look
from registration.engine.synthetic.noise import smooth_noise, steepest
from registration.engine.synthetic.source import ArraySource
from registration.engine.transforms import AffineTransform, DisplacementField, Transform

#: Steepest slope of a field that is made: well below 1, where it would fold.
STEEPEST = 0.7
#: Field nodes to a bend.
_NODES = 6
#: Px a side of the pattern of noise that is repeated.
_PATTERN = 512
#: Rows that are made at a time.
_STRIP = 128


@dataclass(frozen=True)
class Filling:
    """What a scanner or canvas shows where there is no scene. noise : sigma, grey values at level 0."""

    colour: tuple[int, int, int] = (255, 255, 255)
    noise: float = 0.0
    seed: int = 0

    def pixels(self, column: int, row: int, columns: int, rows: int, downsample: float) -> Rgb:
        """(rows, columns, 3) uint8 from output px (column, row) on; a pixel depends on its place alone."""
        if not self.noise:
            return np.full((rows, columns, 3), self.colour, np.uint8)
        pattern = _grain(self.seed, self.colour, self.noise / max(1.0, downsample))
        down, across = (np.arange(n) % _PATTERN for n in (rows, columns))
        return pattern[np.ix_((row + down) % _PATTERN, (column + across) % _PATTERN)]


@lru_cache(maxsize=4)
def _grain(seed: int, colour: tuple[int, int, int], sigma: float) -> Rgb:
    grain = np.random.default_rng((seed, 31)).normal(0, sigma, (_PATTERN, _PATTERN, 3))
    return np.clip(np.rint(np.array(colour) + grain), 0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class WarpedSource:
    """A PixelSource that shows `source` under a transform.

    source_from_shown : takes level-0 px of what is shown to those of `source`; its fixed frame is the slide
    that is shown. look : other stains. filling : what is seen where `source` shows nothing; None: white and
    invalid. window : the part of `source` that is shown, in its level-0 px; None: all of it.
    """

    source: PixelSource
    source_from_shown: Transform
    look: Look | None = None
    filling: Filling | None = None
    window: Box | None = None
    noise: float = 0.0
    seed: int = 0

    @property
    def width(self) -> int:
        return self.size.width

    @property
    def height(self) -> int:
        return self.size.height

    @property
    def size(self) -> Size:
        return self.source_from_shown.fixed.size

    @property
    def um_per_px(self) -> tuple[float, float] | None:
        return self.source_from_shown.fixed.um_per_px

    def read(self, x: float, y: float, columns: int, rows: int, downsample: float) -> tuple[Rgb, Mask]:
        """As PixelSource.read. Reduced reads take 2 x 2 samples, each low-passed by `source`, to a pixel."""
        start = self._whole_px(x, y, columns, rows) if downsample == 1 else None
        if start is not None:
            return self.source.read(*start, columns, rows, 1.0)
        rgb, valid = np.empty((rows, columns, 3), np.uint8), np.empty((rows, columns), np.bool_)
        for top in range(0, rows, _STRIP):
            strip = slice(top, min(rows, top + _STRIP))
            rgb[strip], valid[strip] = self._strip(
                x, y + top * downsample, columns, strip.stop - top, downsample
            )
        return rgb, valid

    def _whole_px(self, x: float, y: float, columns: int, rows: int) -> tuple[float, float] | None:
        """Where to read `source` itself: where its px are shown as they are, and nothing else."""
        if self.look is not None or self.noise or not isinstance(self.source_from_shown, AffineTransform):
            return None
        matrix = self.source_from_shown.matrix
        start = matrix[:2, 2] + (x, y)
        whole = np.array_equal(matrix[:2, :2], np.eye(2)) and np.array_equal(start, np.rint(start))
        window = self.window or Size(self.source.width, self.source.height).box
        read = Box(int(start[0]), int(start[1]), columns, rows)
        on_slide = Box(math.floor(x), math.floor(y), columns, rows).inside(self.size)
        return (
            (float(read.x), float(read.y))
            if whole and on_slide and read.intersection(window) == read
            else None
        )

    def _strip(self, x: float, y: float, columns: int, rows: int, downsample: float) -> tuple[Rgb, Mask]:
        taps = 1 if moving_downsample(self.source_from_shown, downsample) == 1 else 2
        step = downsample / taps
        xs = x + point_from_index(np.arange(columns * taps), step)
        ys = y + point_from_index(np.arange(rows * taps), step)
        rgb, known = self._pull(self.source_from_shown.on_grid(xs, ys), step)
        inside: Mask = np.outer((ys >= 0) & (ys <= self.height), (xs >= 0) & (xs <= self.width))
        known = np.asarray(known & inside, np.bool_)
        if taps > 1:
            share = cv2.resize((known * 255).astype(np.uint8), (columns, rows), interpolation=cv2.INTER_AREA)
            inside = np.asarray(inside[::2, ::2] | inside[1::2, 1::2], np.bool_)
            rgb = np.asarray(cv2.resize(rgb, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
            known = np.asarray(np.asarray(share) > 127, np.bool_)
        corner = math.floor(x / downsample), math.floor(y / downsample)
        return self._finished(rgb, known, inside, corner, downsample)

    def _finished(
        self, rgb: Rgb, known: Mask, inside: Mask, corner: tuple[int, int], downsample: float
    ) -> tuple[Rgb, Mask]:
        shown = self.look(rgb) if self.look and known.any() else rgb
        rows, columns = known.shape
        if self.noise:
            camera = Filling((128, 128, 128), self.noise, self.seed + 1)
            grain = camera.pixels(*corner, columns, rows, downsample)
            shown = np.asarray(cv2.addWeighted(shown, 1, grain, 1, -128), np.uint8)
        if known.all():
            return shown, known
        shown[~known] = 255
        if self.filling is None:
            return shown, known
        empty = inside & ~known
        shown[empty] = self.filling.pixels(*corner, columns, rows, downsample)[empty]
        return shown, inside

    def _pull(self, points: Points, step: float) -> tuple[Rgb, Mask]:
        """The source at `points` (rows, cols, 2), its level-0 px, which lie `step` shown px apart."""
        window = self.window or Size(self.source.width, self.source.height).box
        scale = moving_downsample(self.source_from_shown, step)
        px, py = points[..., 0], points[..., 1]
        on_it: Mask = (px >= window.x) & (px <= window.right) & (py >= window.y) & (py <= window.bottom)
        rgb = np.full((*points.shape[:2], 3), 255, np.uint8)
        if not on_it.any():
            return rgb, on_it
        wanted = points[on_it]
        first = np.floor(wanted.min(axis=0) / scale).astype(int) - 3
        last = np.ceil(wanted.max(axis=0) / scale).astype(int) + 3
        columns, rows = (last - first).tolist()
        part, valid = self.source.read(first[0] * scale, first[1] * scale, columns, rows, scale)
        local = points / scale - first
        np.copyto(rgb, sample(part, local)[0], where=on_it[..., None])
        if valid.all():
            return rgb, on_it
        known, _ = sample(valid.astype(np.uint8), local, "nearest", fill=0)
        return rgb, on_it & (known > 0)


def placed(
    source: PixelSource,
    size: Size,
    *,
    centre: tuple[float, float] | None = None,
    degrees: float = 0.0,
    mirrored: bool = False,
    scale: float = 1.0,
    um_per_px: tuple[float, float] | None = None,
    name: str = "moving",
) -> AffineTransform:
    """source_from_shown for a slide of `size` px whose middle shows `centre` of the source.

    name : of the slide's frame. centre : source level-0 px, its middle if None. degrees : clockwise as seen,
    after mirroring (left-right).
    scale : shown px per source px.
    """
    x, y = centre or (source.width / 2, source.height / 2)
    matrix = shift(size.width / 2, size.height / 2) @ scaling(scale) @ turn(degrees, mirrored) @ shift(-x, -y)
    shown = Frame(name, size, um_per_px)
    return AffineTransform(np.linalg.inv(matrix), shown, frame_of(source, name))


def frame_of(source: PixelSource, name: str) -> Frame:
    return Frame(name, Size(source.width, source.height), source.um_per_px)


def turned_size(size: Size, degrees: float, scale: float = 1.0) -> Size:
    """The smallest slide that holds the whole of a turned and scaled one."""
    width, height = np.abs(turn(degrees)[:2, :2]) @ (size.width, size.height) * scale
    return Size(math.ceil(width), math.ceil(height))


def smooth_field(frame: Frame, seed: int, largest: float, bend: float) -> DisplacementField:
    """A random field that shifts by `largest` px at most and turns round every `bend` px or so.

    largest, bend : level-0 px of `frame`. Raises ValueError where it would be steeper than STEEPEST.
    """
    rng = np.random.default_rng((seed, 53))
    spacing = bend / _NODES
    columns, rows = (math.ceil(side / spacing) + 2 for side in (frame.size.width, frame.size.height))
    side = max(columns, rows)
    cells = max(1, round(side / _NODES) - 3)
    values = np.stack([smooth_noise(rng, side, cells) for _ in range(2)], axis=-1)[:rows, :columns]
    values *= largest / max(1e-9, float(np.hypot(values[..., 0], values[..., 1]).max()))
    if steepest(values, spacing) > STEEPEST:
        raise ValueError(f"a field of {largest} px that bends every {bend} px would nearly fold")
    return DisplacementField(values, (-spacing / 2, -spacing / 2), (spacing, spacing), frame)


@dataclass(frozen=True, eq=False)
class ArrayIn(ArraySource):
    """An ArraySource of which only `shown` (height, width) is valid."""

    shown: Mask | None = None

    def read(self, x: float, y: float, columns: int, rows: int, downsample: float) -> tuple[Rgb, Mask]:
        rgb, valid = super().read(x, y, columns, rows, downsample)
        if self.shown is None or self.shown.all():
            return rgb, valid
        xs, ys = (
            start + point_from_index(np.arange(n), downsample) for start, n in ((x, columns), (y, rows))
        )
        points = np.stack(np.meshgrid(xs, ys), axis=-1)
        known, _ = sample(self.shown.astype(np.uint8), points, "nearest", fill=0)
        return rgb, valid & (known > 0)


def developed(
    source: PixelSource, *, blur: float = 0.0, noise: float = 0.0, jpeg: int | None = None, seed: int = 0
) -> ArrayIn:
    """The whole of a (small) slide at level 0, as a camera and a file format leave it.

    blur : sigma, px. noise : sigma, grey values. jpeg : quality, chroma subsampled 2 x 2.
    """
    rgb, valid = source.read(0, 0, source.width, source.height, 1.0)
    if blur:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), blur), np.uint8)
    if noise:
        grain = _grain(seed, (128, 128, 128), noise)
        times = [-(-side // _PATTERN) for side in rgb.shape[:2]]
        everywhere = np.tile(grain, (*times, 1))[: rgb.shape[0], : rgb.shape[1]]
        rgb = np.asarray(cv2.addWeighted(rgb, 1, everywhere, 1, -128), np.uint8)
    if jpeg is not None:
        _, code = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, jpeg])
        decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
        assert decoded is not None  # noqa: S101 - it was encoded a line above
        rgb = np.ascontiguousarray(decoded[..., ::-1], np.uint8)
    return ArrayIn(rgb, source.um_per_px, valid)
