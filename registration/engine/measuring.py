"""From a slide-level start to free matches of a region's cells: what all methods share."""

from __future__ import annotations

from dataclasses import dataclass, field

from registration.engine.config import RegistrationConfig
from registration.engine.constraints import NO_CONSTRAINTS, Landmarks
from registration.engine.geometry import Box, Size
from registration.engine.levelzero import FieldFit, fit_region
from registration.engine.localstart import LocalStart
from registration.engine.region import Region, read_region
from registration.engine.regional import RegionalFit, refit, supported
from registration.engine.source import PixelSource
from registration.engine.stages import Stages, Tick, no_tick
from registration.engine.transforms import Transform
from registration.engine.workingscale import WorkingScale, fit_box


@dataclass(frozen=True)
class RegionTask:
    """box : fixed level-0 px. start : the slide-level transform, an affine or an affine with a field.
    coarse_downsample : fixed level-0 px per px of its overview. landmarks : of the whole slide.
    """

    fixed: PixelSource
    moving: PixelSource
    box: Box
    start: Transform
    coarse_downsample: float
    config: RegistrationConfig
    landmarks: Landmarks = field(default_factory=lambda: NO_CONSTRAINTS.landmarks)


@dataclass(frozen=True)
class Measured:
    """mids : the start refitted around the region, from coarse to fine. region, field : of the box that the
    fit is made on, which is the task's box and some more. left_out : how many landmarks are contradicted.
    """

    mids: tuple[RegionalFit, ...]
    region: Region
    field: FieldFit
    left_out: int = 0

    @property
    def supported(self) -> RegionalFit:
        """What the region's surroundings confirm, at the finest scale at which they do."""
        return supported(self.mids)


def measured(task: RegionTask, stages: Stages) -> Measured:
    """Refits the start, to the landmarks too, reads the region and matches its cells."""
    mids = stages.run("fitting the region", 0, lambda: refitted(task, stages), until=20)
    return matched(task, mids, mids[-1].start, stages)


def matched(task: RegionTask, mids: tuple[RegionalFit, ...], start: LocalStart, stages: Stages) -> Measured:
    """Reads the region and matches its cells from `start` on."""
    region = stages.run("reading the region", 20, lambda: read_around(task, start, stages.tick), until=55)
    fit = stages.run(
        "matching cells", 55, lambda: fit_region(region, task.config.level_zero, stages.tick), until=90
    )
    return Measured(mids, region, fit)


def refitted(task: RegionTask, stages: Stages) -> tuple[RegionalFit, ...]:
    return refit(
        task.fixed,
        task.moving,
        task.start,
        task.box,
        task.coarse_downsample,
        task.config.level_zero,
        task.landmarks,
        stages.tick,
    )


def read_around(task: RegionTask, start: LocalStart, tick: Tick = no_tick) -> Region:
    """The region with its margin and context."""
    config = task.config.level_zero
    scale = WorkingScale.of(task.fixed, config)
    box = fit_box(task.box, Size(task.fixed.width, task.fixed.height), scale, config)
    return read_region(task.fixed, task.moving, start, box, scale, tick)
