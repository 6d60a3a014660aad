"""The slide-level affine refitted around a region, down to the scale where the level-0 stage takes over.

On a big slide the coarse alignment is off by dozens of level-0 px, and tissue bends; so the affine is fitted
again to the region and what surrounds it, at ever finer scale,
each time searching as far as the last one errs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from registration.engine.affine import block_correction
from registration.engine.blockmatch import Agreement, Blocks, Layout, agreement, match_pulled
from registration.engine.features import Overview, overview
from registration.engine.geometry import Box, Size
from registration.engine.matrices import Matrix, between_scales, shift
from registration.engine.resample import warp_region
from registration.engine.source import PixelSource
from registration.engine.transforms import AffineTransform

#: The finest scale, in level-0 px per px.
FINEST = 8
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


@dataclass(frozen=True)
class RegionalFit:
    """judged : free peaks at mid scale on a grid of their own. residuals_px : of those that agree."""

    affine: AffineTransform
    judged: Agreement
    residuals_px: tuple[float, ...]


def refit(
    fixed: PixelSource, moving: PixelSource, start: AffineTransform, box: Box, coarse_downsample: float
) -> RegionalFit:
    """start : the slide-level affine. coarse_downsample : level-0 px per px of the overview that gave it."""
    affine = start
    best = RegionalFit(start, Agreement(0.0, 0.0, 0), ())
    for downsample in downsamples(coarse_downsample):
        best = _refit_once(fixed, moving, affine, box, downsample)
        affine = best.affine
    return best


def judge_around(fixed: PixelSource, moving: PixelSource, affine: AffineTransform, box: Box) -> RegionalFit:
    """Free peaks around `affine`, which is left as it is."""
    context = _context(box, Size(fixed.width, fixed.height), FINEST)
    return _judge(_fixed_overview(fixed, context, FINEST), moving, affine, context)


def downsamples(coarse: float) -> list[int]:
    """From two thirds of the overview's down to FINEST, halving."""
    steps = [FINEST]
    while steps[-1] * 2 <= coarse / 1.5:
        steps.append(steps[-1] * 2)
    return steps[::-1]


def _refit_once(
    fixed: PixelSource, moving: PixelSource, affine: AffineTransform, box: Box, downsample: int
) -> RegionalFit:
    context = _context(box, Size(fixed.width, fixed.height), downsample)
    image = _fixed_overview(fixed, context, downsample)
    layout = LARGE_FIT if _is_large(image) else FIT
    before = _match(image, moving, affine, context, layout)
    correction = block_correction(before, layout)
    fitted = _corrected(affine, correction, context, downsample)
    judged = _judge(image, moving, fitted, context)
    if judged.judged.z >= CLEAR_Z:
        return judged
    return max(judged, _judge(image, moving, affine, context), key=lambda option: option.judged.z)


def _is_large(image: Overview) -> bool:
    return min(image.shape) >= LARGE_PX


def _judge(image: Overview, moving: PixelSource, affine: AffineTransform, context: Box) -> RegionalFit:
    layout = LARGE_JUDGE if _is_large(image) else JUDGE
    blocks = _match(image, moving, affine, context, layout)
    distances = np.hypot(*blocks.shifts.T)
    near = distances[distances <= TOLERANCE] * image.downsample
    return RegionalFit(affine, agreement(blocks, layout, TOLERANCE), tuple(near.tolist()))


def _match(
    image: Overview, moving: PixelSource, affine: AffineTransform, context: Box, layout: Layout
) -> Blocks:
    downsample = int(image.downsample)
    margin = layout.search * downsample
    around = Box(
        context.x - margin, context.y - margin, context.width + 2 * margin, context.height + 2 * margin
    )
    pulled = overview(*warp_region(moving, affine, around, downsample), downsample)
    return match_pulled(image.feature, image.mask, pulled.feature, pulled.mask, layout)


def _corrected(affine: AffineTransform, correction: Matrix, context: Box, downsample: int) -> AffineTransform:
    """`correction` acts on px of the context's image; the result on fixed level-0 px."""
    at_level_0 = between_scales(correction, downsample, downsample)
    in_slide = shift(context.x, context.y) @ at_level_0 @ shift(-context.x, -context.y)
    return AffineTransform(affine.matrix @ in_slide, affine.fixed, affine.moving)


def _fixed_overview(fixed: PixelSource, context: Box, downsample: int) -> Overview:
    columns, rows = context.width // downsample, context.height // downsample
    rgb, valid = fixed.read(context.x, context.y, columns, rows, downsample)
    return overview(rgb, valid, downsample)


def _context(box: Box, size: Size, downsample: int) -> Box:
    """`box`, widened to CONTEXT_PX where the slide allows it, in whole px at `downsample`."""
    x, width = _widened(box.x, box.width, size.width, CONTEXT_PX * downsample)
    y, height = _widened(box.y, box.height, size.height, CONTEXT_PX * downsample)
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
