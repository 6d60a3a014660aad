"""The methods of others, each as its authors or users run it, on the images of a case.

A peer sees two RGB crops and gives the map between them, moving_from_fixed, or None where it finds none.
"""

from __future__ import annotations

import math
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.case import OUT, ROOT, Case
from registration.engine.evaluation.landmarks import unregistered
from registration.engine.geometry import Box, Frame, Points, Size, point_from_index
from registration.engine.inputs import frame, mean_um
from registration.engine.matrices import scaling, shift
from registration.engine.roialign import partial_affine
from registration.engine.source import PixelSource, Rgb
from registration.engine.transforms import AffineTransform, DisplacementField
from registration.engine.transforms.base import Transform

#: Slides as a whole are compared at this square root of the area, px; larger ones are reduced to it.
OVERVIEW_PX = 860
#: The peers of a region are handed its true twin, with this much around it, px: nobody has to look for it.
AROUND_TWIN = 64
ORB_FEATURES = 50_000
SIFT_FEATURES, SIFT_RATIO, MAGSAC_PX = 20_000, 0.8, 3.0
ELASTIX_PYTHON = OUT / "elastix" / "bin" / "python"
ELASTIX_SECONDS = 900


@dataclass(frozen=True)
class Crop:
    """slide_from_crop : level-0 px of the slide from px of `rgb`."""

    rgb: Rgb
    slide_from_crop: AffineTransform


@dataclass(frozen=True)
class Found:
    """crop_to_crop : None where the peer found nothing. seconds, peak_mb : of a peer in its own process."""

    crop_to_crop: Transform | None
    seconds: float | None = None
    peak_mb: float | None = None


def peer(name: str) -> Callable[[Crop, Crop], Found]:
    return {"roialign": orb, "sift": sift, "elastix": elastix}[name]


def crops(case: Case) -> tuple[Crop, Crop]:
    if case.box is not None:
        assert case.truth is not None
        return _cut(case.fixed, "fixed", case.box), _cut(case.moving, "moving", _twin(case))
    um_per_px = max(
        mean_um(source) * max(1.0, math.sqrt(source.width * source.height) / OVERVIEW_PX)
        for source in (case.fixed, case.moving)
    )
    return _whole(case.fixed, "fixed", um_per_px), _whole(case.moving, "moving", um_per_px)


def in_slides(found: Transform | None, fixed: Crop, moving: Crop) -> Transform:
    """Where nothing was found: what one has before registration."""
    outer, inner = moving.slide_from_crop, fixed.slide_from_crop
    if found is None:
        return unregistered(inner.moving, outer.moving)
    return outer @ found @ inner.inverse()


def orb(fixed: Crop, moving: Crop) -> Found:
    """The ROIAlign script: ORB, brute force with cross-check, partial affine."""
    matrix = partial_affine(_grey(fixed.rgb), _grey(moving.rgb), ORB_FEATURES)
    return Found(_affine(matrix, fixed, moving))


def sift(fixed: Crop, moving: Crop) -> Found:
    """SIFT, nearest neighbours by ratio, affine by MAGSAC."""
    detector = cv2.SIFT.create(nfeatures=SIFT_FEATURES)
    keys_f, described_f = detector.detectAndCompute(_grey(fixed.rgb), None)
    keys_m, described_m = detector.detectAndCompute(_grey(moving.rgb), None)
    if described_f is None or described_m is None or min(len(keys_f), len(keys_m)) < 2:
        return Found(None)
    nearest = cv2.FlannBasedMatcher().knnMatch(described_f, described_m, k=2)
    pairs = [two[0] for two in nearest if len(two) == 2 and two[0].distance < SIFT_RATIO * two[1].distance]
    if len(pairs) < 4:
        return Found(None)
    source = point_from_index(np.array([keys_f[pair.queryIdx].pt for pair in pairs]))
    target = point_from_index(np.array([keys_m[pair.trainIdx].pt for pair in pairs]))
    found, _ = cv2.estimateAffine2D(source, target, method=cv2.USAC_MAGSAC, ransacReprojThreshold=MAGSAC_PX)
    usable = found is not None and np.isfinite(found).all() and abs(np.linalg.det(found[:, :2])) > 1e-6
    return Found(_affine(np.vstack((found, (0, 0, 1))) if usable else None, fixed, moving))


def elastix_is_there() -> bool:
    return ELASTIX_PYTHON.exists()


def elastix(fixed: Crop, moving: Crop) -> Found:
    """See elastix_peer.py."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "fixed.npy", _grey(fixed.rgb))
        np.save(folder / "moving.npy", _grey(moving.rgb))
        paths = [str(folder / file) for file in ("fixed.npy", "moving.npy", "out.npz")]
        command = [str(ELASTIX_PYTHON), str(ROOT / "benchmarks" / "elastix_peer.py"), *paths]
        # It leaves its field behind where it runs.
        done = subprocess.run(command, check=False, capture_output=True, timeout=ELASTIX_SECONDS, cwd=folder)
        if done.returncode != 0:
            return Found(None)
        with np.load(folder / "out.npz", allow_pickle=False) as out:
            values, seconds, peak_mb = out["field"], float(out["seconds"]), float(out["peak_mb"])
    here, there = fixed.slide_from_crop.fixed, moving.slide_from_crop.fixed
    field = DisplacementField(values, (0.5, 0.5), (1.0, 1.0), here)
    return Found(AffineTransform(np.eye(3), here, there) @ field, seconds, peak_mb)


def _affine(matrix: NDArray[np.float64] | None, fixed: Crop, moving: Crop) -> AffineTransform | None:
    if matrix is None:
        return None
    return AffineTransform(matrix, fixed.slide_from_crop.fixed, moving.slide_from_crop.fixed)


def _whole(source: PixelSource, name: str, um_per_px: float) -> Crop:
    downsample = um_per_px / mean_um(source)
    return _cut(source, name, Size(source.width, source.height).box, downsample)


def _cut(source: PixelSource, name: str, box: Box, downsample: float = 1.0) -> Crop:
    columns, rows = (max(1, round(side / downsample)) for side in (box.width, box.height))
    rgb, _ = source.read(box.x, box.y, columns, rows, downsample)
    matrix = shift(box.x, box.y) @ scaling(downsample)
    whole = frame(name, source)
    return Crop(rgb, AffineTransform(matrix, Frame(f"{whole.name} crop", Size(columns, rows), None), whole))


def _twin(case: Case) -> Box:
    """Where an affine through the points of truth puts the region."""
    assert case.truth is not None
    assert case.box is not None
    start, end = case.truth.fixed, case.truth.moving
    rows = np.column_stack((start, np.ones(len(start))))
    solution = np.linalg.lstsq(rows, end, rcond=None)[0]
    corners: Points = np.column_stack((case.box.corners(), np.ones(4))) @ solution
    left, top = np.floor(corners.min(axis=0)).astype(int) - AROUND_TWIN
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + AROUND_TWIN
    slide = Size(case.moving.width, case.moving.height).box
    return Box(int(left), int(top), int(right - left), int(bottom - top)).intersection(slide)


def _grey(rgb: Rgb) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
