"""What a transform is, and how transforms are composed.

Direction: moving_from_fixed (pull). A transform takes points of its `fixed` frame, where one wants to know
something, to its `moving` frame, where to look. Points are (N, 2) float64, xy, level-0 px, corner-based.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from registration.engine.errors import EngineError
from registration.engine.geometry import Frame, Points


class FrameMismatch(EngineError):
    """Two transforms were chained whose frames don't meet."""

    def __init__(self, outer: Frame, inner: Frame) -> None:
        super().__init__(
            "frame_mismatch",
            f"The first transform ends in {inner}, but the second one starts from {outer}; "
            "they must be the same frame.",
        )


class Transform(ABC):
    """A map from the level-0 px of `fixed` to those of `moving`. Immutable."""

    @property
    @abstractmethod
    def fixed(self) -> Frame: ...

    @property
    @abstractmethod
    def moving(self) -> Frame: ...

    @abstractmethod
    def inverse(self) -> Transform:
        """The map back, fixed_from_moving."""

    @abstractmethod
    def _map(self, points: Points) -> Points:
        """`points` : (N, 2) float64; returns a new (N, 2) float64."""

    def __call__(self, points: ArrayLike) -> Points:
        """points : (N, 2), xy, fixed level-0 px; N may be 0. Returns (N, 2) float64, moving level-0 px."""
        array = np.asarray(points, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != 2:
            raise ValueError(f"points have shape {array.shape}; (N, 2) is needed")
        return self._map(array)

    def on_grid(self, xs: ArrayLike, ys: ArrayLike) -> Points:
        """The transform of every (x, y) of a grid: (len(ys), len(xs), 2) float64, moving level-0 px."""
        columns, rows = np.meshgrid(np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64))
        points = np.stack((columns, rows), axis=-1)
        return self._map(points.reshape(-1, 2)).reshape(points.shape)

    def __matmul__(self, inner: Transform) -> Transform:
        """(g @ f)(x) == g(f(x)). Raises FrameMismatch unless f ends where g starts."""
        return compose(self, inner)

    def _merged(self, inner: Transform) -> Transform | None:
        """One transform that equals self @ inner, if there is one of a simple kind."""
        return None


class Composite(Transform):
    """parts : as written with @, so the last one is applied first."""

    def __init__(self, parts: tuple[Transform, ...]) -> None:
        for outer, inner in pairwise(parts):
            check_frames(outer, inner)
        self.parts = parts

    @property
    def fixed(self) -> Frame:
        return self.parts[-1].fixed

    @property
    def moving(self) -> Frame:
        return self.parts[0].moving

    def inverse(self) -> Transform:
        return Composite(tuple(part.inverse() for part in reversed(self.parts)))

    def _map(self, points: Points) -> Points:
        for part in reversed(self.parts):
            points = part(points)
        return points

    def on_grid(self, xs: ArrayLike, ys: ArrayLike) -> Points:
        grid = self.parts[-1].on_grid(xs, ys)
        points = grid.reshape(-1, 2)
        for part in reversed(self.parts[:-1]):
            points = part(points)
        return points.reshape(grid.shape)


def check_frames(outer: Transform, inner: Transform) -> None:
    if outer.fixed != inner.moving:
        raise FrameMismatch(outer.fixed, inner.moving)


def compose(outer: Transform, inner: Transform) -> Transform:
    """outer @ inner, with neighbours that can be one (two affines) made one."""
    check_frames(outer, inner)
    parts: list[Transform] = []
    for part in (*_parts(outer), *_parts(inner)):
        merged = parts[-1]._merged(part) if parts else None
        if merged is None:
            parts.append(part)
        else:
            parts[-1] = merged
    return parts[0] if len(parts) == 1 else Composite(tuple(parts))


def _parts(transform: Transform) -> tuple[Transform, ...]:
    return transform.parts if isinstance(transform, Composite) else (transform,)
