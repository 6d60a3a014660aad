"""manage.py align: register a region of two slides and write its aligned patch pairs into a folder."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from registration.archives import LAYOUTS, ExportRequest, export_into
from registration.artefacts import SlideInfo, run_record, write_record
from registration.engine.config import preset
from registration.engine.errors import EngineError
from registration.engine.geometry import Box, Size
from registration.engine.patches import PatchGrid
from registration.engine.pipeline import align_slides, register
from registration.engine.report.recorder import Recorder
from registration.engine.result import RegistrationResult
from registration.export.files import new_folder
from registration.export.sinks import FolderSink
from registration.management.cli import PlainCommand, add_slide_options, report_into, slide_pair, status_of
from registration.management.said import constraints_from
from registration.twin import twin_box


class Command(PlainCommand):
    help = (
        "Register a region of an H&E and an IHC slide and write aligned patch pairs. "
        "Status 0: good or check, 3: refused (no patches without --force), 2: bad input."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--he", "--he_file_path", type=Path, required=True, metavar="H", help="H&E slide")
        parser.add_argument(
            "--ihc", "--ihc_file_path", type=Path, required=True, metavar="I", help="IHC slide"
        )
        parser.add_argument("--x", "--X", type=int, required=True, help="left, level-0 px of --frame")
        parser.add_argument("--y", "--Y", type=int, required=True, help="top, level-0 px of --frame")
        parser.add_argument("--region-size", "--region_size", type=int, metavar="N", help="width and height")
        parser.add_argument("--width", type=int, metavar="W")
        parser.add_argument("--height", type=int, metavar="H")
        parser.add_argument(
            "--frame", choices=("he", "ihc"), default="he", help="the slide whose level-0 px are given"
        )
        parser.add_argument("--patch-size", "--patch_size", type=int, default=256, metavar="P")
        parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")
        parser.add_argument("--layout", choices=LAYOUTS, default="native")
        parser.add_argument("--force", action="store_true", help="write patches although refused")
        add_slide_options(parser)

    def work(self, options: dict[str, Any]) -> int:
        asked = _asked_box(options)
        out: Path = options["out"].absolute()
        with (
            slide_pair(options["he"], options["ihc"], options) as (he, ihc),
            new_folder(out) as folder,
            report_into(options["report"], out) as report,
        ):
            result = self._register(he, ihc, asked, options, report.recorder)
            report.write(result, he, ihc)
            started = time.monotonic()
            record = self._write(folder, result, (he, ihc), asked, options)
            seconds = record["seconds"] | {"export": round(time.monotonic() - started, 3)}
        paths = {
            "transform": str(out / "transform.json"),
            "files": [str(out / name) for name in record["files"]],
        }
        self.report(record | {"seconds": seconds} | paths, options)
        return status_of(result)

    def _register(
        self, he: SlideInfo, ihc: SlideInfo, asked: Box, options: dict[str, Any], recorder: Recorder
    ) -> RegistrationResult:
        config = preset(options["method"])
        on_progress = self.progress(options)
        said = constraints_from(options, he.source, ihc.source)
        refine = partial(
            register, he.source, ihc.source, constraints=said, recorder=recorder, on_progress=on_progress
        )
        if options["frame"] == "he":
            PatchGrid(asked, options["patch_size"])
            return refine(asked, config)
        _check_inside(asked, ihc)
        alignment = align_slides(
            he.source, ihc.source, config, on_progress, constraints=said, recorder=recorder
        )
        if alignment.refused and not options["force"]:
            return alignment  # where the box lies on the H&E is not known
        box = twin_box(asked, alignment.transform.inverse()).intersection(alignment.transform.fixed.size.box)
        _check_counterpart(box)
        PatchGrid(box, options["patch_size"])
        result = refine(box, config, initial=alignment.transform)
        verdict = alignment.verdict if alignment.refused else result.verdict
        stages = alignment.stages + result.stages
        return replace(result, verdict=verdict, stages=stages, section=alignment.section)

    def _write(
        self,
        folder: Path,
        result: RegistrationResult,
        slides: tuple[SlideInfo, SlideInfo],
        asked: Box,
        options: dict[str, Any],
    ) -> dict[str, Any]:
        record = run_record(result, *slides)
        if result.box is None or (result.refused and not options["force"]):
            return record | {"files": write_record(folder, result, record)}
        request = ExportRequest(
            *slides,
            transform=result.transform,
            box=result.box,
            patch_size=options["patch_size"],
            layout=options["layout"],
            record=record,
            moving_box=asked if options["frame"] == "ihc" else None,
            expected=result.expected,
        )
        return export_into(FolderSink(folder), folder.parent, request, self.progress(options))


def _asked_box(options: dict[str, Any]) -> Box:
    size, width, height = options["region_size"], options["width"], options["height"]
    if size is not None and width is None and height is None:
        width = height = size
    if size is None and (width is None or height is None):
        raise _bad_size("give --region-size N, or --width W and --height H")
    if size is not None and (width, height) != (size, size):
        raise _bad_size("give either --region-size, or --width and --height, not both")
    if min(width, height) < 1:
        raise _bad_size(f"it is {width} x {height} px, and must be at least 1 px a side")
    return Box(options["x"], options["y"], width, height)


def _bad_size(why: str) -> EngineError:
    return EngineError("bad_region_size", f"The size of the region: {why}.", field="region_size")


def _check_inside(box: Box, slide: SlideInfo) -> None:
    size = Size(slide.source.width, slide.source.height)
    if not box.inside(size):
        raise EngineError(
            "box_outside_slide",
            f"The region x {box.x} to {box.right}, y {box.y} to {box.bottom} does not lie inside the slide "
            f"{slide.stem} of {size.width} x {size.height} px; move it or make it smaller.",
            field="x",
        )


def _check_counterpart(box: Box) -> None:
    if not box.area:
        raise EngineError(
            "box_outside_slide",
            "The region of the IHC slide has no counterpart on the H&E slide; choose another one.",
            field="x",
        )
