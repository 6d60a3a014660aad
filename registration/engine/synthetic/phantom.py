"""A pair of stained slides of the same tissue whose transform is known."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from registration.engine import ENGINE_VERSION
from registration.engine.geometry import Frame, Size
from registration.engine.synthetic.noise import smooth_noise
from registration.engine.synthetic.painter import Painter
from registration.engine.synthetic.scene import Scene, make_scene
from registration.engine.synthetic.source import ArraySource
from registration.engine.synthetic.stain import HE, IHC
from registration.engine.synthetic.tiff import write_pyramid
from registration.engine.transforms import AffineTransform, DisplacementField, Transform, save_transform

#: Level-0 px between the nodes of the known field.
FIELD_SPACING = 128.0


@dataclass(frozen=True)
class Phantom:
    """Files of a pair. truth : moving_from_fixed, H&E level-0 px -> IHC level-0 px; stored at truth_path."""

    he: Path
    ihc: Path
    truth: Transform
    truth_path: Path


@dataclass(frozen=True)
class PhantomArrays:
    """A pair in memory. he is the fixed image. truth : moving_from_fixed. nuclei : (n, 2) on the H&E."""

    he: ArraySource
    ihc: ArraySource
    truth: Transform
    nuclei: NDArray[np.float64]


def write_phantom_pair(
    folder: Path,
    size: int = 12288,
    seed: int = 7,
    *,
    rotation: float = 34.0,
    scale: float = 1.008,
    field_px: float = 5.0,
    um_per_px: float = 0.25,
) -> Phantom:
    """Write phantom-he.tiff, phantom-ihc.tiff (pyramids of JPEG tiles) and truth.json into `folder`.

    size : level-0 px a side of the H&E. rotation : degrees, clockwise as seen. scale : IHC px per H&E px.
    field_px : largest displacement of the smooth field. The same arguments give the same bytes.
    """
    truth = make_truth(size, seed, rotation, False, scale, (0.011 * size, -0.017 * size), field_px, um_per_px)
    scene = make_scene(size, seed)
    he, ihc, truth_path = folder / "phantom-he.tiff", folder / "phantom-ihc.tiff", folder / "truth.json"
    upright = AffineTransform.identity(truth.fixed)
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(write_pyramid, he, Painter(scene, upright, HE, seed), um_per_px),
            pool.submit(write_pyramid, ihc, Painter(scene, truth, IHC, seed), um_per_px),
        ]
        for job in jobs:
            job.result()
    save_transform(truth_path, truth, verdict="good", engine_version=ENGINE_VERSION)
    return Phantom(he, ihc, truth, truth_path)


def phantom_arrays(
    size: int = 1024,
    seed: int = 7,
    *,
    rotation: float = 25.0,
    mirror: bool = False,
    scale: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
    field_px: float = 3.0,
    unrelated: bool = False,
    consecutive: bool = False,
    blank: bool = False,
    um_per_px: float | None = 0.25,
    moving_um_per_px: float | None = None,
) -> PhantomArrays:
    """A pair in memory, both about size x size px.

    rotation : degrees about the middle, clockwise as seen, after `mirror` (left-right). scale : moving px per
    fixed px; the moving image is size * scale px a side. shift : moving px. field_px : largest shift by the
    smooth field. unrelated : the IHC shows other tissue. consecutive : same glands, other nuclei.
    blank : the IHC is empty glass.
    um_per_px : of both, or None; moving_um_per_px : of the IHC where it is another.
    """
    truth = make_truth(size, seed, rotation, mirror, scale, shift, field_px, um_per_px, moving_um_per_px)
    scene = make_scene(size, seed)
    shown = make_scene(size, seed + 1000) if unrelated else scene
    if consecutive:
        shown = make_scene(size, seed, nuclei_seed=seed + 1)
    if blank:
        shown = Scene.empty(size)
    he = Painter(scene, AffineTransform.identity(truth.fixed), HE, seed).whole()
    ihc = Painter(shown, truth, IHC, seed).whole()
    return PhantomArrays(
        ArraySource(he, truth.fixed.um_per_px),
        ArraySource(ihc, truth.moving.um_per_px),
        truth,
        scene.nuclei.centre,
    )


def make_truth(
    size: int,
    seed: int,
    rotation: float,
    mirror: bool,
    scale: float,
    shift: tuple[float, float],
    field_px: float,
    um_per_px: float | None,
    moving_um_per_px: float | None = None,
) -> Transform:
    """moving_from_fixed: a smooth field, then mirror, turn and scale about the middle, then a shift."""
    moving_size = round(size * scale)
    fixed = Frame("fixed", Size(size, size), _both_axes(um_per_px))
    moving = Frame("moving", Size(moving_size, moving_size), _both_axes(moving_um_per_px or um_per_px))
    turn = np.deg2rad(rotation)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if mirror:
        linear = linear @ np.diag((-1.0, 1.0))
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = np.array(shift) + moving_size / 2 - linear @ (size / 2, size / 2)
    return AffineTransform(matrix, fixed, moving) @ _smooth_field(fixed, seed, field_px)


def _smooth_field(frame: Frame, seed: int, largest: float) -> DisplacementField:
    """Waves about a third of the slide long; `largest` px at most."""
    rng = np.random.default_rng((seed, 77))
    nodes = int(np.ceil(frame.size.width / FIELD_SPACING)) + 1
    values = np.stack([smooth_noise(rng, nodes, 3) for _ in range(2)], axis=-1)
    values *= largest / np.hypot(values[..., 0], values[..., 1]).max()
    return DisplacementField(values, (0.0, 0.0), (FIELD_SPACING, FIELD_SPACING), frame)


def _both_axes(um_per_px: float | None) -> tuple[float, float] | None:
    return None if um_per_px is None else (um_per_px, um_per_px)
