"""From the evidence to the expected error: a log-linear model of the error's ninth decile, calibrated.

    log p90 = intercept + sum weight_i * feature_i          (weights >= 0: evidence of error only ever adds)

The coefficients are in calibration_table.py, which benchmarks/calibrate.py writes; docs/calibration.md tells
how. Where free matches contradict the field, or none is near, no model is asked: the fit is lost there.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.blockfeatures import block_features, lost_blocks
from registration.engine.blockmatch import Blocks
from registration.engine.calibration_table import (
    BLOCK_INTERCEPT,
    BLOCK_QUANTILES,
    BLOCK_WEIGHTS,
    CELL_INTERCEPT,
    CELL_QUANTILES,
    CELL_WEIGHTS,
)
from registration.engine.cellevidence import CellEvidence
from registration.engine.errorfeatures import CELLS, cell_features, cell_unit, lost_share
from registration.engine.expected import UNMEASURED_PX, ErrorMap
from registration.engine.geometry import Box, Points
from registration.engine.result import Spread

Plane = NDArray[np.float64]

#: Stated errors stay within these, units: below, the truth of the calibration is too coarse; beyond, nothing
#: was searched.
STATED_UNITS = (0.2, 400.0)
#: Stated where the fit is lost, units: the wide check looks 32 units far and found nothing that agrees.
LOST_UNITS = 200.0
#: Share of the free matches around a place that must contradict the field for the fit to be lost there.
LOST_SHARE = 0.5
#: The same for blocks: px of the image that they were matched on (about 2 um).
STATED_BLOCK_PX = (0.2, 100.0)
LOST_BLOCK_PX = 50.0
#: Of blocks chance alone makes one in ten agree.
LOST_BLOCK_SHARE = 0.9
#: Side of a square of the map from cells, units.
CELL_SQUARE = 16 * CELLS
#: Side of a square of the map from blocks, px of that image.
BLOCK_SQUARE = 16
#: Share of a square that must show tissue for something to be stated of it.
TISSUE_NEEDED = 0.1


@dataclass(frozen=True)
class ErrorModel:
    """weights : one per feature, >= 0. quantiles : log(error / stated p90) at 0.025, 0.075 ... 0.975."""

    intercept: float
    weights: tuple[float, ...]
    quantiles: tuple[float, ...]

    def p90(self, features: Plane) -> Plane:
        """features : (..., K). Returns (...) the ninth decile, in the features' units."""
        # Term by term, not through BLAS: the same bits with any number of threads.
        total = np.full(features.shape[:-1], self.intercept)
        for index, weight in enumerate(self.weights):
            total += weight * features[..., index]
        p90: Plane = np.exp(total)
        return p90

    def spread(self, p90: Plane) -> Spread | None:
        """Median and ninth decile of the errors at all places whose stated p90 are given, in their unit."""
        if p90.size == 0:
            return None
        # The places' log-error distributions, mixed: every place counts once with each quantile.
        logs = np.log(p90.ravel())[:, None] + np.array(self.quantiles)
        median, ninth = np.exp(np.quantile(logs, (0.5, 0.9)))
        return Spread(float(median), float(ninth))


CELL_MODEL = ErrorModel(CELL_INTERCEPT, CELL_WEIGHTS, CELL_QUANTILES)
BLOCK_MODEL = ErrorModel(BLOCK_INTERCEPT, BLOCK_WEIGHTS, BLOCK_QUANTILES)


def cell_error_map(
    evidence: CellEvidence, corner: tuple[float, float], tissue: NDArray[np.float32] | None = None
) -> ErrorMap:
    """The expected error of the level-0 field.

    corner : of the region that the evidence is of, fixed level-0 px. tissue : any shape, 1 where the fixed
    slide shows tissue, over the same area as the cells; None: everywhere.
    """
    unit = cell_unit(evidence)
    lost = lost_share(evidence) > LOST_SHARE
    stated = _stated(CELL_MODEL, cell_features(evidence), lost, STATED_UNITS, LOST_UNITS)
    return _map(stated * unit, corner, unit * CELL_SQUARE, tissue)


def block_error_map(
    blocks: Blocks, context: Box, downsample: int, box: Box, tissue: NDArray[np.float32] | None = None
) -> ErrorMap:
    """The expected error over `box` of a transform around which blocks were matched freely.

    context : what the blocks' image shows, box : what the map is to show, fixed level-0 px. downsample :
    those per px of that image. tissue : as for cell_error_map, over `box`.
    """
    spacing = BLOCK_SQUARE * downsample
    columns, rows = (-(-side // spacing) for side in (box.width, box.height))
    xs, ys = (((np.arange(count) + 0.5) * spacing) for count in (columns, rows))
    points: Points = np.stack(np.meshgrid(xs, ys), axis=-1)
    places = (points + np.array((box.x - context.x, box.y - context.y))) / downsample
    # Row by row: all places times all blocks would be too much at once on a large region.
    stated = np.stack([_stated_at(blocks, row) for row in places])
    return _map(stated * downsample, (box.x, box.y), spacing, tissue)


def _stated_at(blocks: Blocks, places: Points) -> Plane:
    lost = lost_blocks(blocks, places) > LOST_BLOCK_SHARE
    return _stated(BLOCK_MODEL, block_features(blocks, places), lost, STATED_BLOCK_PX, LOST_BLOCK_PX)


def _stated(
    model: ErrorModel,
    features: Plane,
    lost: NDArray[np.bool_],
    limits: tuple[float, float],
    lost_px: float,
) -> Plane:
    stated = np.clip(model.p90(features), *limits)
    kept: Plane = np.where(lost, np.maximum(stated, lost_px), stated)
    return kept


def _map(
    px: Plane, corner: tuple[float, float], spacing: float, tissue: NDArray[np.float32] | None
) -> ErrorMap:
    if tissue is not None:
        rows, columns = px.shape
        share = cv2.resize(np.asarray(tissue, np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
        px = np.where(share < TISSUE_NEEDED, UNMEASURED_PX, px)
    return ErrorMap(px.astype(np.float32), corner, spacing)


def stated_spread(errors: ErrorMap, box: Box, model: ErrorModel = CELL_MODEL) -> Spread | None:
    """Median and p90 of the error over `box`, fixed level-0 px; None where nothing was measured there."""
    return model.spread(errors.known(box).astype(np.float64))
