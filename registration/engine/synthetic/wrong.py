"""Pairs that must be refused: other specimens, and halves of one that have nothing in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from registration.engine.geometry import Box, Size
from registration.engine.source import PixelSource
from registration.engine.synthetic.material import Case, Material, cut, tissue_points
from registration.engine.synthetic.warped import Filling, WarpedSource, developed, placed, turned_size


def wrong_cases(material: Sequence[Material], seed: int = 0) -> Iterator[Case]:
    """Every fixed image with every other specimen's moving image, and disjoint halves of each, turned."""
    for number, (one, other) in enumerate((a, b) for a in material for b in material):
        rng = np.random.default_rng((seed, number))
        if one is other:
            yield from _halves(rng, one)
        elif one.specimen != other.specimen:
            yield _mixture(rng, one, other)


def _mixture(rng: np.random.Generator, one: Material, other: Material) -> Case:
    degrees, mirrored = float(rng.uniform(0, 360)), bool(rng.random() < 0.5)
    known = one.fixed.um_per_px is not None and other.moving.um_per_px is not None and rng.random() < 0.7
    moving = _whole(other.moving, other.moving.um_per_px if known else None, degrees, mirrored)
    fixed = cut(one.fixed, Size(one.fixed.width, one.fixed.height).box, known=bool(known))
    return _wrong(f"{one.name} against {other.name}", "mixture", fixed, moving)


def _halves(rng: np.random.Generator, material: Material) -> Iterator[Case]:
    """The left half of the fixed image against the right one of the moving, and the same across."""
    width, height = material.fixed.width, material.fixed.height
    wide, high = material.moving.width, material.moving.height
    gap = 0.02
    split = {
        "left and right": (
            Box(0, 0, width // 2, height),
            Box(int(wide * (0.5 + gap)), 0, int(wide * (0.5 - gap)), high),
        ),
        "top and bottom": (
            Box(0, 0, width, height // 2),
            Box(0, int(high * (0.5 + gap)), wide, int(high * (0.5 - gap))),
        ),
    }
    if _middle_moves(material):
        return
    for words, (part, rest) in split.items():
        fixed = cut(material.fixed, part)
        degrees, mirrored = float(rng.uniform(0, 360)), bool(rng.random() < 0.5)
        moving = _whole(material.moving, material.moving.um_per_px, degrees, mirrored, rest)
        yield _wrong(f"{material.name}, {words}", "halves", fixed, moving)


def _middle_moves(material: Material) -> bool:
    """Whether the halves of the two images are not the same halves of the tissue."""
    size = Size(material.fixed.width, material.fixed.height)
    points = material.tissue
    relative = material.moving_from_fixed(points) / (material.moving.width, material.moving.height)
    return bool(np.abs(relative - points / (size.width, size.height)).max(initial=0) > 0.12)


def _whole(
    source: PixelSource,
    um_per_px: tuple[float, float] | None,
    degrees: float,
    mirrored: bool,
    part: Box | None = None,
) -> WarpedSource:
    part = part or Size(source.width, source.height).box
    size = turned_size(part.size, degrees)
    place = placed(source, size, centre=part.centre, degrees=degrees, mirrored=mirrored, um_per_px=um_per_px)
    return WarpedSource(source, place, filling=Filling(), window=part)


def _wrong(name: str, group: str, fixed: WarpedSource, moving: WarpedSource) -> Case:
    points = tissue_points(fixed)
    sources = developed(fixed), developed(moving)
    return Case(name, f"wrong: {group}", *sources, None, points, None, 0.0, same_section=False)
