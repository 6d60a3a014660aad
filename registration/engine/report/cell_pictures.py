"""What the level-0 stage measured cell by cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from registration.engine.report import draw
from registration.engine.source import Rgb

if TYPE_CHECKING:
    from registration.engine.cellevidence import CellEvidence

_SIDE = 300
_MOST_CELLS = 600


def cell_evidence(cells: CellEvidence) -> Rgb:
    """Six maps of the cells; grey where a cell says nothing.

    Distances are in fixed level-0 px and end at the largest of their 95th percentiles.
    """
    distances = (
        ("left out of the fit: distance", cells.held_out_px),
        ("second, wider look: distance", cells.wide_px),
        ("two fits on half of the cells: apart", cells.half_px),
    )
    high = max(_high(values) for _, values in distances)
    maps = [
        draw.labelled(draw.heat_with_scale(_shown(values), high, "px", _SIDE), name)
        for name, values in distances
    ]
    shares = (
        ("correlation", cells.score, 1.0),
        ("lead over the next peak", cells.gap, 0.3),
        ("weight", cells.weight, 1.0),
    )
    for name, values, most in shares:
        known = np.where(cells.textured, values, np.nan)
        maps.append(draw.labelled(draw.heat_with_scale(_shown(known), most, "", _SIDE), name))
    return draw.tiled(maps, 3)


def _shown(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every n-th cell, so that the picture stays small."""
    step = -(-max(values.shape) // _MOST_CELLS)
    return values[::step, ::step]


def _high(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return max(0.1, float(np.percentile(known, 95))) if known.size else 0.1
