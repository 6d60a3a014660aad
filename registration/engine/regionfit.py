"""The methods "accurate" and "rigid" on a region: what is fitted, and the evidence it leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registration.engine.config import RegistrationConfig
from registration.engine.geometry import Box, Points
from registration.engine.levelzero import FieldFit, fit_region
from registration.engine.matrices import Matrix, apply, shift
from registration.engine.quality import RegionEvidence, spread
from registration.engine.region import Region, read_region
from registration.engine.regional import RegionalFit, refit
from registration.engine.robust import Model, cauchy, fit
from registration.engine.source import PixelSource
from registration.engine.stages import Stages
from registration.engine.transforms import AffineTransform, DisplacementField, Transform

_ROBUST_ROUNDS = 4


@dataclass(frozen=True)
class RegionFit:
    transform: Transform
    evidence: RegionEvidence


@dataclass(frozen=True)
class RegionTask:
    """start : slide-level affine. coarse_downsample : fixed level-0 px per px of its overview."""

    fixed: PixelSource
    moving: PixelSource
    box: Box
    start: AffineTransform
    coarse_downsample: float
    config: RegistrationConfig


def fit_with_field(task: RegionTask, stages: Stages) -> RegionFit:
    """Affine and smooth field; the affine alone where the cells do not match."""
    mid, region, field = _measured(task, stages)
    evidence = region_evidence(region, mid, field, field.held_out[field.kept])
    if not evidence.level_zero:
        return RegionFit(mid.affine, evidence)
    return RegionFit(affine_and_field(mid.affine, field, task.box), evidence)


def fit_similarity(task: RegionTask, stages: Stages) -> RegionFit:
    """Turn, shift and scale fitted to the same matches."""
    mid, region, field = _measured(task, stages)
    points, targets, weights = listed_matches(field, task.box)
    moving_points = mid.affine(targets)
    matrix = _settled(points, moving_points, weights, mid.affine, "similarity")
    distances = np.linalg.norm(apply(matrix, points) - moving_points, axis=1) / mid.affine.scale
    evidence = region_evidence(region, mid, field, distances)
    return RegionFit(AffineTransform(matrix, mid.affine.fixed, mid.affine.moving), evidence)


def region_evidence(
    region: Region, mid: RegionalFit, field: FieldFit, distances: NDArray[np.float64]
) -> RegionEvidence:
    """distances : (N,) of the field's kept matches from the transform handed out, fixed level-0 px."""
    tissue = float(region.fixed_tissue.sum())
    evidence = RegionEvidence(
        tissue=float(region.fixed_tissue.mean()),
        overlap=float(region.tissue.sum()) / max(tissue, 1.0),
        z=mid.judged.z,
        agreeing=field.agreeing,
        windows=field.windows,
        error_px=None,
        stiffened=field.stiffened,
    )
    if evidence.level_zero:
        return evidence.with_error(spread(distances, field.matches.weight[field.kept]))
    return evidence.with_error(spread(np.array(mid.residuals_px)))


def affine_and_field(affine: AffineTransform, field: FieldFit, box: Box) -> Transform:
    """moving = affine @ (x + field(x)), the field's own affine part moved into the affine.

    So what the field does beyond its edge, where it goes on constant, is only the small rest.
    """
    grid = field.grid
    nodes: Points = grid.node_points()
    weights = grid.node_weights(field.matches).ravel()
    if (weights > 0).sum() < 12:
        weights = np.ones_like(weights)
    moved: Points = nodes + field.nodes.reshape(-1, 2)
    own = fit(nodes, moved, weights, "affine")
    rest = apply(np.asarray(np.linalg.inv(own), np.float64), moved) - nodes
    corner = shift(box.x, box.y)
    whole = AffineTransform(affine.matrix @ corner @ own @ np.linalg.inv(corner), affine.fixed, affine.moving)
    return whole @ DisplacementField(
        rest.reshape(field.nodes.shape).astype(np.float32),
        (box.x + grid.first, box.y + grid.first),
        (grid.spacing, grid.spacing),
        affine.fixed,
    )


def listed_matches(field: FieldFit, box: Box) -> tuple[Points, Points, NDArray[np.float64]]:
    """points (N, 2), where they are matched (N, 2), both fixed level-0 px, and weights (N,)."""
    xs, ys = np.meshgrid(field.matches.xs, field.matches.ys)
    points = np.stack((xs + box.x, ys + box.y), axis=-1)
    kept = field.kept
    return points[kept], (points + field.matches.target)[kept], field.matches.weight[kept]


def _measured(task: RegionTask, stages: Stages) -> tuple[RegionalFit, Region, FieldFit]:
    mid = stages.run(
        "fitting the region",
        0,
        lambda: refit(task.fixed, task.moving, task.start, task.box, task.coarse_downsample),
    )
    region = stages.run(
        "reading the region", 20, lambda: read_region(task.fixed, task.moving, mid.affine, task.box)
    )
    field = stages.run("matching cells", 55, lambda: fit_region(region, task.config.level_zero))
    return mid, region, field


def _settled(
    points: Points, targets: Points, weights: NDArray[np.float64], start: AffineTransform, model: Model
) -> Matrix:
    """`model` fitted with Cauchy weights around itself; `start` where there are too few matches."""
    if len(points) < 16:
        return np.array(start.matrix)
    matrix = np.array(start.matrix)
    for _ in range(_ROBUST_ROUNDS):
        distances = np.linalg.norm(apply(matrix, points) - targets, axis=1)
        scale = max(2.0, float(np.median(distances)))
        matrix = fit(points, targets, weights * cauchy(distances, scale), model)
    return matrix
