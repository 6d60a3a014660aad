"""The real pairs of the test data: landmarks on consecutive sections, and one section stained twice."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from functools import cache
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.case import DATA, Case, Truth
from registration.engine.geometry import Box, Points, Size
from registration.engine.source import PixelSource
from registration.engine.synthetic import ArraySource
from registration.engine.synthetic.cases import Material, from_landmarks, same_image
from registration.engine.synthetic.warped import (
    WarpedSource,
    developed,
    frame_of,
    placed,
    smooth_field,
    turned_size,
)
from registration.engine.transforms import AffineTransform
from viewer.wsi import open_slide

LANDMARKS, RESTAINED, SLIDES, NUCLEI = "landmarks", "restained", "slides", "ihc-nuclei"
#: The landmark images are 5 % of scans at 0.174 um/px.
LANDMARK_UM = (3.48, 3.48)
#: The tissue of the section that was stained twice.
TISSUE = Box(512, 512, 512, 3072)
#: The truth of that section, level-0 px.
RESTAINED_NOISE = 0.3
UNKNOWN_SCALE = "um/px not stated"
#: Degrees, and whether mirrored first: each pair is turned by two of them.
TURNS = ((37.0, False), (211.0, True), (101.0, False), (333.0, True), (163.0, False), (287.0, True))
#: Square root of the area of the images that other cases are made of, px, at most.
MATERIAL_PX = 1600
#: Bends of the known warps, as a multiple of what they shift by.
BEND = 16.0


def landmark_pairs() -> tuple[str, ...]:
    """All ordered pairs of the stains of each specimen, "specimen: fixed > moving"."""
    names = []
    for folder in sorted(path for path in (DATA / LANDMARKS).glob("*") if path.is_dir()):
        stains = sorted(image.stem for image in folder.glob("*.jpg") if image.with_suffix(".csv").exists())
        names += [f"{folder.name}: {one} > {other}" for one, other in permutations(stains, 2)]
    return tuple(names)


def turned_pairs() -> tuple[str, ...]:
    """Each pair turned by two odd angles, once mirrored and once not."""
    names = []
    for number, pair in enumerate(landmark_pairs()):
        for degrees, mirrored in (TURNS[2 * number % 6], TURNS[(2 * number + 3) % 6]):
            names.append(f"{pair} | {degrees:.0f}{' mirrored' if mirrored else ''}")
    return tuple(names)


def landmark_case(name: str) -> Case:
    pair, _, scale = name.partition(" | ")
    um_per_px = None if scale == UNKNOWN_SCALE else LANDMARK_UM
    fixed, moving, points, targets = _landmarks(pair, um_per_px)
    return Case(fixed, moving, None, Truth(points, targets, _diagonal(moving)), same_section=False)


def turned_case(name: str) -> Case:
    """Errors are divided by the diagonal before turning, so that they compare with the unturned pair's."""
    pair, _, how = name.partition(" | ")
    degrees, mirrored = float(how.split()[0]), how.endswith("mirrored")
    fixed, moving, points, targets = _landmarks(pair, LANDMARK_UM)
    size = turned_size(Size(moving.width, moving.height), degrees)
    back = placed(moving, size, degrees=degrees, mirrored=mirrored, um_per_px=LANDMARK_UM)
    turned = ArraySource(developed(WarpedSource(moving, back)).rgb, LANDMARK_UM)
    return Case(
        fixed, turned, None, Truth(points, back.inverse()(targets), _diagonal(moving)), same_section=False
    )


def restained_case(_: str) -> Case:
    points, targets = restained_truth()
    fixed, moving = (open_slide(DATA / RESTAINED / f"{name}.tiff") for name in ("he", "ihc"))
    return Case(
        fixed, moving, TISSUE, Truth(points, targets, _diagonal(moving), RESTAINED_NOISE), same_section=True
    )


def warped_names(shifts: tuple[int, ...], seeds: int) -> tuple[str, ...]:
    return tuple(f"{shift} px, seed {seed}" for shift in shifts for seed in range(seeds))


def warped_case(name: str) -> Case:
    """The IHC bent by a known smooth field on top: "10 px, seed 3"."""
    largest, seed = (int(words.split()[-1 if words.startswith(" seed") else 0]) for words in name.split(","))
    return bent_restained(float(largest), 9000 + seed)


