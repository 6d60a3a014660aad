"""Drawing a scene as one stain shows it, on a slide that a transform places."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Box, Points, Size, point_from_index
from registration.engine.resample import sample
from registration.engine.source import Rgb
from registration.engine.synthetic.noise import smooth_noise
from registration.engine.synthetic.scene import (
    CELL,
    EPITHELIAL,
    FIBRE,
    LYMPHOCYTE,
    SPINDLE,
    Bytes,
    Scene,
)
from registration.engine.synthetic.sprites import SpriteSheet, make_sheet
from registration.engine.synthetic.stain import Stain
from registration.engine.transforms import Transform

#: Slides are drawn in blocks of this many px on a fixed grid.
BLOCK = 1024
_KINDS = (EPITHELIAL, SPINDLE, LYMPHOCYTE, FIBRE)


@dataclass(frozen=True)
class _Stamps:
    """Marks of one kind and layer on the drawn slide. places : (n, 2); stamps : (left, top, image).

    adds : they add to what is there (fibres) instead of covering it (nuclei).
    """

    layer: int
    sheet: SpriteSheet
    adds: bool
    places: Points
    stamps: list[tuple[int, int, int]]


class Painter:
    """Draws any block of a stained slide; every pixel is a function of its position.

    slide_from_scene : takes the scene's points to the slide that is drawn.
    """

    def __init__(self, scene: Scene, slide_from_scene: Transform, stain: Stain, seed: int) -> None:
        self.size: Size = slide_from_scene.moving.size
        self._scene = scene
        self._scene_from_slide = slide_from_scene.inverse()
        self._stain = stain
        self._stamps = _all_stamps(scene, slide_from_scene, stain)
        # Drawn around each block and cut off again: as far as a sprite or the blur reaches.
        self._margin = -(-(max(group.sheet.side for group in self._stamps) + 8) // CELL) * CELL
        rng = np.random.default_rng((seed, stain.number))
        self._shade = _shade(rng)
        self._noise = rng.normal(128, stain.noise, (BLOCK, BLOCK, 3)).clip(0, 255).astype(np.uint8)

    def block(self, column: int, row: int) -> Rgb:
        """(rows, cols, 3) uint8: the block, cut to the slide."""
        box = Box(column * BLOCK, row * BLOCK, BLOCK, BLOCK)
        sharp = self._stain.colour(self._layers(box))
        margin = self._margin
        blurred = cv2.GaussianBlur(sharp, (0, 0), self._stain.blur)[margin:-margin, margin:-margin]
        shaded = cv2.multiply(blurred, self._shade_of(box), scale=1 / 255)
        noisy = cv2.addWeighted(shaded, 1, self._noise, 1, -128)
        inside = box.intersection(self.size.box)
        return np.asarray(noisy, dtype=np.uint8)[: inside.height, : inside.width]

    def whole(self) -> Rgb:
        """The whole slide at once, for small ones."""
        rows = (
            np.concatenate(
                [self.block(column, row) for column in range(-(-self.size.width // BLOCK))], axis=1
            )
            for row in range(-(-self.size.height // BLOCK))
        )
        return np.concatenate(list(rows), axis=0)

    def _layers(self, box: Box) -> list[Bytes]:
        """Densities of the stains in the block and the margin around it."""
        soft = self._soft(box)
        layers = [np.ascontiguousarray(soft[..., number]) for number in range(soft.shape[2])]
        for group in self._stamps:
            _stamp(layers[group.layer], group, box.x - self._margin, box.y - self._margin)
        return layers

    def _soft(self, box: Box) -> Bytes:
        """The scene's soft planes, pulled at every CELL px and enlarged."""
        index = np.arange(-1, (BLOCK + 2 * self._margin) // CELL + 1)
        xs = box.x - self._margin + point_from_index(index, CELL)
        ys = box.y - self._margin + point_from_index(index, CELL)
        points = self._scene_from_slide.on_grid(xs, ys)
        pulled, _ = sample(self._scene.soft, points / CELL, fill=0)
        enlarged = cv2.resize(pulled, None, fx=CELL, fy=CELL, interpolation=cv2.INTER_LINEAR)
        return np.asarray(enlarged, dtype=np.uint8)[CELL:-CELL, CELL:-CELL]

    def _shade_of(self, box: Box) -> Rgb:
        """Uneven light: a slow change of brightness and tint over the slide."""
        index = np.arange(-1, BLOCK // 64 + 1)
        xs, ys = box.x + point_from_index(index, 64), box.y + point_from_index(index, 64)
        side = max(self.size.width, self.size.height)
        points = np.stack(np.meshgrid(xs, ys), axis=-1) / side * (len(self._shade) - 1)
        shade, _ = sample(self._shade, points.clip(0.5, len(self._shade) - 0.5))
        light = shade * np.array(self._stain.glass, dtype=np.float32)
        full = cv2.resize(light, None, fx=64, fy=64, interpolation=cv2.INTER_LINEAR)[64:-64, 64:-64]
        return np.asarray(full, dtype=np.float32).astype(np.uint8)


def _all_stamps(scene: Scene, slide_from_scene: Transform, stain: Stain) -> list[_Stamps]:
    (a, b), (c, d) = _linear_part(slide_from_scene).tolist()
    sheets = {kind: make_sheet(kind, ((a, b), (c, d))) for kind in _KINDS}
    everything = scene.nuclei.join(scene.fibres)
    order = np.arange(len(everything.kind))
    places = slide_from_scene(everything.centre)
    groups = []
    for kind in _KINDS:
        for positive in (False, True):
            chosen = (everything.kind == kind) & (everything.positive == positive)
            layer = stain.layer_of(kind, positive)
            stamps = sheets[kind].stamps(everything.where(chosen), places[chosen], order[chosen])
            groups.append(_Stamps(layer, sheets[kind], kind == FIBRE, places[chosen], stamps))
    return groups


def _linear_part(transform: Transform) -> NDArray[np.float64]:
    """(2, 2): how the transform takes offsets, over the whole frame."""
    width, height = transform.fixed.size.width, transform.fixed.size.height
    left, right, top, bottom = transform(
        np.array([(0, height / 2), (width, height / 2), (width / 2, 0), (width / 2, height)])
    )
    return np.stack(((right - left) / width, (bottom - top) / height), axis=-1)


def _stamp(layer: Bytes, group: _Stamps, left: int, top: int) -> None:
    """Put a group's sprites on a layer that starts at (left, top) of the slide; the order does not matter."""
    side, images = group.sheet.side, group.sheet.images
    reach = side // 2 + 1
    first = (left + reach, top + reach)
    last = (left + layer.shape[1] - reach, top + layer.shape[0] - reach)
    wanted = ((group.places >= first) & (group.places < last)).all(axis=1)
    for index in np.flatnonzero(wanted).tolist():
        x, y, image = group.stamps[index]
        under = layer[y - top : y - top + side, x - left : x - left + side]
        under[...] = cv2.add(under, images[image]) if group.adds else cv2.max(under, images[image])


def _shade(rng: np.random.Generator) -> NDArray[np.float32]:
    noise = np.stack([smooth_noise(rng, 64, 3) for _ in range(3)], axis=-1)
    common = noise.mean(axis=-1, keepdims=True)
    shade: NDArray[np.float32] = np.clip(1 - 0.012 + 0.008 * common + 0.003 * noise, 0.9, 1.0).astype(
        np.float32
    )
    return shade
