"""A random sweep of cases: turns, mirrors, cuts, scales, stains, fillings, bends, noise and JPEG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from registration.engine.geometry import Box, Points, Size
from registration.engine.source import Mask
from registration.engine.synthetic.looks import LOOKS
from registration.engine.synthetic.material import Case, Material, cut, inside, within
from registration.engine.synthetic.warped import (
    Filling,
    WarpedSource,
    developed,
    placed,
    smooth_field,
    turned_size,
)
from registration.engine.transforms import Transform

#: Most points at which a case is measured.
POINTS = 300
#: Fewest places in common tissue, and fewest landmarks, that a case must keep.
_FEWEST_PLACES, _FEWEST_LANDMARKS = 30, 12
SMALLEST_OVERLAP = 0.4
_TRIES = 60


def random_cases(seed: int, count: int, material: Sequence[Material]) -> Iterator[Case]:
    """A sweep over turns, mirrors, crops (overlap .4 to 1), scales, stains, fillings, fields and noise.

    Case i is the same whatever `count` is; `material` is used in turn.
    """
    for number in range(count):
        yield random_case((seed, number), material[number % len(material)])


def random_case(seed: tuple[int, ...], material: Material) -> Case:
    """One case of the sweep. Its name tells what was drawn."""
    rng = np.random.default_rng(seed)
    for _ in range(_TRIES):
        plan = _plan(rng, material)
        shown = _shown(plan, material)
        if shown is not None:
            return _photographed(plan, material, shown)
    raise ValueError(f"no overlap of .4 and more in {_TRIES} tries with {material.name}")


@dataclass(frozen=True)
class _Plan:
    """What was drawn. fixed_part, moving_part : share of each image that its slide shows.

    scale : moving px per px of the material; where unknown, per px of the fixed slide.
    """

    seed: int
    degrees: float
    mirrored: bool
    scale: float
    scale_known: bool
    fixed_part: Box
    moving_part: Box
    canvas: float
    filling: Filling | None
    look: int | None
    field: tuple[float, float] | None
    noise: float
    jpeg: int | None

    def __str__(self) -> str:
        words = [f"{self.degrees:.0f} deg"] + ["mirrored"] * self.mirrored
        if self.scale != 1:
            words.append(f"x {self.scale:.2f}{'' if self.scale_known else ' unknown'}")
        if self.filling:
            words.append(f"on {self.filling.colour[0]}{' noisy' if self.filling.noise else ''}")
        if self.look is not None:
            words.append(LOOKS[self.look].name)
        if self.field:
            words.append(f"bent {self.field[0] * self.field[1]:.2%} every {self.field[1]:.0%}")
        return " ".join(words)


def _plan(rng: np.random.Generator, material: Material) -> _Plan:
    fixed, moving = (Size(s.width, s.height) for s in (material.fixed, material.moving))
    scale_known = bool(rng.random() < 0.7)
    scale = 1.0 if rng.random() < 0.4 else float(2 ** rng.uniform(-1, 1))
    colour = int(rng.choice((255, 255, 243, 200, 0)))
    filling = Filling((colour,) * 3, float(rng.choice((0, 0, 1.5))), int(rng.integers(2**31)))
    cut_fixed, cut_moving = (bool(rng.random() < 0.5) for _ in range(2))
    share = rng.uniform(0.02, 0.12)  # bend of a field, as a share of the longer side
    return _Plan(
        seed=int(rng.integers(2**31)),
        degrees=float(rng.uniform(0, 360)),
        mirrored=bool(rng.random() < 0.4),
        scale=scale,
        scale_known=scale_known,
        fixed_part=_part(rng, fixed, cut_fixed),
        moving_part=_part(rng, moving, cut_moving),
        canvas=float(rng.uniform(1.0, 1.3)),
        filling=filling if rng.random() < 0.8 else None,
        look=int(rng.integers(len(LOOKS))) if rng.random() < 0.7 else None,
        field=(float(rng.uniform(0.03, 0.2)), share) if rng.random() < 0.5 else None,
        noise=float(rng.choice((0, 2, 5))),
        jpeg=int(rng.choice((60, 80, 92))) if rng.random() < 0.7 else None,
    )


def _part(rng: np.random.Generator, size: Size, cut: bool) -> Box:
    """A random rectangle of 40 to 90 % of the area, or everything."""
    if not cut:
        return size.box
    area, shape = rng.uniform(0.4, 0.9), 2 ** rng.uniform(-0.5, 0.5)
    width = min(1.0, math.sqrt(area * shape))
    height = min(1.0, area / width)
    x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return Box(int(x * size.width), int(y * size.height), int(width * size.width), int(height * size.height))


@dataclass(frozen=True)
class _Shown:
    fixed: WarpedSource
    moving: WarpedSource
    truth: Transform
    overlap: float
    common: Points


def _shown(plan: _Plan, material: Material) -> _Shown | None:
    """The two slides as planned; None where they have too little in common to be measured."""
    fixed = cut(material.fixed, plan.fixed_part, known=plan.scale_known)
    moving = _turned(plan, material)
    truth = moving.source_from_shown.inverse() @ material.moving_from_fixed @ fixed.source_from_shown
    tissue = material.tissue
    on_fixed = within(fixed.source_from_shown.inverse()(tissue), fixed.size)
    target = material.moving_from_fixed(tissue)
    on_moving = inside(target, plan.moving_part)
    both = on_fixed & on_moving
    overlap = float(both.sum() / max(1, on_fixed.sum(), on_moving.sum()))
    if overlap < SMALLEST_OVERLAP or both.sum() < _FEWEST_PLACES:
        return None
    if material.landmarks and _seen(plan, material, fixed).sum() < _FEWEST_LANDMARKS:
        return None
    return _Shown(fixed, moving, truth, overlap, fixed.source_from_shown.inverse()(tissue[both]))


def _turned(plan: _Plan, material: Material) -> WarpedSource:
    source, part = material.moving, plan.moving_part
    um = source.um_per_px if plan.scale_known else None
    scale = plan.scale if um else plan.scale / material.scale
    scaled = None if um is None else (um[0] / scale, um[1] / scale)
    size = turned_size(part.size, plan.degrees, scale * plan.canvas)
    place = placed(
        source,
        size,
        centre=part.centre,
        degrees=plan.degrees,
        mirrored=plan.mirrored,
        scale=scale,
        um_per_px=scaled,
    )
    look = None if plan.look is None else LOOKS[plan.look]
    if plan.field is None:
        return WarpedSource(source, place, look, plan.filling, part)
    share, bend = plan.field
    px = bend * max(size.width, size.height)
    field = smooth_field(place.fixed, plan.seed, share * px, px)
    return WarpedSource(source, place @ field, look, plan.filling, part)


def _photographed(plan: _Plan, material: Material, shown: _Shown) -> Case:
    camera = replace(shown.moving, noise=plan.noise, seed=plan.seed)
    moving = developed(camera, jpeg=plan.jpeg)
    fixed = developed(shown.fixed)
    name = f"{material.name}, {plan}, overlap {shown.overlap:.2f}"
    group = "same section" if material.same_section else "consecutive"
    case = Case(
        name, group, fixed, moving, shown.truth, shown.common, None, shown.overlap, material.same_section
    )
    if material.landmarks is None:
        chosen = np.random.default_rng(plan.seed).permutation(len(shown.common))[:POINTS]
        points = shown.common[chosen]
        return replace(case, points=points, targets=shown.truth(points))
    points = shown.fixed.source_from_shown.inverse()(material.landmarks[0])
    targets = shown.moving.source_from_shown.inverse()(material.landmarks[1])
    seen = _seen(plan, material, shown.fixed)
    return replace(case, truth=None, points=points[seen], targets=targets[seen])


def _seen(plan: _Plan, material: Material, fixed: WarpedSource) -> Mask:
    """(N,) which of the landmarks both slides show."""
    assert material.landmarks is not None  # noqa: S101 - the callers have looked
    points = fixed.source_from_shown.inverse()(material.landmarks[0])
    return within(points, fixed.size) & inside(material.landmarks[1], plan.moving_part)
