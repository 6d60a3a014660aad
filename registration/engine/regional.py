"""The slide-level affine refitted around a region, down to the scale where the level-0 stage takes over.

On a big slide the coarse alignment is off by dozens of level-0 px, and tissue bends; so the affine is fitted
again to the region and what surrounds it, at ever finer scale, each time searching as far as the last one
errs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from registration.engine.affine import STRETCH_LIMITS, believable, block_correction, model_for
from registration.engine.blockmatch import Agreement, Blocks, Layout, agreement, block_weights, match_pulled
from registration.engine.config.levelzero import LevelZeroConfig
from registration.engine.constraints import Landmarks
from registration.engine.features import Overview, overview
from registration.engine.geometry import Box, Points, Size
from registration.engine.inputs import um_taken
from registration.engine.localstart import LocalStart, local_start
from registration.engine.matrices import Matrix, apply, between_scales, shift
from registration.engine.quality import Z_NEEDED
from registration.engine.resample import warp_region
from registration.engine.robust import Weights, cauchy, fit
from registration.engine.source import PixelSource
from registration.engine.transforms import Transform
from registration.engine.workingscale import power_of_2

#: The region and its surroundings are looked at in at least this many px a side.
CONTEXT_PX = 320
FIT = Layout(tile=40, search=16, stride=20)
JUDGE = Layout(tile=40, search=16, stride=24, start=9)
#: On a large region blocks are set this much more thinly: there are enough of them.
LARGE_PX = 400
LARGE_FIT = Layout(tile=40, search=16, stride=40)
LARGE_JUDGE = Layout(tile=40, search=16, stride=48, start=9)
TOLERANCE = 4.0
#: Beyond this a refined affine needs no comparison with the one it came from.
CLEAR_Z = 12.0
_SCALES = (8.0, 4.0, 2.5, 2.0, 2.0)


@dataclass(frozen=True)
class RegionalFit:
    """start : for the level-0 stage. judged : free peaks at mid scale on a grid of their own. context : what
    was looked at, fixed level-0 px, at `downsample`. blocks : the free peaks, px of that image.
    """

    start: LocalStart
    judged: Agreement
    context: Box
    downsample: int
    blocks: Blocks


def refit(
    fixed: PixelSource,
    moving: PixelSource,
    start: Transform,
    box: Box,
    coarse_downsample: float,
    config: LevelZeroConfig,
    landmarks: Landmarks,
    tick: Callable[[float], None] = lambda fraction: None,
) -> tuple[RegionalFit, ...]:
    """One fit per scale, from coarse to fine; at least one.

    start : the slide-level transform, an affine or an affine with a field; the field is kept, the affine
    refitted beneath it. coarse_downsample : level-0 px per px of the overview that gave it.
    """
    size = Size(fixed.width, fixed.height)
    steps = downsamples(coarse_downsample, finest_downsample(fixed, config))
    local = local_start(start, context_box(box, size, steps[0]))
    fits: list[RegionalFit] = []
    for done, downsample in enumerate(steps):
        tick(done / len(steps))
        fits.append(_refit_once(fixed, moving, local, box, downsample, landmarks))
        local = fits[-1].start
    return tuple(fits)


def supported(fits: tuple[RegionalFit, ...]) -> RegionalFit:
    """The fit at the finest scale whose free peaks agree; where there is none, the one they contradict least.

    Of consecutive sections only the coarser scales show the same structures.
    """
    agreed = [each for each in fits if each.judged.z >= Z_NEEDED]
    return agreed[-1] if agreed else max(fits, key=lambda each: each.judged.z)


def judge_around(
    fixed: PixelSource, moving: PixelSource, start: LocalStart, box: Box, config: LevelZeroConfig
) -> RegionalFit:
    """Free peaks around `start` at the finest scale."""
    return judge_at(fixed, moving, start, box, finest_downsample(fixed, config))


def judge_at(
    fixed: PixelSource, moving: PixelSource, start: LocalStart, box: Box, downsample: int
) -> RegionalFit:
    """Free peaks around `start`, which is left as it is."""
    context = context_box(box, Size(fixed.width, fixed.height), downsample)
    return _judge(fixed_overview(fixed, context, downsample), moving, start, context)


def finest_downsample(fixed: PixelSource, config: LevelZeroConfig) -> int:
    """Level-0 px per px of the finest scale, a power of 2."""
    return power_of_2(config.regional_um / um_taken(fixed))


def downsamples(coarse: float, finest: int) -> list[int]:
    """From two thirds of the overview's down to the finest, halving."""
    steps = [finest]
    while steps[-1] * 2 <= coarse / 1.5:
        steps.append(steps[-1] * 2)
    return steps[::-1]


