"""What the level-0 stage saw of each cell that its own fit did not use: the ground of the expected error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]


@dataclass(frozen=True)
class CellEvidence:
    """One value per cell of a regular grid; (rows, cols) float64 unless said otherwise. px are fixed level-0.

    xs, ys : (cols,), (rows,) cell centres, px from the region's corner.
    held_out_px : distance of the cell's free match from a field fitted without it and its surroundings; NaN
    where the cell has no usable match.
    wide_px : distance of a second, independent match, which looks much further (see LevelZeroConfig.check),
    from the field that is handed out (one refitted to these matches would follow those of a lost fit and find
    nothing); NaN where its window shows nothing to match, infinite where it does but nothing is found within
    the search.
    half_px : how far two fields, each fitted to one half of the cells (a checkerboard of squares), lie apart.
    score, curvature, gap : of the match of the last pass: correlation, how sharply it falls in the blunter
    direction (per px^2 of that pass), and how far it stands above the best other peak of the search. 0 where
    the window is flat or invalid.
    weight : of the match, 0 to 1; 0 is a miss.
    textured : (rows, cols) bool: scene in both slides and enough contrast to be matched.
    """

    xs: Plane
    ys: Plane
    held_out_px: Plane
    wide_px: Plane
    half_px: Plane
    score: Plane
    curvature: Plane
    gap: Plane
    weight: Plane
    textured: NDArray[np.bool_]
