"""What each kind of job does once it holds its row: where the slides and the engine meet."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings

from registration import errormaps, storage
from registration.archives import ExportRequest, export
from registration.artefacts import (
    SlideInfo,
    residual_by_stage,
    seconds_by_stage,
    section_record,
    spread_record,
    write_result,
)
from registration.constraints import constraints_of, landmark_residuals
from registration.engine.config import preset
from registration.engine.errors import EngineError
from registration.engine.geometry import Box
from registration.engine.pieces import find_pieces
from registration.engine.pipeline import align_slides, register
from registration.engine.result import Level, OnProgress, Reason, RegistrationResult, Verdict
from registration.engine.source import PixelSource
from registration.engine.transforms import load_transform
from registration.engine.transforms.sampled import split
from registration.errormaps import load_error_map
from registration.lifecycle import Outcome
from registration.models import Archive, Job, JobStatus, PairAlignment, Registration
from registration.models import Frame as Stain
from registration.regions import grid_box, slide_of
from registration.scale import scale_of
from registration.sections import stated_section
from registration.stored import alignment_transform, write_alignment
from viewer.models import Slide, SlidePair
from viewer.services import open_record


def align(job: PairAlignment, on_progress: OnProgress) -> Outcome:
    scale = scale_of(job.pair)
    constraints = constraints_of(job)
    with _opened(job.pair, Stain.HE) as (fixed, moving):
        result = align_slides(
            fixed.source, moving.source, preset("accurate"), on_progress, constraints=constraints
        )
        pieces = {"he": _pieces(fixed.source), "ihc": _pieces(moving.source)}
    folder = _new_attempt_folder(job)
    write_alignment(folder, result)
    fields = {
        **_verdict(result),
        "metrics": _metrics(result) | landmark_residuals(result.transform, constraints.landmarks),
        "affine": split(result.transform)[0].matrix.tolist(),
        "folder": storage.relative(folder),
        "section": section_record(result.section),
        "scale": scale,
        "pieces": pieces,
    }
    return Outcome(fields, result.refused)


def register_region(job: Registration, on_progress: OnProgress) -> Outcome:
    constraints = constraints_of(job.alignment)
    with _opened(job.region.pair, job.grid) as (fixed, moving):
        initial = alignment_transform(job.alignment, job.grid, fixed.source, moving.source)
        on_he = job.grid == Stain.HE
        box = grid_box(job, initial if on_he else initial.inverse())
        if box.area == 0:
            raise EngineError(
                "region_outside_other_slide",
                "The region lies outside the other slide, so nothing can be registered there. "
                "Choose a region that both slides show.",
                field="region",
            )
        result = register(
            fixed.source,
            moving.source,
            box,
            preset(job.method),
            initial=initial,
            constraints=constraints if on_he else constraints.swapped,
            on_progress=on_progress,
        )
        result = as_trusted_as(job.alignment, result)
        folder = _new_attempt_folder(job)
        section = stated_section(job.alignment)
        write_result(folder, result, fixed, moving, job.alignment.version, section)
    fields = {**_verdict(result), "metrics": _metrics(result), "folder": storage.relative(folder)}
    return Outcome(fields, result.refused)


def export_archive(job: Archive, on_progress: OnProgress) -> Outcome:
    registration = job.registration
    place = Path(settings.DATA_DIR) / registration.folder
    box = Box(*registration.metrics["box"])
    with _opened(registration.region.pair, registration.grid) as (fixed, moving):
        request = ExportRequest(
            fixed=fixed,
            moving=moving,
            transform=load_transform(place / "transform.json"),
            box=box,
            patch_size=job.patch_size,
            layout=job.layout,
            record=json.loads((place / "run.json").read_text()),
            expected=load_error_map(place / errormaps.FILE),
            moving_box=_drawn_box(registration),
        )
        file = _new_attempt_folder(job) / _archive_name(fixed, moving, box, job.layout)
        report = export(file, request, on_progress)
    return Outcome(
        {
            "file": storage.relative(file),
            "size_bytes": report.size_bytes,
            "sha256": report.sha256,
            "patches": report.patches,
            "dropped": report.dropped,
            "verdicts": report.record["patch_verdicts"],
        }
    )


@contextmanager
def _opened(pair: SlidePair, grid: str) -> Iterator[tuple[SlideInfo, SlideInfo]]:
    """(fixed, moving) for the engine: the slide that carries the patch grid is its fixed one."""
    other = Stain.IHC if grid == Stain.HE else Stain.HE
    with (
        open_record(slide_of(pair, grid)) as fixed,
        open_record(slide_of(pair, other)) as moving,
    ):
        yield _info(slide_of(pair, grid), grid, fixed), _info(slide_of(pair, other), other, moving)


def _info(slide: Slide, stain: str, source: PixelSource) -> SlideInfo:
    return SlideInfo(
        reference=slide.pk,
        stem=Path(slide.path).stem,
        stain=str(stain),
        sha256=slide.fingerprint,
        source=source,
    )


def as_trusted_as(alignment: PairAlignment, result: RegistrationResult) -> RegistrationResult:
    """A region of slides that do not belong together is refused, whatever the region itself looks like; what
    to do about the slides comes first.
    """
    if alignment.status != JobStatus.REFUSED:
        return result
    reason = Reason(
        "alignment_refused",
        "The alignment of the two slides was refused, so that no region of them can be trusted. See to the "
        "slides first, then register the region again.",
    )
    of_slides = (Reason(said["code"], said["message"]) for said in alignment.reasons)
    verdict = Verdict(Level.REFUSED, (reason, *of_slides, *result.verdict.reasons))
    return dataclasses.replace(result, verdict=verdict)


def _pieces(source: PixelSource) -> list[dict[str, Any]]:
    """Of tissue, the largest first; area in level-0 px squared."""
    return [
        {
            "number": piece.number,
            "box": [piece.box.x, piece.box.y, piece.box.width, piece.box.height],
            "outline": piece.outline.round(1).tolist(),
            "area": round(piece.area),
        }
        for piece in find_pieces(source)
    ]


def _drawn_box(registration: Registration) -> Box | None:
    region = registration.region
    if region.frame == registration.grid:
        return None
    return Box(region.x, region.y, region.width, region.height)


def _new_attempt_folder(job: Job) -> Path:
    storage.job_folder(job).mkdir(parents=True, exist_ok=True)
    return storage.attempt_folder(job)


def _archive_name(fixed: SlideInfo, moving: SlideInfo, box: Box, layout: str) -> str:
    stems = f"{fixed.stem}_{moving.stem}_x{box.x}_y{box.y}_{layout}"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stems)[:150].lstrip(".-") + ".zip"


def _verdict(result: RegistrationResult) -> dict[str, Any]:
    return {
        "verdict": result.verdict.level.value,
        "reasons": [asdict(reason) for reason in result.verdict.reasons],
    }


def _metrics(result: RegistrationResult) -> dict[str, Any]:
    """error_px, error_um, expected_error_px, expected_error_um: figures or None. seconds: per stage.

    box: x, y, width, height. error_map: what the brightest colour of expected.png stands for, where the map
    knows anything.
    """
    box = result.box
    return {
        "error_px": spread_record(result.error_px),
        "error_um": spread_record(result.error_um),
        "seconds": seconds_by_stage(result),
        "residual_px": residual_by_stage(result),
        "box": None if box is None else [box.x, box.y, box.width, box.height],
        "evidence": result.evidence,
        **_error_map(result),
    }


def _error_map(result: RegistrationResult) -> dict[str, Any]:
    if result.box is None:
        return {}
    um_per_px = result.transform.fixed.um_per_px
    found: dict[str, Any] = dict(errormaps.figures(result.expected, result.box, um_per_px))
    if result.expected is not None and found["expected_error_px"] is not None:
        found["error_map"] = errormaps.legend(result.expected, result.box, um_per_px)
    return found
