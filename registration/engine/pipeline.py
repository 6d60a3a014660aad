"""The two entry points: align two slides, and register a region at level 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

import cv2

from registration.engine import ENGINE_VERSION
from registration.engine.config import RegistrationConfig
from registration.engine.constraints import NO_CONSTRAINTS, Constraints, excluding
from registration.engine.errors import EngineError
from registration.engine.geometry import Box
from registration.engine.inputs import check_box, frame, mean_um, scale_known
from registration.engine.landmarkcheck import believable, told
from registration.engine.measuring import RegionTask
from registration.engine.overviews import downsamples
from registration.engine.quality import RegionEvidence, in_um, judge_region, judge_slides
from registration.engine.regionfit import RegionFit, fit_similarity, fit_with_field
from registration.engine.report.recorder import NO_RECORDER, Recorder
from registration.engine.result import Level, OnProgress, RegistrationResult, Section, no_progress
from registration.engine.roialign import fit_roialign
from registration.engine.sections import detect_section
from registration.engine.slidefield import SlideAlignment, with_field
from registration.engine.slidefit import fit_slides
from registration.engine.source import PixelSource
from registration.engine.stages import Stages
from registration.engine.transforms import AffineTransform, DisplacementField, Transform
from registration.engine.transforms.sampled import split

#: Per cent of a registration that aligning the slides takes where no transform is given.
_SLIDES_SHARE = 45

_REGION_METHODS: Mapping[str, Callable[[RegionTask, Stages], RegionFit]] = {
    "field": fit_with_field,
    "similarity": fit_similarity,
    "orb": fit_roialign,
}


def align_slides(
    fixed: PixelSource,
    moving: PixelSource,
    config: RegistrationConfig,
    on_progress: OnProgress = no_progress,
    *,
    constraints: Constraints = NO_CONSTRAINTS,
    recorder: Recorder = NO_RECORDER,
) -> RegistrationResult:
    """The slide-level transform with a verdict. Slides that do not match are refused, not raised about.

    Raises EngineError("mpp_missing", field="fixed_mpp" or "moving_mpp") where only one slide has um/px.
    """
    scale_known(fixed, moving)
    cv2.setRNGSeed(config.seed)
    fixed, moving = _cut(fixed, moving, constraints)
    stages = Stages(on_progress, recorder=recorder)
    found = _aligned(fixed, moving, config, constraints, stages)
    section = None
    if found.verdict.level is not Level.REFUSED:
        section = stages.run(
            "looking at cells", 92, lambda: _section(fixed, moving, config, found, stages), until=99
        )
    on_progress("done", 100)
    return RegistrationResult(
        transform=found.transform,
        verdict=found.verdict,
        error_px=found.error_px,
        error_um=in_um(found.error_px, fixed.um_per_px),
        box=None,
        config=config,
        engine_version=ENGINE_VERSION,
        stages=stages.reports,
        evidence=_slide_figures(found),
        section=section,
    )


def register(
    fixed: PixelSource,
    moving: PixelSource,
    box: Box,
    config: RegistrationConfig,
    *,
    initial: Transform | None = None,
    constraints: Constraints = NO_CONSTRAINTS,
    recorder: Recorder = NO_RECORDER,
    on_progress: OnProgress = no_progress,
) -> RegistrationResult:
    """A region of the fixed slide registered at level 0, with a verdict.

    box : fixed level-0 px. initial : the slide-level transform, moving_from_fixed; found here if None.
    Raises EngineError: box_empty, region_too_small, box_outside_slide, mpp_missing.
    """
    check_box(box, fixed)
    scale_known(fixed, moving)
    cv2.setRNGSeed(config.seed)
    fixed, moving = _cut(fixed, moving, constraints)
    first = Stages(on_progress, 0, _SLIDES_SHARE, recorder)
    slides = None if initial is not None else _aligned(fixed, moving, config, constraints, first)
    start = slides.transform if slides is not None else _stored(fixed, moving, initial)
    coarse, _ = downsamples(fixed, moving, config.slides.overview_px)
    second = Stages(on_progress, 0 if slides is None else _SLIDES_SHARE, recorder=recorder)
    refused = slides is not None and slides.verdict.level is Level.REFUSED
    given = constraints.landmarks
    trusted = given if slides is None else slides.landmarks
    kept = given if refused else believable(trusted, start)
    task = RegionTask(fixed, moving, box, start, coarse, config, kept)
    fit = _REGION_METHODS[config.model](task, second)
    on_progress("done", 100)
    verdict = judge_region(
        fit.evidence,
        None if slides is None else slides.verdict,
        None if fixed.um_per_px is None else mean_um(fixed),
    )
    return RegistrationResult(
        transform=fit.transform,
        verdict=told(verdict, len(given) - len(kept) + fit.left_out, len(given)),
        error_px=fit.evidence.error_px,
        error_um=in_um(fit.evidence.error_px, fixed.um_per_px),
        box=box,
        config=config,
        engine_version=ENGINE_VERSION,
        stages=first.reports + second.reports,
        evidence=(_slide_figures(slides) if slides else {}) | _region_figures(fit.evidence),
        expected=fit.expected,
    )


def _cut(
    fixed: PixelSource, moving: PixelSource, constraints: Constraints
) -> tuple[PixelSource, PixelSource]:
    return excluding(fixed, constraints.exclude_fixed), excluding(moving, constraints.exclude_moving)


def _aligned(
    fixed: PixelSource,
    moving: PixelSource,
    config: RegistrationConfig,
    constraints: Constraints,
    stages: Stages,
) -> SlideAlignment:
    given = constraints.landmarks
    fit = fit_slides(fixed, moving, config, stages, constraints=constraints)
    verdict = judge_slides(fit.evidence)
    found = with_field(fit, verdict, config, stages)
    return replace(found, verdict=told(found.verdict, len(given) - len(fit.landmarks), len(given)))


def _section(
    fixed: PixelSource,
    moving: PixelSource,
    config: RegistrationConfig,
    found: SlideAlignment,
    stages: Stages,
) -> Section:
    coarse, _ = downsamples(fixed, moving, config.slides.overview_px)
    error = in_um(found.error_px, fixed.um_per_px)
    region_um = None if error is None else error.p90
    return detect_section(
        fixed, moving, found.transform, coarse, config, region_um=region_um, tick=stages.tick
    )


def _stored(fixed: PixelSource, moving: PixelSource, initial: Transform | None) -> Transform:
    """`initial` between the slides' own frames; a stored one may carry rounded um/px.

    Raises EngineError("frame_mismatch", field="initial") where it is of slides of other sizes.
    """
    assert initial is not None  # noqa: S101 - there are slides to align only where it is
    affine, field = split(initial)
    own = AffineTransform(affine.matrix, frame("fixed", fixed), frame("moving", moving))
    if (initial.fixed.size, initial.moving.size) != (own.fixed.size, own.moving.size):
        raise EngineError(
            "frame_mismatch",
            f"The transform to start from is between slides of {initial.fixed.size} and "
            f"{initial.moving.size} px, but these have {own.fixed.size} and {own.moving.size}. Align the "
            "slides again.",
            field="initial",
        )
    if field is None:
        return own
    return own @ DisplacementField(field.values, field.origin, field.spacing, own.fixed)


def _slide_figures(found: SlideAlignment) -> dict[str, float]:
    figures = {f"slide_{name}": float(value) for name, value in asdict(found.evidence).items()}
    if found.mid is None:
        return figures
    mid = found.mid.evidence
    figures |= {"slide_field_used": float(found.uses_field), "slide_field_gain_z": mid.gain_z}
    return figures | {
        "slide_share_before_field": mid.before.share,
        "slide_share_after_field": mid.after.share,
    }


def _region_figures(evidence: RegionEvidence) -> dict[str, float]:
    figures = {name: value for name, value in asdict(evidence).items() if name != "error_px"}
    return {f"region_{name}": float(value) for name, value in figures.items()}
