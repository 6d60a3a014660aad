"""What goes wrong with a section: tears, folds, lost tissue, bubbles, pen. Lengths in um.

Tears and folds move the tissue beside them; the displacement is smooth and can be undone, so the truth stays
a truth. In the middle of a tear and of lost tissue there is glass; a fold is squeezed and dark.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Frame, Points, Size, point_from_index
from registration.engine.source import Mask, Rgb
from registration.engine.synthetic.noise import smooth_noise, steepest, wavy_radius
from registration.engine.synthetic.scene import CELL, Bytes, Scene
from registration.engine.transforms import DisplacementField

_Plane = NDArray[np.float32]
#: Largest change of displacement over its distance, in the middle of a tear or fold.
_SLOPE, _STEEPEST = 0.5, 0.7
_PEN_COLOURS = ((30, 60, 160), (20, 110, 60), (25, 25, 30))


@dataclass(frozen=True)
class Defects:
    """How many of each, and their size in um; all places are random. stain_drift : relative spread of the
    staining's strength over the slide. tear_um, fold_um : how far the sides part or close. pen_um : width.
    """

    tears: int = 0
    tear_um: float = 25.0
    folds: int = 0
    fold_um: float = 18.0
    missing: int = 0
    missing_um: float = 60.0
    bubbles: int = 0
    bubble_um: float = 50.0
    pen: int = 0
    pen_um: float = 25.0
    stain_drift: float = 0.0


NONE = Defects()


@dataclass(frozen=True)
class _Line:
    """Where a tear or fold runs, px of the scene. opens : px; below 0 it closes."""

    middle: NDArray[np.float64]
    along: NDArray[np.float64]
    half_length: float
    opens: float

    @property
    def width(self) -> float:
        """Half the zone that is stretched or squeezed, px."""
        return abs(self.opens) / 2 / _SLOPE

    def profile(self, points: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(distance from the line, strength along it: 1 in the middle, 0 at the ends) at points (..., 2)."""
        away = points - self.middle
        along = away @ self.along / self.half_length
        distance = away @ np.array((-self.along[1], self.along[0]))
        return distance, np.clip(1 - along**2, 0, None) ** 2

    def shift(self, points: Points) -> NDArray[np.float64]:
        """(..., 2): how the tissue moves, px."""
        distance, strength = self.profile(points)
        reach = 0.6 * self.half_length
        size = self.opens / 2 * strength * np.tanh(distance / self.width) * np.exp(-((distance / reach) ** 2))
        return np.asarray(size[..., None] * np.array((-self.along[1], self.along[0])), np.float64)

    def zone(self, points: Points) -> NDArray[np.float64]:
        """(...): 1 on the line, falling to the side of it."""
        distance, strength = self.profile(points)
        near = np.exp(-((distance / (self.width * np.maximum(strength, 0.01))) ** 2))
        return np.asarray(np.where(strength > 0.01, near, 0.0), np.float64)


@dataclass(frozen=True, eq=False)
class Damage:
    """Defects with their places, in the scene's px. lost, dark : (cells, cells) at 1 / CELL: tissue that is
    not there; how much a fold darkens it (0 to 1). field : how the tissue moved.
    """

    lost: Mask
    dark: _Plane
    field: DisplacementField

    @property
    def intact(self) -> Mask:
        """(cells, cells) bool at 1 / CELL: where the other slide can be compared."""
        return ~self.lost & (self.dark < 0.3)


def damage(scene: Scene, frame: Frame, defects: Defects, um_per_px: float, seed: int) -> Damage:
    """Places for tears, folds and lost tissue. frame : of the scene."""
    rng = np.random.default_rng((seed, 91))
    tissue = scene.soft[..., 0] > 20
    tears = [_line(rng, tissue, defects.tear_um / um_per_px) for _ in range(defects.tears)]
    folds = [_line(rng, tissue, -defects.fold_um / um_per_px) for _ in range(defects.folds)]
    points = _cells(tissue.shape[0])
    lost = np.zeros(tissue.shape, np.bool_)
    for line in tears:
        lost |= line.zone(points) > 0.6
    for _ in range(defects.missing):
        lost |= _blot(rng, tissue, defects.missing_um / um_per_px)
    dark = np.zeros(tissue.shape, np.float32)
    for line in folds:
        dark = np.maximum(dark, line.zone(points).astype(np.float32))
    return Damage(lost, dark, _field(tears + folds, frame))


def without(scene: Scene, lost: Mask) -> Scene:
    """The scene with glass where tissue is lost."""
    if not lost.any():
        return scene
    soft = np.where(cv2.blur(lost.astype(np.float32), (3, 3))[..., None] > 0.5, 0, scene.soft)
    return replace(
        scene,
        soft=soft.astype(np.uint8),
        nuclei=scene.nuclei.where(~_at(lost, scene.nuclei.centre)),
        fibres=scene.fibres.where(~_at(lost, scene.fibres.centre)),
    )


def folded(rgb: Rgb, dark: _Plane) -> Rgb:
    """Twice the tissue, twice the density. dark : (rows, cols), 0 to 1."""
    if not dark.any():
        return rgb
    light = np.power(np.maximum(rgb, 1) / np.float32(250), 1 + dark[..., None])
    return np.asarray(np.clip(np.rint(250 * light), 0, 255), np.uint8)


