"""Tissue whose truth is known, and the cases that are made of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Box, Frame, Points, Size
from registration.engine.robust import fit
from registration.engine.source import PixelSource
from registration.engine.synthetic.warped import WarpedSource, frame_of
from registration.engine.tissue import tissue_mask
from registration.engine.transforms import AffineTransform, Transform

#: Places of a slide that are looked at for tissue.
_SEARCHED = 4000


@dataclass(frozen=True, eq=False)
class Material:
    """Two images of the same tissue. specimen : what must not be found on any other specimen.

    moving_from_fixed : the truth; for landmarks only about right, and used to find the overlap. landmarks :
    (fixed, moving), (N, 2) each, level-0 px, where only these are known. same_section : cells match.
    """

    name: str
    specimen: str
    fixed: PixelSource
    moving: PixelSource
    moving_from_fixed: Transform
    same_section: bool
    landmarks: tuple[Points, Points] | None = None

    @cached_property
    def tissue(self) -> Points:
        """(N, 2) fixed level-0 px: places in the tissue, regularly spaced."""
        return tissue_points(self.fixed)

    @cached_property
    def scale(self) -> float:
        """Moving px per fixed px."""
        size = Size(self.fixed.width, self.fixed.height)
        corners = self.moving_from_fixed(size.box.corners())
        return float(np.linalg.norm(corners[2] - corners[0]) / size.diagonal)


@dataclass(frozen=True, eq=False)
class Case:
    """truth : moving_from_fixed; None where it is known at `points` only, or where there is none.

    points : (N, 2) fixed level-0 px in tissue that both slides show. targets : (N, 2) their true places on
    the moving slide; None for a wrong pair, which must be refused. overlap : share of the tissue of the slide
    that shows more of it which the other one shows too. same_section : whether cells match one to one.
    """

    name: str
    group: str
    fixed: PixelSource
    moving: PixelSource
    truth: Transform | None
    points: Points
    targets: Points | None
    overlap: float
    same_section: bool

    @property
    def wrong(self) -> bool:
        return self.targets is None

    @property
    def diagonal(self) -> float:
        """Of the moving slide, level-0 px."""
        return math.hypot(self.moving.width, self.moving.height)

    def errors(self, transform: Transform) -> NDArray[np.float64]:
        """(N,) moving level-0 px: how far from its target `transform` takes each point."""
        if self.targets is None:
            raise ValueError("a wrong pair has no right answer")
        errors: NDArray[np.float64] = np.linalg.norm(transform(self.points) - self.targets, axis=1)
        return errors

    def median_error(self, transform: Transform) -> tuple[float, float]:
        """(share of the moving slide's diagonal, moving level-0 px)."""
        median = float(np.median(self.errors(transform)))
        return median / self.diagonal, median


def same_image(name: str, source: PixelSource, specimen: str | None = None) -> Material:
    """Material from one image: the other slide is the same pixels, later stained otherwise."""
    truth = AffineTransform(np.eye(3), frame_of(source, "fixed"), frame_of(source, "moving"))
    return Material(name, specimen or name, source, source, truth, same_section=True)


def from_landmarks(
    name: str, specimen: str, fixed: PixelSource, moving: PixelSource, landmarks: tuple[Points, Points]
) -> Material:
    """Consecutive sections of which only landmarks are known; an affine through them tells the overlap."""
    matrix = fit(*landmarks, np.ones(len(landmarks[0])), "affine")
    truth = AffineTransform(matrix, frame_of(fixed, "fixed"), frame_of(moving, "moving"))
    return Material(name, specimen, fixed, moving, truth, same_section=False, landmarks=landmarks)


def cut(source: PixelSource, part: Box, *, known: bool = True) -> WarpedSource:
    """A part of a slide as a fixed slide of its own; `known`: whether it states um/px."""
    shown = Frame("fixed", part.size, source.um_per_px if known else None)
    matrix = np.array([(1, 0, part.x), (0, 1, part.y), (0, 0, 1)], np.float64)
    return WarpedSource(source, AffineTransform(matrix, shown, frame_of(source, "fixed")))


def tissue_points(source: PixelSource) -> Points:
    """(N, 2) level-0 px: a regular grid of about _SEARCHED points on the slide, those that show tissue."""
    downsample = max(1.0, math.sqrt(source.width * source.height / _SEARCHED) / 4)
    columns, rows = (max(1, int(side / downsample)) for side in (source.width, source.height))
    mask = tissue_mask(*source.read(0, 0, columns, rows, downsample))
    row, column = np.nonzero(mask[2::4, 2::4])
    points: Points = (np.stack((column, row), axis=-1).astype(np.float64) * 4 + 2.5) * downsample
    return points


def within(points: Points, size: Size) -> NDArray[np.bool_]:
    return inside(points, size.box)


def inside(points: Points, box: Box) -> NDArray[np.bool_]:
    on_it = (points >= (box.x, box.y)) & (points <= (box.right, box.bottom))
    return np.asarray(on_it.all(axis=1), np.bool_)
