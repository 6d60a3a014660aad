"""The methods "accurate" and "rigid" on a region: what is fitted, and the evidence it leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registration.engine.cellevidence import CellEvidence
from registration.engine.geometry import Points
from registration.engine.levelzero import FieldFit, inside
from registration.engine.matrices import Matrix, apply, shift
from registration.engine.measuring import Measured, RegionTask, measured
from registration.engine.quality import RegionEvidence, spread
from registration.engine.region import Region
from registration.engine.robust import Model, cauchy, fit
from registration.engine.stages import Stages
from registration.engine.transforms import AffineTransform, DisplacementField, Transform

_ROBUST_ROUNDS = 4
#: With fewer matches, counted by weight, a field would follow noise: one similarity is fitted to them.
MATCHES_FOR_FIELD = 24.0
#: With fewer not even that.
_MATCHES_FOR_RIGID = 16
#: Fields of which so much had to be made stiffer are said to be.
_STIFFENED_SHARE = 0.02


@dataclass(frozen=True)
class RegionFit:
    """cells : of the box that the fit was made on, whose corner is `corner`, fixed level-0 px.

    model : what the transform is: "field" (an affine and a field fitted to the cells), "rigid" (a similarity:
    asked for, or the evidence is thin), "region" (the start refitted around the region: no cells agree)
    or "peer".
    """

    transform: Transform
    evidence: RegionEvidence
    cells: CellEvidence
    corner: tuple[int, int]
    model: str


def fit_with_field(task: RegionTask, stages: Stages) -> RegionFit:
    """Affine and smooth field where the cells match; a similarity where few do; where they don't,
    the start refitted around the region.
    """
    found = measured(task, stages)
    distances = found.field.cells.held_out_px[found.field.kept]
    evidence = region_evidence(task, found, distances)
    if not evidence.level_zero:
        return _result(found.supported.start.transform, evidence, found, "region")
    if found.field.matches.weight.sum() < MATCHES_FOR_FIELD:
        return _similarity(task, found)
    return _result(affine_and_field(found.region, found.field), evidence, found, "field")


def fit_similarity(task: RegionTask, stages: Stages) -> RegionFit:
    """Turn, shift and scale fitted to the same matches."""
    return _similarity(task, measured(task, stages))


def _similarity(task: RegionTask, found: Measured) -> RegionFit:
    points, targets, weights = listed_matches(found.region, found.field)
    affine = found.region.start.affine
    moving_points = affine(targets)
    matrix = _settled(points, moving_points, weights, affine, "similarity")
    distances = np.linalg.norm(apply(matrix, points) - moving_points, axis=1) / affine.scale
    evidence = region_evidence(task, found, distances)
    transform = AffineTransform(matrix, affine.fixed, affine.moving)
    return _result(transform, evidence, found, "rigid")


def _result(transform: Transform, evidence: RegionEvidence, found: Measured, model: str) -> RegionFit:
    box = found.region.box
    return RegionFit(transform, evidence, found.field.cells, (box.x, box.y), model)


def region_evidence(task: RegionTask, found: Measured, distances: NDArray[np.float64]) -> RegionEvidence:
    """distances : (N,) of the field's kept matches from the transform handed out, fixed level-0 px."""
    region, field = found.region, found.field
    tissue = float(region.fixed_tissue.sum())
    evidence = RegionEvidence(
        tissue=region.tissue_in(task.box),
        overlap=float(region.tissue.sum()) / max(tissue, 1.0),
        z=found.supported.judged.z,
        agreeing=field.agreeing,
        windows=field.windows,
        error_px=None,
        stiffened=field.stiffened > _STIFFENED_SHARE,
    )
    if not evidence.level_zero:
        return evidence.with_error(spread(np.array(found.supported.residuals_px)))
    here = inside(field.cells, (region.box.x, region.box.y), task.box)[field.kept]
    weights = field.matches.weight[field.kept]
    here = here if here.sum() >= _MATCHES_FOR_RIGID else np.ones_like(here)
    return evidence.with_error(spread(distances[here], weights[here]))


def affine_and_field(region: Region, field: FieldFit) -> Transform:
    """moving = affine @ (x + field(x)), the field's own affine part moved into the affine.

    So what the field does beyond its edge, where it goes on constant, is only the small rest.
    """
    grid, unit, box = field.grid, region.scale.downsample, region.box
    affine = region.start.affine
    nodes: Points = grid.node_points() * unit
    weights = grid.node_weights(field.matches).ravel()
    if (weights > 0).sum() < 12:
        weights = np.ones_like(weights)
    moved: Points = nodes + field.nodes.reshape(-1, 2) * unit
    own = fit(nodes, moved, weights, "affine")
    rest = apply(np.asarray(np.linalg.inv(own), np.float64), moved) - nodes
    corner = shift(box.x, box.y)
    whole = AffineTransform(affine.matrix @ corner @ own @ np.linalg.inv(corner), affine.fixed, affine.moving)
    first, spacing = grid.first * unit, grid.spacing * unit
    return whole @ DisplacementField(
        rest.reshape(field.nodes.shape).astype(np.float32),
        (box.x + first, box.y + first),
        (spacing, spacing),
        affine.fixed,
    )


def listed_matches(region: Region, field: FieldFit) -> tuple[Points, Points, NDArray[np.float64]]:
    """points (N, 2), where they are matched before the region's affine (N, 2), both fixed level-0 px, and
    weights (N,).
    """
    unit, box, kept = region.scale.downsample, region.box, field.kept
    xs, ys = np.meshgrid(field.matches.xs * unit + box.x, field.matches.ys * unit + box.y)
    points = np.stack((xs, ys), axis=-1)
    return points[kept], (points + field.matches.target * unit)[kept], field.matches.weight[kept]


def _settled(
    points: Points, targets: Points, weights: NDArray[np.float64], start: AffineTransform, model: Model
) -> Matrix:
    """`model` fitted with Cauchy weights around itself; `start` where there are too few matches."""
    if len(points) < _MATCHES_FOR_RIGID:
        return np.array(start.matrix)
    matrix = np.array(start.matrix)
    for _ in range(_ROBUST_ROUNDS):
        distances = np.linalg.norm(apply(matrix, points) - targets, axis=1)
        scale = max(2.0, float(np.median(distances)))
        matrix = fit(points, targets, weights * cauchy(distances, scale), model)
    return matrix
