"""Stage D, polished: the field made to agree with all pixels, a few px at most from where the blocks put it.

Maximised over a correction d at the nodes, at half scale:

    mean over windows of their correlation  -  stiffness * mean |grad d|^2.

Windows as in Avants et al. 2008, "Symmetric diffeomorphic image registration with cross-correlation", but
with the correlation c = cov / sqrt(vF vM) itself, not squared, and its whole gradient. With means mF, mM and
n known px in a window, its derivative by one px M(y) is ((F(y) - mF) / sqrt(vF vM) - c (M(y) - mM) / vM) / n;
summed over all windows that hold y, these are box averages again. Adam: Kingma and Ba 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.config.midscale import MidscaleConfig, PolishConfig
from registration.engine.geometry import Points
from registration.engine.matrices import Matrix
from registration.engine.midfeatures import MidImage, averaged, pulled
from registration.engine.nonrigid import RIM, Grid, Nodes, jacobians

Plane = NDArray[np.float32]

#: No places are held.
NOWHERE: Points = np.zeros((0, 2))

#: A window counts from this share of known px on.
_KNOWN_NEEDED = 0.3
#: A px is known if this share of it comes from known ones.
_WHOLLY = 0.99
#: About the mean of what is compared: keeps the variances exact in float32.
_MIDDLE = np.float32(0.5)
#: Share of the mean variance that counts half in a window: flat ones hardly count.
_LITTLE_VARIANCE = 0.05
#: Adam: how long it remembers the gradient and its square.
_MEMORY, _LONG_MEMORY = 0.9, 0.999
#: Slopes that are small against this are no reason to move (between sections it is about 0.06).
_LITTLE_SLOPE = np.float32(3e-3)
#: Nodes around a place that a person has given stay, px of the images.
_HELD = 24.0
#: Where the field would shrink too much the correction is taken back so many nodes around, at first.
_AROUND = 4
#: Determinants that differ by less are the same.
_SAME = 1e-6
#: Held places are put back one after the other, so often: near ones move each other a little.
_ROUNDS = 4
#: For cv2.remap, whose first map holds both x and y.
_NO_MAP = np.empty(0, np.float32)


@dataclass(frozen=True)
class _Task:
    """Both images at half scale. fixed, known : (rows, cols) float32. moving : (rows + 2 margin, cols + 2
    margin, 4) float32, through the field so far: value, its slopes in x and y, and 1 where it is known.
    places : (rows, cols, 2) float32, where each px lies in it, xy, if the correction is none. free : (nodes
    down, nodes across, 1) float32, 0 where the correction is held at none.
    """

    fixed: Plane
    known: Plane
    moving: Plane
    places: Plane
    free: Plane
    config: PolishConfig


def polished(
    fixed: MidImage,
    moving: MidImage,
    moving_from_fixed: Matrix,
    field: tuple[Grid, Nodes],
    config: MidscaleConfig,
    held: Points = NOWHERE,
) -> tuple[Grid, Nodes]:
    """A finer grid and the field on it, px of the fixed image, to be applied before moving_from_fixed.

    It keeps to config.smallest_jacobian, unless `field` itself doesn't. held : (N, 2), places of the fixed
    image that stay where `field` puts them.
    """
    rows, columns = fixed.shape
    grid = Grid.over(columns, rows, 2 * config.polish.spacing)
    task = _task(fixed, moving, moving_from_fixed, field, config.polish, _free(grid, fixed.shape, held))
    inner = 2 * _correction(task).astype(np.float64)
    rest = tuple(
        (RIM, nodes - RIM - side) for nodes, side in zip((grid.rows, grid.columns), inner.shape, strict=False)
    )
    correction = np.pad(inner, (*rest, (0, 0)), "edge")
    return grid, unfolded(grid, field, correction, config.smallest_jacobian, held)


def _task(
    fixed: MidImage,
    moving: MidImage,
    moving_from_fixed: Matrix,
    field: tuple[Grid, Nodes],
    config: PolishConfig,
    free: Plane,
) -> _Task:
    margin = config.furthest // 2 + 2
    there = pulled(moving, moving_from_fixed, field, fixed.shape, 2 * margin)
    here_known, there_known = (
        (averaged(one.mask.astype(np.float32), 2) > 0.5).astype(np.float32) for one in (fixed, there)
    )
    here, value = (averaged(one.feature, 2) - _MIDDLE for one in (fixed, there))
    slopes = (cv2.Sobel(value, cv2.CV_32F, *axis, ksize=1, scale=0.5) for axis in ((1, 0), (0, 1)))
    ys, xs = (margin + np.arange(side, dtype=np.float32) for side in here.shape)
    places = np.stack(np.meshgrid(xs, ys), axis=-1)
    return _Task(here, here_known, np.dstack((value, *slopes, there_known)), places, free, config)


def _free(grid: Grid, shape: tuple[int, int], held: Points) -> Plane:
    down, across = (-(-side // grid.spacing) for side in shape)
    free = np.ones((grid.rows, grid.columns, 1), np.float32)
    for place in held:
        near = np.linalg.norm(grid.node_points() - place, axis=1) <= _HELD
        free[near.reshape(free.shape)] = 0
    return free[RIM : RIM + down, RIM : RIM + across]


def _correction(task: _Task) -> Plane:
    """(nodes down, nodes across, 2) float32, px at half scale."""
    config, furthest = task.config, task.config.furthest / 2
    correction = np.zeros((*task.free.shape[:2], 2), np.float32)
    mean, square = np.zeros_like(correction), np.zeros_like(correction)
    for step in range(1, config.steps + 1):
        slope = _stretch_slope(correction, config) - _force(task, correction)
        mean += np.float32(1 - _MEMORY) * (slope - mean)
        square += np.float32(1 - _LONG_MEMORY) * (slope * slope - square)
        size = np.sqrt(square / np.float32(1 - _LONG_MEMORY**step)) + _LITTLE_SLOPE
        rate = config.rate * (1 - (step - 1) / config.steps)
        correction -= np.float32(rate / (1 - _MEMORY**step)) * mean / size
        length = np.sqrt(correction[..., :1] ** 2 + correction[..., 1:] ** 2)
        correction *= task.free * np.minimum(1, np.float32(furthest) / np.maximum(length, np.float32(1e-6)))
    return correction


def _force(task: _Task, correction: Plane) -> Plane:
    """How the windows' correlation grows with the correction: the mean over each node's square."""
    (rows, columns), spacing = task.known.shape, task.config.spacing
    dense = cv2.resize(correction, None, fx=spacing, fy=spacing, interpolation=cv2.INTER_LINEAR)
    places = dense[:rows, :columns] + task.places
    there = cv2.remap(task.moving, places, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    value, *slopes, known = (np.asarray(plane, np.float32) for plane in cv2.split(there))
    gain = correlation_slope(task.fixed, value, task.known * (known > _WHOLLY), task.config.window)
    force = np.empty_like(correction)
    for axis, pull in enumerate(slopes):
        pull *= gain
        force[..., axis] = _square_means(pull, spacing)
    return force


def _square_means(values: Plane, side: int) -> Plane:
    """The mean over each square of `side` px; 0 beyond the image."""
    below, right = (-length % side for length in values.shape)
    padded = cv2.copyMakeBorder(values, 0, below, 0, right, cv2.BORDER_CONSTANT)
    size = (padded.shape[1] // side, padded.shape[0] // side)
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), np.float32)


def correlation_slope(fixed: Plane, moving: Plane, known: Plane, radius: int) -> Plane:
    """By how much the sum of all windows' correlations grows with each px of `moving`; 0 where not known.
    Windows count by how much structure they hold, which is taken as given: of two equal images it is 0.

    All (rows, cols) float32; known : 0 or 1. radius : of the windows, px. In place where it can be: this is
    most of what a polish takes.
    """

    def box(values: Plane) -> Plane:
        side = 2 * radius + 1
        return np.asarray(cv2.boxFilter(values, -1, (side, side), borderType=cv2.BORDER_CONSTANT))

    def shared(one: Plane, other: Plane, means: tuple[Plane, Plane]) -> Plane:
        found = box(one * other)
        found *= per
        found -= means[0] * means[1]
        return found

    share = box(known)
    counts = share > _KNOWN_NEEDED
    if not counts.any():
        return np.zeros_like(fixed)
    per = np.divide(counts, np.maximum(share, np.float32(1e-6)), dtype=np.float32)
    here, there = fixed * known, moving * known
    mean_here, mean_there = box(here), box(there)
    mean_here *= per
    mean_there *= per
    spread_here = np.maximum(shared(here, here, (mean_here, mean_here)), np.float32(1e-9))
    spread_there = np.maximum(shared(there, there, (mean_there, mean_there)), np.float32(1e-9))
    shrink = shared(here, there, (mean_here, mean_there))
    steep = per * _structure(spread_here, counts)
    steep *= _structure(spread_there, counts)
    spread_here *= spread_there
    steep /= np.sqrt(spread_here, out=spread_here)
    shrink *= steep
    shrink /= spread_there
    mean_here *= steep
    mean_there *= shrink
    here *= box(steep)
    there *= box(shrink)
    here -= box(mean_here)
    here -= there
    here += box(mean_there)
    here *= known
    return here


def _structure(variance: Plane, counts: NDArray[np.bool_]) -> Plane:
    """What a window counts, 0 to 1: hardly where it is flat."""
    usual = cv2.mean(variance, counts.view(np.uint8))[0]
    return np.asarray(variance / (variance + np.float32(_LITTLE_VARIANCE * usual)), np.float32)


def _stretch_slope(correction: Plane, config: PolishConfig) -> Plane:
    """The gradient of stiffness * mean |grad d|^2."""
    slope = np.zeros_like(correction)
    for axis in (0, 1):
        lines, along = np.moveaxis(slope, axis, 0), np.moveaxis(np.diff(correction, axis=axis), axis, 0)
        lines[1:] += along
        lines[:-1] -= along
    slope *= np.float32(2 * config.stiffness / config.spacing**2)
    return slope


def unfolded(
    grid: Grid, field: tuple[Grid, Nodes], correction: Nodes, smallest: float, held: Points = NOWHERE
) -> Nodes:
    """The field on `grid` with the correction, (rows, columns, 2) px of it, before it; less of that around
    squares that would shrink to `smallest`, or further than they do by the field alone: half, again and
    again, in a surrounding that grows by a node each time. So it ends, and what is far away stays.
    """
    own = jacobians(grid, _before(grid, field, np.zeros_like(correction), held))
    allowed = np.minimum(smallest, own - _SAME)
    for reach in count(_AROUND):
        nodes = _before(grid, field, correction, held)
        shrunk = jacobians(grid, nodes) <= allowed
        if not shrunk.any():
            break
        side = 2 * min(reach, max(shrunk.shape)) + 1
        near = cv2.dilate(np.pad(shrunk.astype(np.float64), ((0, 1), (0, 1))), np.ones((side, side)))
        correction = correction * (1 - 0.5 * cv2.GaussianBlur(near, (0, 0), 2.0)[..., None])
    return nodes


def _before(grid: Grid, field: tuple[Grid, Nodes], correction: Nodes, held: Points) -> Nodes:
    points = grid.node_points()
    moved = correction.reshape(-1, 2)
    nodes = (moved + field[0].evaluate_at(field[1], points + moved)).reshape(correction.shape)
    return _put_back(grid, field, nodes, held)


def _put_back(grid: Grid, field: tuple[Grid, Nodes], nodes: Nodes, held: Points) -> Nodes:
    """Nodes around `held` moved so that it stays: between nodes that lie elsewhere a field is another."""
    last = (grid.columns - 2, grid.rows - 2)
    corners = np.clip(np.floor((held - grid.first) / grid.spacing), 0, last).astype(np.intp)
    wanted = field[0].evaluate_at(field[1], held)
    for _ in range(_ROUNDS):
        for place, there, (column, row) in zip(held, wanted, corners, strict=True):
            square = nodes[row : row + 2, column : column + 2]
            square += there - grid.evaluate_at(nodes, place[None])[0]
    return nodes