def bent_restained(largest: float, seed: int) -> Case:
    """largest : of the field, px; it turns round every BEND * largest px."""
    points, targets = restained_truth()
    fixed, moving = (open_slide(DATA / RESTAINED / f"{name}.tiff") for name in ("he", "ihc"))
    frame = frame_of(moving, "moving")
    bent = smooth_field(frame, seed, largest, max(200.0, BEND * largest))
    shown = developed(WarpedSource(moving, bent), jpeg=85)
    truth = Truth(points, bent.inverse()(targets), _diagonal(moving), RESTAINED_NOISE)
    return Case(fixed, ArraySource(shown.rgb, moving.um_per_px), TISSUE, truth)


def restained_truth() -> tuple[Points, Points]:
    table = _table(str(DATA / RESTAINED / "truth.csv"))
    return table[:, :2], table[:, 2:]


def real_material() -> tuple[str, ...]:
    """The names of what `material` makes."""
    pairs = [f"{LANDMARKS}/{pair}" for pair in landmark_pairs() if _upward(pair)]
    restained = [RESTAINED] if (DATA / RESTAINED).is_dir() else []
    slides = [
        f"{SLIDES}/{path.name}" for path in sorted((DATA / SLIDES).glob("*.svs")) if path.stem != "broken"
    ]
    return tuple(restained + pairs + slides)


def fields() -> tuple[str, ...]:
    """Small IHC fields, each with the image of the same field before the IHC staining."""
    return tuple(f"{NUCLEI}/{path.name[:-8]}" for path in sorted((DATA / NUCLEI).glob("*-ihc.png")))


def material(name: str) -> Material:
    folder, _, rest = name.partition("/")
    if folder == LANDMARKS:
        fixed, moving, points, targets = _landmarks(rest, LANDMARK_UM)
        return from_landmarks(rest, rest.partition(":")[0], fixed, moving, (points, targets))
    if folder == SLIDES:
        return same_image(rest, _reduced(open_slide(DATA / SLIDES / rest))[0])
    if folder == NUCLEI:
        return _field(rest)
    points, targets = restained_truth()
    (he, by), (ihc, _) = (_reduced(open_slide(DATA / RESTAINED / f"{stain}.tiff")) for stain in ("he", "ihc"))
    found = from_landmarks(RESTAINED, RESTAINED, he, ihc, (points / by, targets / by))
    return replace(found, same_section=True)


def _reduced(source: PixelSource) -> tuple[ArraySource, int]:
    """In memory, averaged over n x n px to about MATERIAL_PX a side; and n."""
    by = math.ceil(math.sqrt(source.width * source.height) / MATERIAL_PX)
    rgb, _ = source.read(0, 0, source.width // by, source.height // by, by)
    um = source.um_per_px
    return ArraySource(rgb, None if um is None else (um[0] * by, um[1] * by)), by


def _field(name: str) -> Material:
    before, after = (
        ArraySource(_image(str(DATA / NUCLEI / f"{name}-{what}.png"))) for what in ("hematoxylin", "ihc")
    )
    truth = AffineTransform(np.eye(3), frame_of(before, "fixed"), frame_of(after, "moving"))
    return Material(name, f"field {name}", before, after, truth, same_section=True)


def _upward(pair: str) -> bool:
    one, other = pair.partition(": ")[2].split(" > ")
    return one < other


def _landmarks(
    pair: str, um_per_px: tuple[float, float] | None
) -> tuple[ArraySource, ArraySource, Points, Points]:
    specimen, _, stains = pair.partition(": ")
    folder = DATA / LANDMARKS / specimen
    sources, points = [], []
    for stain in stains.split(" > "):
        sources.append(ArraySource(_image(str(folder / f"{stain}.jpg")), um_per_px))
        points.append(_table(str(folder / f"{stain}.csv")))
    count = min(len(table) for table in points)
    return sources[0], sources[1], points[0][:count], points[1][:count]


@cache
def _table(path: str) -> NDArray[np.float64]:
    with Path(path).open(newline="") as file:
        return np.array([[float(value) for value in row] for row in list(csv.reader(file))[1:]])


@cache
def _image(path: str) -> NDArray[np.uint8]:
    read = cv2.imread(path)
    assert read is not None, path
    return np.ascontiguousarray(read[..., ::-1], np.uint8)


def _diagonal(source: PixelSource) -> float:
    return Size(source.width, source.height).diagonal
