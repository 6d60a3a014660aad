"""Landmarks in a region. Where its cells match they have answered, far more exactly than a hand can click; a
landmark is followed only where no cells do.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from registration.engine.config.levelzero import LevelZeroConfig
from registration.engine.constraints import Landmarks
from registration.engine.inputs import um_taken
from registration.engine.levelzero import FieldFit, fit_pinned
from registration.engine.measuring import Measured, RegionTask
from registration.engine.nonrigid import Pins
from registration.engine.quality import Z_NEEDED
from registration.engine.region import Region
from registration.engine.regional import RegionalFit
from registration.engine.regionmid import FINEST_UM
from registration.engine.source import Mask
from registration.engine.stages import Stages

#: Half a nucleus. A landmark further than this from where the cells around it lie is not on the one it was
#: meant for; a careful click is some 2 um off.
SLIP_UM = 5.0
#: A place is the cells' own where so many cells of those within a node's distance agree, and most of those
#: that show something. Chance lets one in 300 agree.
_OWN_SHARE, _MOST = 0.125, 0.5
#: Further off than this landmarks are not where structures agree, px of the images compared, FINEST_UM at
#: least. True ones on consecutive sections can be half as far off, where one of the two bends.
_OFF_STRUCTURES = 12.0


def heeded(task: RegionTask, found: Measured, stages: Stages) -> Measured:
    """found : whose cells match. Landmarks amid cells that agree are not used. With the others a second field
    is fitted, which must cost no cells and no stiffness.
    """
    config = task.config.level_zero
    pins = pins_of(task.landmarks, found.region)
    known = amid_cells(found, pins, config)
    off = np.linalg.norm(found.field.grid.evaluate_at(found.field.nodes, pins.points) - pins.target, axis=1)
    slips = int((known & (off * found.region.scale.um > SLIP_UM)).sum())
    asking = Pins(pins.points[~known], pins.target[~known], pins.weight[~known])
    if not len(asking):
        return replace(found, left_out=slips)
    pinned = stages.run(
        "following landmarks",
        0,
        lambda: fit_pinned(found.region, config, found.field, asking, stages.tick),
        until=100,
    )
    if _costs(found, pinned, config):
        return replace(found, left_out=slips + len(asking))
    return replace(found, field=pinned, left_out=slips)


def far_from(task: RegionTask, mid: RegionalFit) -> int:
    """How many landmarks the structures around them contradict; none where those do not agree themselves."""
    if mid.judged.z < Z_NEEDED:
        return 0
    marks = task.landmarks.inside(mid.context)
    off = np.linalg.norm(mid.start.transform(marks.fixed) - marks.moving, axis=1)
    fixed_um, moving_um = (um_taken(one) for one in (task.fixed, task.moving))
    return int((off * moving_um > _OFF_STRUCTURES * max(FINEST_UM, mid.downsample * fixed_um)).sum())


def amid_cells(found: Measured, pins: Pins, config: LevelZeroConfig) -> Mask:
    """(N,): the pins around which cells agree with the field, which has not been fitted to the pins."""
    unit, scale = found.region.scale.downsample, found.region.scale
    cells, matches = found.field.cells, found.field.matches
    agree = found.field.kept & (cells.wide_px * scale.um <= config.agreement_um * unit)
    known = np.zeros(len(pins), np.bool_)
    for number, (x, y) in enumerate(pins.points):
        near = np.hypot(matches.xs[None, :] - x, matches.ys[:, None] - y) * scale.um <= config.node_um
        count, seen = int(agree[near].sum()), int(cells.textured[near].sum())
        known[number] = count > 0 and count >= max(_OWN_SHARE * near.sum(), _MOST * seen)
    return known


def _costs(found: Measured, pinned: FieldFit, config: LevelZeroConfig) -> bool:
    """Whether more windows are lost than see the same px as one does (the effective area of its Gaussian), or
    the field had to be made stiffer. Exact landmarks where tissue is missing cost 2 % of the windows at most,
    those with a slip among them from 7 % on.
    """
    window = 4 * math.pi * found.region.scale.check(config).sigma ** 2
    lost = found.field.hits - pinned.hits
    return lost > window or pinned.stiffened > found.field.stiffened


def pins_of(landmarks: Landmarks, region: Region) -> Pins:
    """The landmarks inside the region's box, as displacements before its affine; working px."""
    marks, unit = landmarks.inside(region.box), region.scale.downsample
    wanted = region.start.affine.inverse()(marks.moving) - marks.fixed
    return Pins((marks.fixed - (region.box.x, region.box.y)) / unit, wanted / unit, marks.weight)
