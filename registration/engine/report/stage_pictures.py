"""One call for each stage: what it leaves in a report. Nothing is computed where none is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from registration.engine.affine import held_out_blocks
from registration.engine.geometry import Box, Frame, Size
from registration.engine.matrices import between_scales
from registration.engine.overviews import QUARTER
from registration.engine.region import COARSEST, warped
from registration.engine.report import draw, slide_pictures
from registration.engine.report.cell_pictures import cell_evidence
from registration.engine.report.field_pictures import field_on, residuals
from registration.engine.report.recorder import Recorder
from registration.engine.source import Rgb
from registration.engine.transforms import DisplacementField

if TYPE_CHECKING:
    from registration.engine.features import Overview
    from registration.engine.levelzero import FieldFit
    from registration.engine.matrices import Matrix
    from registration.engine.measuring import Measured
    from registration.engine.midscale import MidFit
    from registration.engine.nonrigid import Nodes
    from registration.engine.overviews import Levels
    from registration.engine.region import Region
    from registration.engine.regional import RegionalFit
    from registration.engine.slidefit import SlideFit

SLIDES, BENDING = "aligning the slides", "bending the slides"
REGION, CELLS = "fitting the region", "matching cells"
_FUSED = "Green where only the first slide is dark, magenta where only the second is, grey where both are."
_BLOCKS = (
    "Each arrow is a block's own best place, found free of any model, drawn three times as long; blue where "
    "it agrees with the transform, orange where not."
)
_LARGE_ENOUGH = 300
_NEAR_PX = 4.0  # of the image compared


def show_search(
    recorder: Recorder, fixed: Levels, moving: Levels, proposals: Callable[[], Sequence[Matrix]]
) -> None:
    """proposals : searches again, for the picture; moving_from_fixed, px of the full overviews."""
    recorder.picture(
        SLIDES,
        "Candidates",
        lambda: slide_pictures.candidates(
            fixed.quarter,
            moving.quarter,
            [between_scales(each, 1 / QUARTER, 1 / QUARTER) for each in proposals()],
        ),
        f"The places that the coarse search proposes, to be refined and judged. {_FUSED}",
    )


def show_slides(recorder: Recorder, fit: SlideFit) -> None:
    """What the slides were aligned on, and the affine."""
    fixed, moving = fit.overviews
    recorder.picture(
        SLIDES,
        "Overviews and masks",
        lambda: slide_pictures.overviews(fixed, moving),
        "How dark the stain is, as the search sees it; pale blue is filling or no scene and is left out.",
    )
    recorder.picture(
        SLIDES,
        "After the affine",
        lambda: slide_pictures.affine(fixed, moving, fit.matrix),
        f"{_FUSED} Beside it squares of one and the other in turn.",
    )
    recorder.picture(
        SLIDES,
        "Free matches around the affine",
        lambda: slide_pictures.blocks(fixed, held_out_blocks(fixed, moving, fit.matrix), _NEAR_PX),
        _BLOCKS,
    )


def _used(fit: SlideFit, mid: MidFit) -> str:
    if mid.evidence.worth_using:
        return "Left-out blocks ask for it: it is used."
    only = "; it is used only where it brings the landmarks closer and is not clearly worse"
    return f"Left-out blocks do not ask for it{only if len(fit.landmarks) else ', so it is not used'}."


def show_midscale(recorder: Recorder, fit: SlideFit, mid: MidFit) -> None:
    """The mid-scale field, used or not, and the held-out blocks that decide it."""
    fixed, moving = fit.overviews
    rows, columns = fixed.shape
    frame = Frame("overview", Size(columns, rows), None)

    def field() -> DisplacementField:
        first, step = mid.grid.first, float(mid.grid.spacing)
        return DisplacementField(mid.nodes, (first, first), (step, step), frame)

    recorder.picture(
        BENDING,
        "Mid-scale field",
        lambda: field_on(draw.fitted(slide_pictures.seen(fixed)), field(), frame.size.box),
        f"What it adds to the affine; px of the overview. {_used(fit, mid)}",
    )
    recorder.picture(
        BENDING,
        "Before and after the field",
        lambda: draw.beside(
            draw.labelled(draw.fitted(slide_pictures.overlay(fixed, moving, fit.matrix)), "affine alone"),
            draw.labelled(
                draw.fitted(slide_pictures.overlay_with_field(fixed, moving, fit.matrix, field())),
                "with the field",
            ),
        ),
        _FUSED,
    )
    recorder.picture(
        BENDING,
        "Held-out blocks before and after the field",
        lambda: _held_out(fixed, mid),
        "How far each block's free match lies from the affine (left), and from a field that was fitted "
        "without that block's surroundings (right); px of the overview.",
    )


def show_region(recorder: Recorder, found: Measured) -> None:
    """The affine around the region, and the cells' matches with the field fitted to them."""
    if not recorder.wants:
        return
    recorder.picture(REGION, "Free matches around the region", lambda: _regional(found.mids), _BLOCKS)
    region, field = found.region, found.field
    start = region.started(field.grid.node_points()).reshape(field.nodes.shape)
    recorder.picture(
        CELLS,
        "Nuclei before and after the field",
        lambda: draw.beside(
            draw.labelled(draw.fitted(_nuclei(region, field, start)), "before"),
            draw.labelled(draw.fitted(_nuclei(region, field, field.nodes)), "after"),
        ),
        f"The nuclear stain of both slides. {_FUSED}",
    )
    recorder.picture(
        CELLS,
        "What the matches ask for beyond the field",
        lambda: _left(region, field),
        "How far each cell's match lies from the fitted field.",
    )
    recorder.picture(
        CELLS,
        "Cell by cell",
        lambda: cell_evidence(field.cells),
        "Distances that the fit did not see, and how clear each match is. Grey: nothing to say.",
    )


