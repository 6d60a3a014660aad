"""The same section stained twice, or consecutive sections? A look at a few spots, down to the cells."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from registration.engine.config import RegistrationConfig
from registration.engine.geometry import Box, Points, Size
from registration.engine.inputs import holds_cells, mean_um
from registration.engine.measuring import RegionTask, measured
from registration.engine.result import Section, SectionKind
from registration.engine.source import Mask, PixelSource
from registration.engine.stages import Stages, Tick, no_tick
from registration.engine.tissue import tissue_mask
from registration.engine.transforms import Transform

#: Coarser than this (um/px) no cell can be told from its neighbour.
COARSEST_UM = 2.0
#: Side of a spot, level-0 px, and how many are looked at.
SPOT_PX = 640
SPOTS = 3
#: A spot needs tissue on this share of it, in both slides.
TISSUE_NEEDED = 0.3
#: Share of a spot's cells whose free match agrees. Measured: wrong pairs up to .03, consecutive sections up
#: to .5 (the upper end at 8 um/px), re-stained sections from .8 on.
SAME_SHARE = 0.6
CONSECUTIVE_SHARE = 0.5
#: Cells that a share needs behind it.
CELLS_NEEDED = 100
#: Square root of the area of the image in which tissue is looked for, px.
_MAP_PX = 200

#: What cells of one section reach; px of level 0 where um/px is unknown.
SAME_UM, SAME_PX = 0.5, 2
#: What the slide level reaches where the mid-scale evidence is not given.
REGION_UM = 20.0


def detect_section(
    fixed: PixelSource,
    moving: PixelSource,
    start: Transform,
    coarse_downsample: float,
    config: RegistrationConfig,
    *,
    region_um: float | None = None,
    tick: Tick = no_tick,
) -> Section:
    """Whether single cells match. Unknown where slides are too coarse to show cells, or nothing can be seen.

    start : the slide-level transform. coarse_downsample : fixed level-0 px per px of its overview.
    region_um : the error of nine places in ten at region level, for the sentence.
    """
    known = fixed.um_per_px is not None and moving.um_per_px is not None
    coarsest = max(mean_um(fixed), mean_um(moving))
    if known and coarsest > COARSEST_UM:
        return Section(SectionKind.UNKNOWN, None, _too_coarse(coarsest, region_um))
    boxes = spots(fixed, moving, start) if holds_cells(fixed) else []
    shares = [
        _agreeing(
            RegionTask(fixed, moving, box, start, coarse_downsample, config), _part(tick, done, len(boxes))
        )
        for done, box in enumerate(boxes)
    ]
    return section_of([share for share in shares if share is not None], known, region_um)


def section_of(shares: list[float], scale_known: bool, region_um: float | None = None) -> Section:
    """What the shares of agreeing cells at several spots say. The best two count: damage only lowers a share.

    Where um/px is unknown, cells that do not agree may be too small to be seen: that says nothing.
    """
    if not shares:
        return Section(SectionKind.UNKNOWN, None, _NOTHING_SEEN)
    best = float(np.mean(sorted(shares)[-2:]))
    if best >= SAME_SHARE:
        return Section(
            SectionKind.SAME, best, _SAME.format(f"{SAME_UM} um" if scale_known else f"{SAME_PX} px")
        )
    if best <= CONSECUTIVE_SHARE and scale_known:
        return Section(SectionKind.CONSECUTIVE, best, _consecutive(region_um))
    return Section(SectionKind.UNKNOWN, best, _UNCLEAR)


def disagreement(found: Section, declared: SectionKind) -> str | None:
    """The sentence for the reason `section_disagrees`; None where nothing contradicts the user."""
    if SectionKind.UNKNOWN in (found.kind, declared) or found.kind is declared:
        return None
    if declared is SectionKind.SAME:
        return (
            "The pair was declared as one section stained twice, but its single cells do not match "
            f"({found.share:.0%} agree): these look like consecutive sections. Expect region-level accuracy; "
            "compare two or three cells by eye, and change the declaration if they differ."
        )
    return (
        "The pair was declared as consecutive sections, but its single cells match "
        f"({found.share:.0%} agree): this looks like one section stained twice. Change the declaration to "
        "use cell-level accuracy."
    )


def spots(fixed: PixelSource, moving: PixelSource, start: Transform) -> list[Box]:
    """Up to SPOTS boxes (fixed level-0 px) apart from each other, with most tissue in both slides."""
    size = Size(fixed.width, fixed.height)
    side = min(SPOT_PX, size.width, size.height)
    boxes = _boxes(size, side)
    share = _shared_tissue(fixed, moving, start, boxes)
    chosen: list[Box] = []
    for index in np.argsort(-share, kind="stable"):
        box = boxes[int(index)]
        if share[index] < TISSUE_NEEDED or len(chosen) == SPOTS:
            break
        if all(box.intersection(other).area == 0 for other in chosen):
            chosen.append(box)
    return chosen


def _boxes(size: Size, side: int) -> list[Box]:
    """Boxes of `side` px, at most 24 across, evenly over the slide."""
    starts = [
        np.linspace(0, length - side, min(24, 2 * math.ceil(length / side) - 1)).astype(int).tolist()
        for length in (size.height, size.width)
    ]
    return [Box(x, y, side, side) for y, x in product(*starts)]


def _shared_tissue(
    fixed: PixelSource, moving: PixelSource, start: Transform, boxes: list[Box]
) -> NDArray[np.float64]:
    """(N,) share of 8 x 8 places in each box at which both slides show tissue."""
    steps = (np.arange(8) + 0.5) / 8
    offsets = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    points = np.concatenate([(box.x, box.y) + offsets * (box.width, box.height) for box in boxes])
    both = _at(_tissue(fixed), fixed, points) & _at(_tissue(moving), moving, start(points))
    share: NDArray[np.float64] = both.reshape(len(boxes), -1).mean(axis=1)
    return share


def _tissue(source: PixelSource) -> Mask:
    downsample = max(1.0, math.sqrt(source.width * source.height) / _MAP_PX)
    columns, rows = (max(1, int(side / downsample)) for side in (source.width, source.height))
    return tissue_mask(*source.read(0, 0, columns, rows, downsample))


def _at(mask: Mask, source: PixelSource, points: Points) -> Mask:
    """The mask, which covers the whole slide, at level-0 points; False outside."""
    rows, columns = mask.shape
    index = np.floor(points * (columns / source.width, rows / source.height)).astype(np.intp)
    inside = ((index >= 0) & (index < (columns, rows))).all(axis=1)
    index = np.clip(index, 0, (columns - 1, rows - 1))
    found: Mask = mask[index[:, 1], index[:, 0]] & inside
    return found


def _agreeing(spot: RegionTask, stages: Stages) -> float | None:
    """Share of the spot's cells that agree; None where too few have texture."""
    field = measured(spot, stages).field
    return field.agreeing if field.windows >= CELLS_NEEDED else None


def _part(tick: Tick, done: int, count: int) -> Stages:
    """The stages of one of `count` spots, `done` of which lie behind."""
    return Stages(lambda stage, percent: tick((done + percent / 100) / count))


def _too_coarse(um_per_px: float, region_um: float | None) -> str:
    return (
        f"Cells can't be told apart at {um_per_px:.1f} um per pixel: whether this is one section or two "
        f"can't be seen. The alignment holds for the region, to about {region_um or REGION_UM:.0f} um, not "
        "for single cells."
    )


def _consecutive(region_um: float | None) -> str:
    return (
        "Consecutive sections: the cells of the two slides differ. Region-level accuracy, about "
        f"{region_um or REGION_UM:.0f} um; compare areas, not single cells."
    )


_SAME = "Same section: single cells match, about {}."
_UNCLEAR = (
    "It is not clear whether this is one section stained twice or two consecutive ones: some cells match, "
    "many do not. Compare a few cells by eye before relying on single cells."
)
_NOTHING_SEEN = (
    "No spot shows enough tissue in both slides to compare single cells. Register a region to see whether "
    "its cells match."
)
