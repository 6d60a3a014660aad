"""Pairs of pictures in memory, as clean or as damaged as one asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Frame, Points, Size, point_from_index
from registration.engine.matrices import scaling, shift, turn
from registration.engine.resample import sample
from registration.engine.source import Mask, Rgb
from registration.engine.synthetic.defects import NONE, Damage, Defects, damage, folded, smudged, without
from registration.engine.synthetic.painter import Painter
from registration.engine.synthetic.phantom import make_truth
from registration.engine.synthetic.scene import CELL, Scene, make_scene
from registration.engine.synthetic.source import ArraySource
from registration.engine.synthetic.stain import HE, IHC, Stain
from registration.engine.transforms import AffineTransform, Transform

#: Width of the place for control tissue, per side of the section.
_BESIDE = 0.45
#: Where control tissue is darker than this it is seen.
_GLASS = 228


@dataclass(frozen=True)
class PhantomSpec:
    """A pair of sections. The H&E is the fixed slide, size x size level-0 px; the IHC is the moving one.

    rotation : degrees about the middle, clockwise as seen, after `mirror` (left-right). scale : moving px per
    fixed px; the moving image is size * scale px a side. shift : moving px. field_px : largest shift by the
    smooth field. um_per_px : of both, or None (lengths in um then count 0.25 um to a px); moving_um_per_px :
    of the IHC where it is another. unrelated : the IHC shows other tissue. consecutive : the next section:
    the same glands, a little changed, and other nuclei. blank : the IHC is empty glass. control : a piece of
    other tissue lies beside the section on the IHC. strength : of each of the IHC's stains (eosin-like,
    hematoxylin, DAB).
    """

    size: int = 1024
    seed: int = 7
    rotation: float = 25.0
    mirror: bool = False
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    field_px: float = 3.0
    um_per_px: float | None = 0.25
    moving_um_per_px: float | None = None
    unrelated: bool = False
    consecutive: bool = False
    blank: bool = False
    control: bool = False
    strength: tuple[float, float, float] = (1.0, 1.0, 1.0)
    he_defects: Defects = NONE
    ihc_defects: Defects = NONE


@dataclass(frozen=True)
class PhantomArrays:
    """A pair in memory. he is the fixed image. truth : moving_from_fixed. nuclei : (n, 2) on the H&E.

    points : (n, 2) on the H&E, regularly spaced: tissue that both slides show undamaged.
    """

    he: ArraySource
    ihc: ArraySource
    truth: Transform
    nuclei: NDArray[np.float64]
    points: NDArray[np.float64]


def phantom_arrays(size: int = 1024, seed: int = 7, **options: Any) -> PhantomArrays:
    """A clean pair about size x size px. options : of PhantomSpec."""
    return make_phantom(PhantomSpec(size, seed, **options))


def make_phantom(spec: PhantomSpec) -> PhantomArrays:
    """The same spec gives the same bytes."""
    beside = round(_BESIDE * spec.size * spec.scale) if spec.control else 0
    straight = make_truth(
        spec.size,
        spec.seed,
        spec.rotation,
        spec.mirror,
        spec.scale,
        spec.shift,
        spec.field_px,
        spec.um_per_px,
        spec.moving_um_per_px,
        beside,
    )
    um = spec.um_per_px or 0.25
    scene = make_scene(spec.size, spec.seed)
    here = damage(scene, straight.fixed, spec.he_defects, um, spec.seed)
    there = damage(scene, straight.fixed, spec.ihc_defects, um, spec.seed + 1)
    he_from_scene = _moved(AffineTransform.identity(straight.fixed), here)
    ihc_from_scene = _moved(straight, there)
    painter = Painter(without(scene, here.lost), he_from_scene, HE, spec.seed)
    he, he_seen = _pictured(painter, here, he_from_scene, spec.he_defects, um, spec.seed)
    painter = Painter(without(_shown(spec, scene), there.lost), ihc_from_scene, _stain(spec), spec.seed)
    moving_um = spec.moving_um_per_px or um
    ihc, ihc_seen = _pictured(painter, there, ihc_from_scene, spec.ihc_defects, moving_um, spec.seed + 1)
    if beside:
        ihc = _with_control(ihc, spec, ihc_from_scene.moving, beside)
    truth = ihc_from_scene if spec.he_defects == NONE else ihc_from_scene @ he_from_scene.inverse()
    return PhantomArrays(
        ArraySource(he, truth.fixed.um_per_px),
        ArraySource(ihc, truth.moving.um_per_px),
        truth,
        he_from_scene(scene.nuclei.centre),
        _comparable(scene, (here, there), he_from_scene, truth, (he_seen, ihc_seen)),
    )


def _moved(straight: Transform, damage: Damage) -> Transform:
    return straight @ damage.field if damage.field.values.any() else straight


def _shown(spec: PhantomSpec, scene: Scene) -> Scene:
    """What the second slide shows."""
    if spec.blank:
        return Scene.empty(spec.size)
    if spec.consecutive:
        return make_scene(spec.size, spec.seed, nuclei_seed=spec.seed + 1)
    return make_scene(spec.size, spec.seed + 1000) if spec.unrelated else scene


def _stain(spec: PhantomSpec) -> Stain:
    if spec.strength == (1.0, 1.0, 1.0):
        return IHC
    layers = zip(IHC.absorption, spec.strength, strict=True)
    changed = tuple((r * by, g * by, b * by) for (r, g, b), by in layers)
    return replace(IHC, absorption=changed)


def _pictured(
    painter: Painter, harm: Damage, from_scene: Transform, defects: Defects, um: float, seed: int
) -> tuple[Rgb, Mask]:
    """The slide as scanned, and where it can be seen."""
    rgb = painter.whole()
    if harm.dark.any():
        rgb = folded(rgb, _on_slide(harm.dark, from_scene))
    return smudged(rgb, defects, um, seed) if defects != NONE else (rgb, np.ones(rgb.shape[:2], np.bool_))


def _on_slide(plane: NDArray[np.float32], from_scene: Transform) -> NDArray[np.float32]:
    """A plane at 1 / CELL of the scene as every px of the slide sees it."""
    size = from_scene.moving.size
    xs, ys = (point_from_index(np.arange(-1, side // CELL + 2), CELL) for side in (size.width, size.height))
    pulled, _ = sample(plane, from_scene.inverse().on_grid(xs, ys) / CELL, fill=0)
    enlarged = cv2.resize(pulled, None, fx=CELL, fy=CELL, interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, np.float32)[CELL : CELL + size.height, CELL : CELL + size.width]


def _with_control(rgb: Rgb, spec: PhantomSpec, moving: Frame, beside: int) -> Rgb:
    """Other tissue at the right of the section."""
    side = max(256, round(0.8 * spec.size * _BESIDE))
    scene = make_scene(side, spec.seed + 500)
    middle = moving.size.width - beside / 2, moving.size.height / 2
    matrix = shift(*middle) @ scaling(spec.scale) @ turn(40.0) @ shift(-side / 2, -side / 2)
    control_from_scene = AffineTransform(matrix, Frame("fixed", Size(side, side), None), moving)
    control = Painter(scene, control_from_scene, _stain(spec), spec.seed).whole()
    seen = control.min(axis=-1, keepdims=True) < _GLASS
    return np.where(seen, np.minimum(rgb, control), rgb)


def _comparable(
    scene: Scene,
    harms: tuple[Damage, Damage],
    he_from_scene: Transform,
    truth: Transform,
    seen: tuple[Mask, Mask],
) -> Points:
    """(n, 2) on the H&E: every 4th cell of the tissue that is whole and seen on both slides."""
    mask = (scene.soft[..., 0] > 20) & harms[0].intact & harms[1].intact
    row, column = np.nonzero(mask[2::4, 2::4])
    inner = point_from_index(np.stack((column, row), axis=-1) * 4 + 2, CELL)
    points = he_from_scene(inner)
    both = _seen(points, seen[0]) & _seen(truth(points), seen[1])
    chosen: Points = points[both]
    return chosen


def _seen(points: Points, mask: Mask) -> Mask:
    column, row = np.floor(points).astype(int).T
    rows, columns = mask.shape
    inside = (column >= 0) & (row >= 0) & (column < columns) & (row < rows)
    return np.asarray(inside & mask[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)], np.bool_)
