"""What a person says about a pair: landmarks that must meet, and regions to leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from registration.engine.errors import EngineError
from registration.engine.geometry import Box, Points
from registration.engine.source import Mask, PixelSource, Rgb

#: Corners further off than this (px) are brought to it: OpenCV takes no larger ones, and no slide is larger.
_FURTHEST = 2_000_000
#: Of a landmark. Beyond, sums with the other rows of a fit lose their digits.
LEAST_WEIGHT, LARGEST_WEIGHT = 0.001, 1000.0


@dataclass(frozen=True)
class Landmarks:
    """fixed, moving : (N, 2) float64, xy, level-0 px of each slide, row i the same place. weight : (N,), > 0;
    1 counts as much as a whole window of the image that agrees perfectly, over again in each node's square.
    """

    fixed: Points
    moving: Points
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.fixed)

    @property
    def swapped(self) -> Landmarks:
        return Landmarks(self.moving, self.fixed, self.weight)

    def where(self, kept: NDArray[np.bool_]) -> Landmarks:
        """kept : (N,)."""
        return Landmarks(self.fixed[kept], self.moving[kept], self.weight[kept])

    def inside(self, box: Box) -> Landmarks:
        """box : fixed level-0 px."""
        after = np.all(self.fixed >= (box.x, box.y), axis=1)
        return self.where(after & np.all(self.fixed < (box.right, box.bottom), axis=1))


@dataclass(frozen=True)
class Constraints:
    """exclude_fixed, exclude_moving : polygons, each (N, 2) float64, N >= 3, level-0 px of that slide."""

    landmarks: Landmarks = field(default_factory=lambda: checked_landmarks((), ()))
    exclude_fixed: tuple[Points, ...] = ()
    exclude_moving: tuple[Points, ...] = ()

    @property
    def swapped(self) -> Constraints:
        """The same, seen from the other slide."""
        return Constraints(self.landmarks.swapped, self.exclude_moving, self.exclude_fixed)


def checked_landmarks(fixed: ArrayLike, moving: ArrayLike, weight: ArrayLike | None = None) -> Landmarks:
    """Raises EngineError("bad_landmarks", field="landmarks") for other shapes, numbers that are not finite,
    weights outside LEAST_WEIGHT to LARGEST_WEIGHT, or two landmarks at the same place.
    """
    ends = [np.array(points, np.float64).reshape(-1, 2) for points in (fixed, moving)]
    weights = np.ones(len(ends[0])) if weight is None else np.array(weight, np.float64).ravel()
    if not len(ends[0]) == len(ends[1]) == len(weights):
        raise _bad(f"{len(ends[0])} landmarks on one slide have {len(ends[1])} partners on the other")
    if not all(np.isfinite(values).all() for values in (*ends, weights)):
        raise _bad("a coordinate or weight is not a finite number")
    if ((weights < LEAST_WEIGHT) | (weights > LARGEST_WEIGHT)).any():
        raise _bad(f"a weight is not between {LEAST_WEIGHT:g} and {LARGEST_WEIGHT:g}")
    for points in ends:
        if len(np.unique(points, axis=0)) < len(points):
            raise _bad("two landmarks lie at the same place")
    return Landmarks(ends[0], ends[1], weights)


def checked_polygons(polygons: Sequence[ArrayLike]) -> tuple[Points, ...]:
    """Raises EngineError("bad_polygon", field="exclude")."""
    checked = tuple(np.array(polygon, np.float64) for polygon in polygons)
    for polygon in checked:
        if polygon.ndim != 2 or polygon.shape[1] != 2 or len(polygon) < 3 or not np.isfinite(polygon).all():
            raise EngineError(
                "bad_polygon",
                "A region to leave out needs at least three corners (x, y) in level-0 px.",
                field="exclude",
            )
    return checked


class Excluding:
    """A PixelSource with polygons cut out: white and invalid there."""

    def __init__(self, source: PixelSource, polygons: Sequence[Points]) -> None:
        self._source = source
        self._polygons = polygons

    @property
    def width(self) -> int:
        return self._source.width

    @property
    def height(self) -> int:
        return self._source.height

    @property
    def um_per_px(self) -> tuple[float, float] | None:
        return self._source.um_per_px

    def read(self, x: float, y: float, columns: int, rows: int, downsample: float) -> tuple[Rgb, Mask]:
        rgb, valid = self._source.read(x, y, columns, rows, downsample)
        cut = np.zeros((rows, columns), np.uint8)
        for polygon in self._polygons:
            corners = np.rint((polygon - (x, y)) / downsample - 0.5)
            cv2.fillPoly(cut, [np.clip(corners, -_FURTHEST, _FURTHEST).astype(np.int32)], 1)
        left_out = cut.astype(bool)
        return np.where(left_out[..., None], np.uint8(255), rgb), valid & ~left_out


def excluding(source: PixelSource, polygons: Sequence[Points]) -> PixelSource:
    """`source` itself where nothing is cut out."""
    return Excluding(source, polygons) if polygons else source


def _bad(what: str) -> EngineError:
    return EngineError("bad_landmarks", f"These landmarks can't be used: {what}.", field="landmarks")


NO_CONSTRAINTS = Constraints()
