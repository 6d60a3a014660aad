"""A pair of stained slides of the same tissue whose transform is known."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from registration.engine import ENGINE_VERSION
from registration.engine.geometry import Frame, Size
from registration.engine.synthetic.noise import smooth_noise
from registration.engine.synthetic.painter import Painter
from registration.engine.synthetic.scene import make_scene
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
    beside: int = 0,
) -> Transform:
    """moving_from_fixed: a smooth field, then mirror, turn and scale about the middle, then a shift.

    beside : px by which the moving slide is wider than its section.
    """
    moving_size = round(size * scale)
    fixed = Frame("fixed", Size(size, size), _both_axes(um_per_px))
    moving = Frame(
        "moving", Size(moving_size + beside, moving_size), _both_axes(moving_um_per_px or um_per_px)
    )
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
