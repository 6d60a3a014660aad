"""Registrations with a known error for the calibration: phantoms, and real slides under known warps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Box, Points, Size
from registration.engine.matrices import Matrix, shift, turn
from registration.engine.source import PixelSource
from registration.engine.synthetic import phantom_arrays
from registration.engine.synthetic.looks import LOOKS
from registration.engine.synthetic.source import ArraySource
from registration.engine.synthetic.warped import (
    Filling,
    WarpedSource,
    developed,
    frame_of,
    placed,
    smooth_field,
)
from registration.engine.transforms import AffineTransform, Transform
from viewer.wsi import open_slide

DATA = Path(os.environ.get("SLIDEPAIR_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared/data")
#: um/px of slides at 40x at a scale of 5 %.
LUNG_UM = 5.0
#: Level-0 px around the region that are drawn too.
RIM = 160


@dataclass(frozen=True, eq=False)
class Trial:
    """A region to be registered from `start`. truth : moving_from_fixed, exact; or None where it is known at
    `points` ((N, 2) fixed, (N, 2) moving level-0 px), and good to noise_px.
    """

    name: str
    fixed: PixelSource
    moving: PixelSource
    box: Box
    start: AffineTransform
    truth: Transform | None
    points: tuple[Points, Points] | None = None
    noise_px: float = 0.0


def trials(count: int, seed: int = 0) -> Iterator[Trial]:
    """Trial i is the same whatever `count` is."""
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        yield (_phantom if number % 2 == 0 else _warped)(rng, number)


def _phantom(rng: np.random.Generator, number: int) -> Trial:
    seed = int(rng.integers(2**31))
    pair = phantom_arrays(1024 + 2 * RIM, seed, rotation=0, field_px=0)
    return _made(rng, f"phantom {number}", pair.he, pair.ihc, None)


def consecutive_trials(count: int, seed: int = 0) -> Iterator[Trial]:
    """Phantoms whose two sections have the same glands, but other nuclei."""
    for number in range(count):
        rng = np.random.default_rng((seed, 1, number))
        pair = phantom_arrays(1664, int(rng.integers(2**31)), rotation=0, field_px=0, consecutive=True)
        trial = _made(rng, f"consecutive {number}", pair.he, pair.ihc, None)
        yield _turned(trial, float(rng.uniform(8, 35))) if number % 4 == 3 else trial


def _turned(trial: Trial, degrees: float) -> Trial:
    """The start turned about the region's middle: so far that structures match in parts of it, or nowhere."""
    x, y = trial.box.centre
    about = shift(x, y) @ turn(degrees) @ shift(-x, -y)
    start = AffineTransform(trial.start.matrix @ about, trial.start.fixed, trial.start.moving)
    return replace(trial, start=start)


def landmark_trials() -> Iterator[Trial]:
    """Real consecutive sections in all orders. Their landmarks hold an annotator's own error, which is not
    taken out: what is stated of consecutive sections errs on the safe side.
    """
    stains = ("He", "proSPC", "Ki67")
    for one, other in permutations(stains, 2):
        fixed, moving = (_image(f"landmarks/lung-lesion-3/{stain}.jpg") for stain in (one, other))
        ends = [_table(f"landmarks/lung-lesion-3/{stain}.csv")[:, -2:] for stain in (one, other)]
        start = AffineTransform(_affine_through(*ends), frame_of(fixed, "fixed"), frame_of(moving, "moving"))
        box = Box(0, 0, fixed.width, fixed.height)
        yield Trial(f"lung {one} {other}", fixed, moving, box, start, None, (ends[0], ends[1]))


def _image(name: str) -> ArraySource:
    read = cv2.imread(str(DATA / name))
    assert read is not None
    return ArraySource(np.ascontiguousarray(read[..., ::-1], np.uint8), (LUNG_UM, LUNG_UM))


def _table(name: str) -> Points:
    return np.loadtxt(DATA / name, delimiter=",", skiprows=1)


