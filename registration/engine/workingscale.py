"""The px that the level-0 stage counts in, and the box it works on.

A slide finer than the finest pass is read coarser, by a power of 2, so that a nucleus has about the same
number of px on every slide. All lengths in um become powers of 2 of those px: cells, nodes and boxes then lie
on one lattice of the whole slide, and two regions that overlap see the same cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from registration.engine.config.levelzero import CostPass, LevelZeroConfig
from registration.engine.geometry import Box, Size
from registration.engine.inputs import um_taken
from registration.engine.source import PixelSource


@dataclass(frozen=True)
class Step:
    """A pass in working px. downsample : working px per px of the images compared, a power of 2."""

    downsample: int
    cell: int
    reach: int
    sigma: float

    @property
    def cell_px(self) -> int:
        """Side of a cell in working px."""
        return self.cell * self.downsample


@dataclass(frozen=True)
class WorkingScale:
    """downsample : fixed level-0 px per working px, a power of 2. um : per working px."""

    downsample: int
    um: float

    @classmethod
    def of(cls, fixed: PixelSource, config: LevelZeroConfig) -> WorkingScale:
        um = um_taken(fixed)
        downsample = power_of_2(config.finest_um / um)
        return cls(downsample, um * downsample)

    def px(self, um: float) -> int:
        """The power of 2 of working px nearest to a length, at least 1."""
        return power_of_2(um / self.um)

    def shows_cells(self, config: LevelZeroConfig) -> bool:
        """Whether the slide is fine enough for any of the passes."""
        return any(self._sees(step) for step in config.passes)

    def steps(self, config: LevelZeroConfig) -> list[Step]:
        """The passes that the slide is fine enough for; at least one."""
        seen = [step for step in config.passes if self._sees(step)] or [config.passes[0]]
        return [self._step(step) for step in seen]

    def check(self, config: LevelZeroConfig) -> Step:
        """The check, on the cells of the last step."""
        step, cell_px = self._step(config.check), self.steps(config)[-1].cell_px
        downsample = min(step.downsample, cell_px)
        return Step(downsample, cell_px // downsample, step.reach, step.sigma)

    def spacing(self, config: LevelZeroConfig) -> int:
        """Working px between nodes: no less than two cells of the last step."""
        return max(self.px(config.node_um), 2 * self.steps(config)[-1].cell_px)

    def _sees(self, step: CostPass) -> bool:
        """Whether this is no finer than the working px, give or take the rounding to powers of 2."""
        return step.um_per_px * math.sqrt(2) > self.um

    def _step(self, step: CostPass) -> Step:
        return Step(self.px(step.um_per_px), step.cell, step.reach, step.sigma)


def power_of_2(ratio: float) -> int:
    """The nearest power of 2 (by ratio), at least 1."""
    return int(2 ** max(0, round(math.log2(ratio))))


def fit_box(box: Box, slide: Size, scale: WorkingScale, config: LevelZeroConfig) -> Box:
    """The region with its margin and context, out to a lattice of the slide; fixed level-0 px."""
    largest_cell = max(step.cell_px for step in scale.steps(config))
    unit = max(scale.spacing(config), largest_cell) * scale.downsample
    margin, least = (round(um / scale.um) * scale.downsample for um in (config.margin_um, config.context_um))
    x, right = _grown(box.x, box.right, slide.width, margin, least, unit)
    y, bottom = _grown(box.y, box.bottom, slide.height, margin, least, unit)
    return Box(x, y, right - x, bottom - y)


def _grown(start: int, stop: int, limit: int, margin: int, least: int, unit: int) -> tuple[int, int]:
    """`least` : the length aimed at; all on multiples of `unit`, except for the slide's end."""
    more = max(margin, (least - (stop - start)) // 2)
    first = max(0, start - more) // unit * unit
    last = min(limit, -(-(stop + more) // unit) * unit)
    missing = min(least, limit) - (last - first)
    if missing > 0:
        first = max(0, (first - missing) // unit * unit)
        last = min(limit, -(-(first + least) // unit) * unit)
    return first, max(last, stop)
