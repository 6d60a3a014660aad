"""The expected error of a registered region, from what its fit left as evidence."""

from __future__ import annotations

from dataclasses import replace

from registration.engine.errormodel import (
    BLOCK_MODEL,
    BLOCK_SQUARE,
    CELL_MODEL,
    CELL_SQUARE,
    LOST_BLOCK_PX,
    LOST_UNITS,
    block_error_map,
    cell_error_map,
    stated_spread,
)
from registration.engine.expected import ErrorMap, of_another
from registration.engine.geometry import Box
from registration.engine.levelzero import FieldFit
from registration.engine.quality import RegionEvidence
from registration.engine.region import Region
from registration.engine.regional import RegionalFit
from registration.engine.result import Spread
from registration.engine.transforms import Transform


def cells_error(region: Region, field: FieldFit, measured: Transform, handed_out: Transform) -> ErrorMap:
    """Of a transform whose cells match. measured : affine and field, which the cells' evidence is about;
    handed_out : the same, or another (a similarity): what lies between the two is added.
    """
    errors = cell_error_map(field.cells, (region.box.x, region.box.y), region.fixed_tissue)
    return errors if handed_out is measured else of_another(errors, measured, handed_out)


def blocks_error(region: Region, mid: RegionalFit, handed_out: Transform) -> ErrorMap:
    """Of a transform whose cells don't match: blocks were matched around the start of `mid`."""
    errors = block_error_map(mid.blocks, mid.context, mid.downsample, region.box, region.fixed_tissue)
    measured = mid.start.transform
    return errors if handed_out is measured else of_another(errors, measured, handed_out)


def error_spread(errors: ErrorMap, box: Box, *, cells_match: bool) -> Spread | None:
    """Median and p90 of the error over `box`, fixed level-0 px; None where nothing was measured there."""
    return stated_spread(errors, box, CELL_MODEL if cells_match else BLOCK_MODEL)


def lost_share(errors: ErrorMap, box: Box, *, cells_match: bool) -> float:
    """Share of the tissue in `box` where the fit could not be confirmed; 0 where there is none."""
    unit = errors.spacing / (CELL_SQUARE if cells_match else BLOCK_SQUARE)
    limit = unit * (LOST_UNITS if cells_match else LOST_BLOCK_PX)
    known = errors.known(box)
    return float((known >= 0.99 * limit).mean()) if known.size else 0.0


def judged_by(evidence: RegionEvidence, errors: ErrorMap, box: Box, *, cells_match: bool) -> RegionEvidence:
    """The evidence with what the map says of it: the error handed out, and where the fit is lost."""
    return replace(
        evidence,
        error_px=error_spread(errors, box, cells_match=cells_match),
        lost=lost_share(errors, box, cells_match=cells_match),
    )
