"""The error to be expected at each place of a registered region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Box


@dataclass(frozen=True)
class ErrorMap:
    """p90 : (rows, cols) float32, the error that nine places in ten stay below, fixed level-0 px; each value
    stands for the square `spacing` level-0 px wide whose first corner is `origin` + (col, row) * spacing.
    """

    p90: NDArray[np.float32]
    origin: tuple[float, float]
    spacing: float

    def over(self, box: Box) -> float:
        """The largest expected error of the squares that `box` (fixed level-0 px) touches; at the edge, the
        nearest square's.
        """
        rows, columns = self.p90.shape
        first = (np.array((box.x, box.y)) - self.origin) // self.spacing
        last = -((self.origin - np.array((box.right, box.bottom))) // self.spacing)
        x, y = np.clip(first, 0, (columns - 1, rows - 1)).astype(int)
        right, bottom = np.maximum(np.clip(last, 1, (columns, rows)).astype(int), (x + 1, y + 1))
        return float(self.p90[y:bottom, x:right].max())