def _refit_once(
    fixed: PixelSource, moving: PixelSource, start: LocalStart, box: Box, downsample: int, marks: Landmarks
) -> RegionalFit:
    context = context_box(box, Size(fixed.width, fixed.height), downsample)
    image = fixed_overview(fixed, context, downsample)
    layout = LARGE_FIT if _is_large(image) else FIT
    before = _match(image, moving, start, context, layout)
    pinned = marks_inside(start, marks, context, downsample)
    correction = _pinned_correction(before, layout, *pinned)
    fitted = start.corrected(_in_slide(correction, context, downsample))
    judged = _judge(image, moving, fitted, context)
    if judged.judged.z >= CLEAR_Z or len(pinned[0]):
        return judged
    return max(judged, _judge(image, moving, start, context), key=lambda option: option.judged.z)


def marks_inside(
    start: LocalStart, marks: Landmarks, context: Box, downsample: int
) -> tuple[Points, Points, Weights]:
    """Where landmarks lie in the context's image, where the start expects them, and their weights."""
    marks = marks.inside(context)
    points = marks.fixed
    # start.affine (x + rest) is wanted at the landmark's partner: x is moved by what is missing before it.
    wanted = start.affine.inverse()(marks.moving) - start.shift(points)
    places, targets = ((ends - (context.x, context.y)) / downsample for ends in (points, wanted))
    return places, targets, marks.weight


def _pinned_correction(
    blocks: Blocks, layout: Layout, places: Points, targets: Points, weight: Weights
) -> Matrix:
    """block_correction with landmarks, which no residual makes lose weight."""
    if len(places) == 0:
        return block_correction(blocks, layout)
    model = model_for(len(blocks) + len(places)) or "shift"
    points = np.concatenate((blocks.centres, places))
    wanted = np.concatenate((blocks.centres + blocks.shifts, targets))
    own = block_weights(blocks)
    correction = fit(places, targets, weight, "shift")
    for scale in _SCALES:
        residual = np.linalg.norm(apply(correction, blocks.centres) - wanted[: len(blocks)], axis=1)
        weights = np.concatenate((own * cauchy(residual, scale), weight))
        correction = fit(points, wanted, weights, model)
    return correction if believable(correction, STRETCH_LIMITS) else fit(places, targets, weight, "shift")


def _is_large(image: Overview) -> bool:
    return min(image.shape) >= LARGE_PX


def _judge(image: Overview, moving: PixelSource, start: LocalStart, context: Box) -> RegionalFit:
    layout = LARGE_JUDGE if _is_large(image) else JUDGE
    blocks = _match(image, moving, start, context, layout)
    judged = agreement(blocks, layout, TOLERANCE)
    return RegionalFit(start, judged, context, int(image.downsample), blocks)


def _match(image: Overview, moving: PixelSource, start: LocalStart, context: Box, layout: Layout) -> Blocks:
    downsample = int(image.downsample)
    margin = layout.search * downsample
    around = Box(
        context.x - margin, context.y - margin, context.width + 2 * margin, context.height + 2 * margin
    )
    pulled = overview(*warp_region(moving, start.transform, around, downsample), downsample)
    return match_pulled(image.feature, image.mask, pulled.feature, pulled.mask, layout)


def _in_slide(correction: Matrix, context: Box, downsample: int) -> Matrix:
    """`correction` acts on px of the context's image; the result on fixed level-0 px."""
    at_level_0 = between_scales(correction, downsample, downsample)
    moved: Matrix = shift(context.x, context.y) @ at_level_0 @ shift(-context.x, -context.y)
    return moved


def fixed_overview(fixed: PixelSource, context: Box, downsample: int) -> Overview:
    """The fixed slide over `context`, fixed level-0 px."""
    columns, rows = context.width // downsample, context.height // downsample
    rgb, valid = fixed.read(context.x, context.y, columns, rows, downsample)
    return overview(rgb, valid, downsample)


def context_box(box: Box, size: Size, downsample: int, least: int = CONTEXT_PX) -> Box:
    """`box`, widened to `least` px at `downsample` where the slide allows it, in whole px of those."""
    x, width = _widened(box.x, box.width, size.width, least * downsample)
    y, height = _widened(box.y, box.height, size.height, least * downsample)
    return Box(
        x,
        y,
        max(downsample, width // downsample * downsample),
        max(downsample, height // downsample * downsample),
    )


def _widened(start: int, length: int, limit: int, wanted: int) -> tuple[int, int]:
    more = max(0, wanted - length)
    first = max(0, start - more // 2)
    return first, min(limit, first + max(length, wanted)) - first
