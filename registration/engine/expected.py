"""The error to be expected at each place of a registered region."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Box, Points
from registration.engine.result import Level
from registration.engine.transforms import Transform

#: Stands for "nothing could be measured here" (glass, no scene).
UNMEASURED_PX = math.inf
#: Up to here (um; px at unknown um/px) a patch is good where cells match ...
PATCH_GOOD_UM, PATCH_GOOD_PX = 1.0, 4.0
#: ... and up to here to be checked: half a cell of 10 um. Beyond, neighbouring cells are compared.
PATCH_CHECK_UM, PATCH_CHECK_PX = 5.0, 20.0
#: The same where only regions match: beyond, not even the same gland is compared.
REGION_CHECK_UM, REGION_CHECK_PX = 100.0, 400.0
_PATCH_SHARE = 0.9


@dataclass(frozen=True)
class ErrorMap:
    """p90 : (rows, cols) float32, the error that nine places in ten stay below, fixed level-0 px; each value
    stands for the square `spacing` level-0 px wide whose first corner is `origin` + (col, row) * spacing.
    UNMEASURED_PX where there is nothing to measure.
    """

    p90: NDArray[np.float32]
    origin: tuple[float, float]
    spacing: float

    @property
    def measured(self) -> NDArray[np.bool_]:
        """(rows, cols): the squares about which something is known."""
        return self.p90 < UNMEASURED_PX

    def over(self, box: Box) -> float:
        """The error that nine places in ten of `box` (fixed level-0 px) stay below: of the squares it touches
        and in which there is something to measure; UNMEASURED_PX where there are none. At the edge, the
        nearest square's.
        """
        known = self.known(box)
        if known.size == 0:
            return UNMEASURED_PX
        return float(np.quantile(known, _PATCH_SHARE, method="higher"))

    def known(self, box: Box) -> NDArray[np.float32]:
        """(N,): what is known of the squares that `box` touches."""
        touched = self.within(box)
        return touched.p90[touched.measured]

    def within(self, box: Box) -> ErrorMap:
        """The map of the squares that `box` touches."""
        rows, columns = self.p90.shape
        first = (np.array((box.x, box.y)) - self.origin) // self.spacing
        last = -((self.origin - np.array((box.right, box.bottom))) // self.spacing)
        x, y = np.clip(first, 0, (columns - 1, rows - 1)).astype(int)
        right, bottom = np.maximum(np.clip(last, 1, (columns, rows)).astype(int), (x + 1, y + 1))
        origin = (self.origin[0] + float(x) * self.spacing, self.origin[1] + float(y) * self.spacing)
        return replace(self, p90=self.p90[y:bottom, x:right], origin=origin)

    def centres(self) -> Points:
        """(rows * cols, 2): the middles of the squares, fixed level-0 px."""
        rows, columns = self.p90.shape
        xs, ys = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
        centres: Points = np.stack((xs.ravel(), ys.ravel()), axis=-1) * self.spacing + self.origin
        return centres


def of_another(errors: ErrorMap, measured: Transform, handed_out: Transform) -> ErrorMap:
    """The map of a transform that is not the one that the evidence is about: a similarity where a field was
    measured, say. What lies between the two is added to what is expected of the first.
    """
    centres = errors.centres()
    moved = np.linalg.norm(measured(centres) - handed_out(centres), axis=1)
    px = moved.reshape(errors.p90.shape) / _scale(measured, errors)
    return replace(errors, p90=np.hypot(errors.p90, px).astype(np.float32))


def _scale(transform: Transform, errors: ErrorMap) -> float:
    """Moving px per fixed px, across the map."""
    diagonal = np.array(errors.p90.shape[::-1]) * errors.spacing
    ends = transform(np.array((errors.origin, errors.origin + diagonal)))
    return float(np.linalg.norm(ends[1] - ends[0]) / np.linalg.norm(diagonal))


def patch_verdict(expected: float, unit_is_um: bool = True, *, cells_match: bool = True) -> Level:
    """What a patch's expected error (p90) allows. expected : um, or px with unit_is_um False.

    cells_match : whether the region was matched cell by cell; if not, no patch is good: the cells differ.
    """
    good, check = (PATCH_GOOD_UM, PATCH_CHECK_UM) if unit_is_um else (PATCH_GOOD_PX, PATCH_CHECK_PX)
    if not cells_match:
        good, check = 0.0, REGION_CHECK_UM if unit_is_um else REGION_CHECK_PX
    if expected <= good:
        return Level.GOOD
    return Level.CHECK if expected <= check else Level.REFUSED