def _held_out(fixed: Overview, mid: MidFit) -> Rgb:
    rows, columns = fixed.shape
    blocks, image, box = (
        mid.evidence.blocks,
        draw.fitted(slide_pictures.seen(fixed)),
        Box(0, 0, columns, rows),
    )
    before, after = (
        residuals(image, box, blocks.centres, off, _NEAR_PX, longest=20.0)
        for off in (blocks.before, blocks.crossed)
    )
    return draw.beside(before, after)


def _regional(fits: Sequence[RegionalFit]) -> Rgb:
    pictures = []
    for fit in fits:
        sides = (max(1, side // fit.downsample) for side in (fit.context.height, fit.context.width))
        paper = np.full((*sides, 3), 245, np.uint8)
        text = (
            f"1/{fit.downsample}: {fit.judged.share:.0%} of {fit.judged.blocks} agree, z {fit.judged.z:.1f}"
        )
        pictures.append(draw.labelled(slide_pictures.blocks_on(paper, fit.blocks, _NEAR_PX), text))
    return draw.tiled(pictures, 3)


def _nuclei(region: Region, field: FieldFit, nodes: Nodes) -> Rgb:
    level = _level(region)
    image = region.fixed_at(level)
    second = warped(region, field.grid, nodes, level, (image.shape[0], image.shape[1]))
    return draw.fused(draw.gray(image.astype(np.float32)), draw.gray(second.astype(np.float32)))


def _left(region: Region, field: FieldFit) -> Rgb:
    unit, level, matches = region.scale.downsample, _level(region), field.matches
    predicted = field.grid.evaluate(field.nodes, matches.xs, matches.ys)
    points = np.stack(np.meshgrid(matches.xs, matches.ys), axis=-1)[field.kept] * unit
    off = (matches.target - predicted)[field.kept] * unit
    image = draw.gray(region.fixed_at(level).astype(np.float32))
    rows, columns = image.shape[:2]
    box = Box(0, 0, int(columns * level * unit), int(rows * level * unit))
    return residuals(image, box, points, off, near=2.0 * unit)


def _level(region: Region) -> int:
    """The coarsest of the region's images that is still large enough to see something."""
    longer = max(region.fixed.shape)
    return next((level for level in (COARSEST, 4, 2) if longer >= _LARGE_ENOUGH * level), 1)
