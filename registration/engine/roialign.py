"""The method of the ROIAlign script: ORB keypoints, brute force with cross-check, one partial affine.

It is here to be compared with. Its transform is the peer's own; its verdict comes from the same independent
evidence as every method's.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Box, Points, Size, point_from_index
from registration.engine.levelzero import fit_region
from registration.engine.localstart import LocalStart, local_start
from registration.engine.matrices import shift
from registration.engine.measuring import Measured, RegionTask, read_around
from registration.engine.regional import judge_around
from registration.engine.regionfit import RegionFit, result
from registration.engine.robust import MATCHES_NEEDED
from registration.engine.source import PixelSource
from registration.engine.stages import Stages
from registration.engine.transforms import AffineTransform

Grey = NDArray[np.uint8]
#: ORB's pyramid needs room: below this many px a side OpenCV fails or finds nothing.
SMALLEST_SIDE = 96


def fit_roialign(task: RegionTask, stages: Stages) -> RegionFit:
    """The peer's transform; the slide-level start where its keypoints give none."""
    start = local_start(task.start, task.box).affine
    twin = twin_box(start, task.box, task.moving)
    fixed = stages.run("reading the region", 0, lambda: _grey(task.fixed, task.box))
    moving = stages.run("reading the twin region", 10, lambda: _grey(task.moving, twin))
    matrix = stages.run(
        "matching keypoints", 20, lambda: partial_affine(fixed, moving, task.config.orb_features)
    )
    affine = start if matrix is None else _in_slides(matrix, start, task.box, twin)
    return stages.run("checking", 80, lambda: _judged(task, affine, stages), until=100)


def partial_affine(fixed: Grey, moving: Grey, features: int) -> NDArray[np.float64] | None:
    """(3, 3), moving_from_fixed, corner-based px of the two images; None where there is no consensus."""
    if min(*fixed.shape, *moving.shape) < SMALLEST_SIDE:
        return None
    detector = cv2.ORB.create(nfeatures=features)
    keys_f, described_f = detector.detectAndCompute(fixed, None)
    keys_m, described_m = detector.detectAndCompute(moving, None)
    if described_f is None or described_m is None:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(described_f, described_m)
    if len(pairs) < MATCHES_NEEDED["similarity"]:
        return None
    source = point_from_index(np.array([keys_f[pair.queryIdx].pt for pair in pairs]))
    target = point_from_index(np.array([keys_m[pair.trainIdx].pt for pair in pairs]))
    found, _ = cv2.estimateAffinePartial2D(source, target)
    if found is None or not np.isfinite(found).all() or abs(np.linalg.det(found[:, :2])) < 1e-3:
        return None
    matrix: NDArray[np.float64] = np.vstack((found, (0, 0, 1)))
    return matrix


def twin_box(start: AffineTransform, box: Box, moving: PixelSource) -> Box:
    """The smallest box of the moving slide that holds the region's image; at least 1 x 1 px."""
    corners: Points = start(box.corners())
    left, top = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    found = Box(int(left), int(top), int(right - left), int(bottom - top))
    clipped = found.intersection(Size(moving.width, moving.height).box)
    x, y = min(clipped.x, moving.width - 1), min(clipped.y, moving.height - 1)
    return Box(x, y, max(1, clipped.width), max(1, clipped.height))


def _grey(source: PixelSource, box: Box) -> Grey:
    rgb, _ = source.read(box.x, box.y, box.width, box.height, 1.0)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def _in_slides(matrix: NDArray[np.float64], start: AffineTransform, box: Box, twin: Box) -> AffineTransform:
    whole = shift(twin.x, twin.y) @ matrix @ shift(-box.x, -box.y)
    return AffineTransform(whole, start.fixed, start.moving)


def _judged(task: RegionTask, affine: AffineTransform, stages: Stages) -> RegionFit:
    """Free matches around the transform: how far they lie from it is its error."""
    config = task.config.level_zero
    start = LocalStart(affine)
    mid = judge_around(task.fixed, task.moving, start, task.box, config)
    region = read_around(task, start)
    field = fit_region(region, config, stages.tick)
    return result(task, Measured((mid,), region, field), affine, "peer")
