"""Stage D again, on a region and what surrounds it: for sections whose single cells do not match."""

from __future__ import annotations

import math

import numpy as np

from registration.engine.features import overview
from registration.engine.geometry import Box, Size
from registration.engine.inputs import um_taken
from registration.engine.localstart import LocalStart
from registration.engine.matrices import shift
from registration.engine.measuring import RegionTask
from registration.engine.midevidence import MidEvidence
from registration.engine.midscale import MidFit, fit_marked, fit_midscale, mid_image
from registration.engine.nonrigid import Grid, Nodes, Pins
from registration.engine.regional import (
    RegionalFit,
    context_box,
    fixed_overview,
    judge_at,
    marks_inside,
    supported,
)
from registration.engine.resample import warp_region
from registration.engine.stages import Tick, no_tick
from registration.engine.transforms import DisplacementField

#: Finer than about this (um/px) consecutive sections show nothing in common that could be matched.
FINEST_UM = 8.0
#: The region and its surroundings, px a side at least.
CONTEXT_PX = 448
#: And at most so many, which bounds time and memory: a larger region is looked at more coarsely.
LARGEST_PX = 1280
#: Room around the moving image beyond the field so far, px.
_MARGIN = 48
#: The median distance to left-out blocks must fall to this share to count as clearly better.
_CLOSER = 0.8


def refine(task: RegionTask, fits: tuple[RegionalFit, ...], tick: Tick = no_tick) -> RegionalFit:
    """The fit that the surroundings support, with a field fitted to structures at ever finer scale as long as
    blocks that were left out confirm it. A field that they neither confirm nor contradict is used where
    landmarks ask for it.
    """
    best = supported(fits)
    scales = [
        each.downsample for each in fits if each.downsample * um_taken(task.fixed) > FINEST_UM / math.sqrt(2)
    ]
    scales = list(dict.fromkeys(_bounded(each, task.box) for each in scales or [fits[0].downsample]))
    for done, downsample in enumerate(scales):
        tick(done / len(scales))
        start = _refined(task, best.start, downsample)
        if start is None:
            continue
        refined = judge_at(task.fixed, task.moving, start, task.box, downsample)
        best = supported((judge_at(task.fixed, task.moving, best.start, task.box, downsample), refined))
    return best


def _refined(task: RegionTask, start: LocalStart, downsample: int) -> LocalStart | None:
    """None where neither the left-out blocks nor landmarks speak for the new field."""
    context = context_box(task.box, Size(task.fixed.width, task.fixed.height), downsample, CONTEXT_PX)
    image = fixed_overview(task.fixed, context, downsample)
    margin = _MARGIN + math.ceil(start.reach / downsample)
    pulled = overview(
        *warp_region(task.moving, start.affine, _wider(context, margin * downsample), downsample), downsample
    )
    config = task.config.midscale
    rows, columns = image.shape
    grid = Grid.over(columns, rows, config.node_spacing)
    points = grid.node_points() * downsample + (context.x, context.y)
    nodes = (start.shift(points) / downsample).reshape(grid.rows, grid.columns, 2)
    places, targets, weight = marks_inside(LocalStart(start.affine), task.landmarks, context, downsample)
    pins = Pins(places, targets - places, weight)
    images = mid_image(image), mid_image(pulled)

    def fitted(pinned: Pins | None, tick: Tick) -> MidFit:
        return fit_midscale(*images, shift(margin, margin), config, start=nodes, pins=pinned, tick=tick)

    found = fit_marked(fitted, pins)
    asked_for = found.evidence.not_worse and found.closer(nodes, pins)
    if not (_confirmed(found.evidence) or asked_for):
        return None
    return LocalStart(start.affine, _field(found.nodes, grid, context, downsample, start))


def _confirmed(evidence: MidEvidence) -> bool:
    """Whether left-out blocks are predicted more often, or as often and clearly better."""
    before, after = evidence.before, evidence.after
    closer = after.share >= before.share and after.median <= _CLOSER * before.median
    return evidence.better or closer


def _field(nodes: Nodes, grid: Grid, context: Box, downsample: int, start: LocalStart) -> DisplacementField:
    first, spacing = grid.first * downsample, float(grid.spacing * downsample)
    values = (nodes * downsample).astype(np.float32)
    origin = (context.x + first, context.y + first)
    return DisplacementField(values, origin, (spacing, spacing), start.affine.fixed)


def _bounded(downsample: int, box: Box) -> int:
    while max(box.width, box.height) > LARGEST_PX * downsample:
        downsample *= 2
    return downsample


def _wider(box: Box, margin: int) -> Box:
    return Box(box.x - margin, box.y - margin, box.width + 2 * margin, box.height + 2 * margin)
