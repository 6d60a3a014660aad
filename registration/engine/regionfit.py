"""The methods "accurate" and "rigid" on a region: what is fitted, and the evidence it leaves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from registration.engine.constraints import NO_CONSTRAINTS
from registration.engine.expected import ErrorMap
from registration.engine.geometry import Points
from registration.engine.inputs import um_taken
from registration.engine.levelzero import FieldFit
from registration.engine.localstart import LocalStart, apart, similarity_over
from registration.engine.matrices import Matrix, apply, shift
from registration.engine.measuring import Measured, RegionTask, matched, measured
from registration.engine.quality import Z_NEEDED, RegionEvidence
from registration.engine.region import Region
from registration.engine.regionerror import blocks_error, cells_error, judged_by
from registration.engine.regionmarks import far_from, heeded
from registration.engine.regionmid import refine
from registration.engine.report.stage_pictures import show_region
from registration.engine.robust import cauchy, fit, nearest_similarity
from registration.engine.stages import Stages
from registration.engine.transforms import AffineTransform, DisplacementField, Transform

_ROBUST_ROUNDS = 4
#: Fields of which so much had to be made stiffer are said to be.
_STIFFENED_SHARE = 0.02
#: Blocks around a region that agree less than this say nothing.
_CHANCE = 5.0


@dataclass(frozen=True)
class RegionFit:
    """model : what the transform is: "field" (an affine and a field fitted to the cells), "rigid" (a
    similarity: asked for, or the evidence is thin), "region" (the start refitted around the region: no cells
    agree) or "peer". expected : the error to be expected of the transform; None where cells do not match and
    um/px is unknown, for the model of structures was calibrated in um. left_out : how many landmarks the
    images contradict.
    """

    transform: Transform
    evidence: RegionEvidence
    model: str
    expected: ErrorMap | None
    left_out: int


def fit_with_field(task: RegionTask, stages: Stages) -> RegionFit:
    """Affine and smooth field where the cells match; a similarity where few do; where they don't,
    the start refitted around the region.
    """
    found = _located(task, stages)
    if not cells_match(task, found):
        return result(task, found, found.supported.start.transform, "region")
    if found.field.matches.weight.sum() < task.config.level_zero.matches_for_field:
        thin = _similarity(task, found)
        return replace(thin, evidence=replace(thin.evidence, too_thin=True))
    return result(task, found, affine_and_field(found.region, found.field), "field")


def _located(task: RegionTask, stages: Stages) -> Measured:
    """The cells' matches, or where they don't match, those of the structures around the region. The images
    answer first; landmarks say where to look if they find no cells, and are followed where none lie.
    """
    found = measured(replace(task, landmarks=NO_CONSTRAINTS.landmarks), stages)
    if not cells_match(task, found) and len(task.landmarks.inside(found.mids[0].context)):
        found = _led(task, found, stages.part(90, 92))
    if not cells_match(task, found):
        found = _by_structures(task, found, stages)
    if cells_match(task, found):
        found = heeded(task, found, stages.part(98, 100))
    show_region(stages.recorder, found)
    return found


def _led(task: RegionTask, found: Measured, stages: Stages) -> Measured:
    """Looked for anew from where the landmarks lead, unless the images without them agree better."""
    led = measured(task, stages)
    z = found.supported.judged.z
    better = z < _CHANCE or led.supported.judged.z > z
    return led if better or cells_match(task, led) else found


def _by_structures(task: RegionTask, found: Measured, stages: Stages) -> Measured:
    """The structures around the region matched. Where they lie further off than cells were looked for, cells
    are looked for again from there; of consecutive sections none are found.
    """
    mid = stages.run("matching structures", 92, lambda: refine(task, found.mids, stages.tick), until=96)
    by_structures = replace(found, mids=(mid,), left_out=far_from(task, mid))
    if mid.judged.z < Z_NEEDED or not _out_of_reach(task, found, mid.start):
        return by_structures
    again = matched(task, (mid,), mid.start, stages.part(96, 98))
    return again if cells_match(task, again) else by_structures


def _out_of_reach(task: RegionTask, found: Measured, start: LocalStart) -> bool:
    """Whether `start` lies further than the first pass looks from where cells were looked for."""
    distance = apart(found.region.start.transform, start.transform, task.box)
    return distance * um_taken(task.moving) > task.config.level_zero.reach_um


def fit_similarity(task: RegionTask, stages: Stages) -> RegionFit:
    """Turn, shift and scale fitted to the same matches."""
    return _similarity(task, _located(task, stages))


def _similarity(task: RegionTask, found: Measured) -> RegionFit:
    too_few = found.field.kept.sum() < task.config.level_zero.matches_for_similarity
    if too_few or not cells_match(task, found):
        return _rigid_start(task, found)
    points, targets, weights = listed_matches(found.region, found.field)
    affine = found.region.start.affine
    moving_points = affine(targets)
    matrix = _settled(points, moving_points, weights, affine)
    return result(task, found, AffineTransform(matrix, affine.fixed, affine.moving), "rigid")


def _rigid_start(task: RegionTask, found: Measured) -> RegionFit:
    """No cells to fit to: the similarity nearest to what the surroundings support."""
    start = found.supported.start
    rigid = similarity_over(start.transform, task.box, start.affine.matrix)
    return result(task, found, rigid, "rigid")


def result(task: RegionTask, found: Measured, transform: Transform, model: str) -> RegionFit:
    """The fit with its expected error: from the cells where they match, from the structures if not."""
    region, evidence = found.region, region_evidence(task, found)
    errors: ErrorMap | None = None
    if evidence.level_zero:
        errors = cells_error(region, found.field, affine_and_field(region, found.field), transform)
    elif task.fixed.um_per_px is not None:
        errors = blocks_error(region, found.supported, transform)
    if errors is not None:
        evidence = judged_by(evidence, errors, task.box, cells_match=evidence.level_zero)
    return RegionFit(transform, evidence, model, errors, found.left_out)


def cells_match(task: RegionTask, found: Measured) -> bool:
    return region_evidence(task, found).level_zero


def region_evidence(task: RegionTask, found: Measured) -> RegionEvidence:
    """What the cells and the structures around them say; the expected error is not yet in it."""
    region, field, mid = found.region, found.field, found.supported
    tissue = float(region.fixed_tissue.sum())
    return RegionEvidence(
        tissue=region.tissue_in(task.box),
        overlap=float(region.tissue.sum()) / max(tissue, 1.0),
        z=mid.judged.z,
        agreeing=field.agreeing,
        windows=field.windows,
        error_px=None,
        stiffened=field.stiffened > _STIFFENED_SHARE,
    )


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


def _settled(points: Points, targets: Points, weights: NDArray[np.float64], start: AffineTransform) -> Matrix:
    """A similarity fitted with Cauchy weights around itself, at first around `start`."""
    matrix = np.array(start.matrix)
    for _ in range(_ROBUST_ROUNDS):
        distances = np.linalg.norm(apply(matrix, points) - targets, axis=1)
        scale = max(2.0, float(np.median(distances)))
        matrix = nearest_similarity(points, targets, weights * cauchy(distances, scale), start.matrix)
    return matrix