def _warped(rng: np.random.Generator, number: int) -> Trial:
    names = ("restained", "restained", "he", "cmu", "tcga")
    name = names[number // 2 % len(names)]
    fixed, moving, points = _real(name, rng)
    return _made(rng, f"{name} {number}", fixed, moving, points)


def _real(
    name: str, rng: np.random.Generator
) -> tuple[PixelSource, PixelSource, tuple[Points, Points] | None]:
    if name in ("restained", "he"):
        he, ihc = _whole("restained/he.tiff"), _whole("restained/ihc.tiff")
        top = int(rng.integers(512, 3584 - 1024))
        part = Box(512 - RIM, top - RIM, 512 + 2 * RIM, 1024 + 2 * RIM)
        if name == "he":
            return _crop(he, part), _crop(he, part), None
        table = _table("restained/truth.csv")
        corner = np.array((part.x, part.y), np.float64)
        return _crop(he, part), ihc, (table[:, :2] - corner, table[:, 2:])
    slide = _whole("slides/cmu-small-region.svs" if name == "cmu" else "slides/tcga-cr-7395-ts1.svs")
    side = 1024 + 2 * RIM
    x, y = (int(rng.integers(0, n - side)) for n in (slide.width, slide.height))
    image = _crop(slide, Box(x, y, side, side))
    return image, image, None


@lru_cache(4)
def _whole(name: str) -> ArraySource:
    with open_slide(DATA / name) as slide:
        return ArraySource(slide.read(0, 0, slide.width, slide.height, 1.0)[0], (0.25, 0.25))


def _crop(source: ArraySource, part: Box) -> ArraySource:
    return ArraySource(
        np.ascontiguousarray(source.rgb[part.y : part.bottom, part.x : part.right]), source.um_per_px
    )


def _made(
    rng: np.random.Generator,
    name: str,
    fixed: PixelSource,
    moving: PixelSource,
    points: tuple[Points, Points] | None,
) -> Trial:
    """`moving` bent, stained, blurred and torn at random, and a start that is off."""
    size = Size(moving.width, moving.height)
    degrees = float(rng.uniform(0, 360)) if points is None else float(rng.uniform(-20, 20))
    side = round(1.3 * max(size.width, size.height)) if points is None else max(size.width, size.height)
    place = placed(
        moving,
        Size(side, side),
        degrees=degrees,
        mirrored=bool(rng.random() < 0.3),
        um_per_px=moving.um_per_px,
    )
    largest = float(np.exp(rng.uniform(np.log(2), np.log(40))))
    bend = largest * float(np.exp(rng.uniform(np.log(14), np.log(60))))
    field = smooth_field(place.fixed, int(rng.integers(2**31)), largest, max(150.0, bend))
    look = LOOKS[rng.integers(len(LOOKS))] if rng.random() < 0.6 else None
    shown = WarpedSource(moving, place @ field, look, Filling((243,) * 3))
    photo = developed(
        shown,
        blur=float(rng.choice((0, 0.7, 1.5, 3.0))),
        noise=float(rng.choice((0, 3, 8))),
        jpeg=int(rng.choice((40, 70, 90))),
        seed=int(rng.integers(2**31)),
    )
    back = shown.source_from_shown.inverse()
    box = Box(RIM, RIM, fixed.width - 2 * RIM, fixed.height - 2 * RIM)
    if points is None:
        truth: Transform | None = back @ _between(fixed, moving)
        known, matrix = None, place.inverse().matrix
    else:
        inside = ((points[0] > (box.x, box.y)) & (points[0] < (box.right, box.bottom))).all(axis=1)
        truth, known = None, (points[0][inside], back(points[1][inside]))
        matrix = _affine_through(*known)
    _tear(rng, photo.rgb)
    start = AffineTransform(shift(*_offset(rng)) @ matrix, frame_of(fixed, "fixed"), place.fixed)
    return Trial(name, fixed, photo, box, start, truth, known, 0.0 if known is None else 0.3)


def _offset(rng: np.random.Generator) -> tuple[float, float]:
    """px that a start is off: mostly little; one in four so far that the fit may be lost."""
    kind = rng.random()
    length = (
        rng.uniform(0, 10) if kind < 0.7 else rng.uniform(20, 60) if kind < 0.88 else rng.uniform(60, 140)
    )
    angle = rng.uniform(0, 2 * np.pi)
    return float(length * np.cos(angle)), float(length * np.sin(angle))


def _tear(rng: np.random.Generator, rgb: NDArray[np.uint8]) -> None:
    """Missing tissue: holes in the moving image, in one trial of three."""
    if rng.random() > 0.35:
        return
    height, width = rgb.shape[:2]
    ys, xs = np.mgrid[:height, :width]
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0.25, 0.75, 2) * (width, height)
        radius = rng.uniform(60, 260, 2)
        rgb[((xs - x) / radius[0]) ** 2 + ((ys - y) / radius[1]) ** 2 < 1] = 243


def _between(fixed: PixelSource, moving: PixelSource) -> AffineTransform:
    return AffineTransform(np.eye(3), frame_of(fixed, "fixed"), frame_of(moving, "moving"))


def _affine_through(points: Points, targets: Points) -> Matrix:
    rows = np.column_stack((points, np.ones(len(points))))
    solution = np.linalg.lstsq(rows, targets, rcond=None)[0]
    matrix = np.eye(3)
    matrix[:2] = solution.T
    return matrix