def smudged(rgb: Rgb, defects: Defects, um_per_px: float, seed: int) -> tuple[Rgb, Mask]:
    """Bubbles, pen and uneven staining on a picture. Returns the picture and what is still to be seen."""
    rng = np.random.default_rng((seed, 92))
    intact = np.ones(rgb.shape[:2], np.bool_)
    if defects.stain_drift:
        drift = smooth_noise(rng, max(rgb.shape[:2]), 3)[: rgb.shape[0], : rgb.shape[1]]
        rgb = _stained(rgb, 1 + defects.stain_drift * np.clip(drift, -2, 2))
    for _ in range(defects.bubbles):
        rgb = _bubble(rng, rgb, intact, defects.bubble_um / um_per_px)
    for _ in range(defects.pen):
        rgb = _pen(rng, rgb, intact, defects.pen_um / um_per_px)
    return rgb, intact


def _line(rng: np.random.Generator, tissue: Mask, opens: float) -> _Line:
    cells = tissue.shape[0]
    angle = rng.uniform(0, np.pi)
    half = max(3 * abs(opens), rng.uniform(0.12, 0.2) * cells * CELL)
    return _Line(_place(rng, tissue), np.array((np.cos(angle), np.sin(angle))), half, opens)


def _place(rng: np.random.Generator, tissue: Mask) -> NDArray[np.float64]:
    """A random point of the tissue, px of the scene; the middle where there is none."""
    rows, columns = np.nonzero(tissue)
    if not len(rows):
        return np.full(2, tissue.shape[0] * CELL / 2)
    chosen = int(rng.integers(len(rows)))
    return np.array((columns[chosen], rows[chosen])) * float(CELL)


def _blot(rng: np.random.Generator, tissue: Mask, radius: float) -> Mask:
    """A ragged hole of about `radius` px."""
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    reach = radius * np.clip(1 + 0.2 * wavy_radius(rng, angles, 20), 0.4, 1.8)
    curve = _place(rng, tissue) + reach[:, None] * np.stack((np.cos(angles), np.sin(angles)), axis=-1)
    mask: Bytes = np.zeros(tissue.shape, np.uint8)
    cv2.fillPoly(mask, [np.rint(curve / CELL - 0.5).astype(np.int32)], (1,))
    return mask > 0


def _field(lines: list[_Line], frame: Frame) -> DisplacementField:
    spacing = max(8.0, min((line.width / 4 for line in lines), default=64.0))
    across, down = (np.arange(-spacing, side + 2 * spacing, spacing) for side in _sides(frame.size))
    nodes = np.stack(np.meshgrid(across, down), axis=-1)
    values = sum((line.shift(nodes) for line in lines), start=np.zeros(nodes.shape))
    # Where two lines cross their slopes add up.
    values *= min(1.0, _STEEPEST / max(1e-9, steepest(values, spacing)))
    return DisplacementField(values, (-spacing, -spacing), (spacing, spacing), frame)


def _sides(size: Size) -> tuple[int, int]:
    return size.width, size.height


def _cells(count: int) -> Points:
    at = point_from_index(np.arange(count), CELL)
    return np.stack(np.meshgrid(at, at), axis=-1)


def _at(mask: Mask, points: Points) -> Mask:
    column, row = np.clip(points // CELL, 0, len(mask) - 1).astype(int).T
    return np.asarray(mask[row, column], np.bool_)


def _stained(rgb: Rgb, strength: _Plane) -> Rgb:
    light = np.power(np.maximum(rgb, 1) / np.float32(250), strength.astype(np.float32)[..., None])
    return np.asarray(np.clip(np.rint(250 * light), 0, 255), np.uint8)


def _bubble(rng: np.random.Generator, rgb: Rgb, intact: Mask, radius: float) -> Rgb:
    """A ring that is dark at its edge and bright beside it; blurred within."""
    height, width = rgb.shape[:2]
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    size = radius * rng.uniform(0.6, 1.4)
    columns, rows = point_from_index(np.arange(width)) - x, point_from_index(np.arange(height)) - y
    reach = np.hypot(columns[None], rows[:, None]).astype(np.float32) / np.float32(size)
    edge = np.exp(-(((reach - 1) / 0.05) ** 2))
    glow = np.exp(-(((reach - 0.9) / 0.05) ** 2))
    blurred = cv2.GaussianBlur(rgb, (0, 0), 3.0)
    inside = np.where((reach < 1)[..., None], blurred, rgb).astype(np.float32)
    shown = inside * (1 - 0.75 * edge[..., None]) + 60 * glow[..., None]
    intact &= np.abs(reach - 0.95) > 0.15
    return np.asarray(np.clip(np.rint(shown), 0, 255), np.uint8)


def _pen(rng: np.random.Generator, rgb: Rgb, intact: Mask, thickness: float) -> Rgb:
    """A felt pen's arc over the slide: opaque for the most part."""
    height, width = rgb.shape[:2]
    angles = rng.uniform(0, 2 * np.pi) + np.linspace(0, rng.uniform(0.8, 2.2), 40)
    centre = np.array((width, height)) * rng.uniform(0.3, 0.7, 2)
    reach = min(width, height) * rng.uniform(0.28, 0.45) * (1 + 0.03 * wavy_radius(rng, angles, 6))
    stroke = centre + reach[:, None] * np.stack((np.cos(angles), np.sin(angles)), axis=-1)
    mask: Bytes = np.zeros((height, width), np.uint8)
    cv2.polylines(mask, [np.rint(stroke).astype(np.int32)], False, (255,), max(2, round(thickness)))
    ink = cv2.GaussianBlur(mask, (0, 0), 2.0).astype(np.float32)[..., None] / 255 * np.float32(0.85)
    colour = np.array(_PEN_COLOURS[int(rng.integers(len(_PEN_COLOURS)))], np.float32)
    intact &= mask == 0
    return np.asarray(np.rint(rgb * (1 - ink) + colour * ink), np.uint8)
