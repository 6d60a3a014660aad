"""manage.py register: the transform between two slides, or a region of them, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from registration import errormaps
from registration.artefacts import SlideInfo, run_record
from registration.engine.config import preset
from registration.engine.errors import EngineError
from registration.engine.pipeline import align_slides, register
from registration.engine.result import RegistrationResult
from registration.engine.transforms import save_transform
from registration.export.files import workplace
from registration.management.cli import (
    PlainCommand,
    Report,
    add_slide_options,
    is_one_of,
    map_name,
    replace_transform,
    report_into,
    slide_pair,
    status_of,
)
from registration.management.said import box_argument, constraints_from


class Command(PlainCommand):
    help = "Register two slides and write the transform. Status 0: good or check, 3: refused, 2: bad input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("fixed", type=Path, metavar="FIXED", help="the H&E slide")
        parser.add_argument("moving", type=Path, metavar="MOVING", help="the IHC slide")
        parser.add_argument("--out", type=Path, required=True, metavar="T.json", help="the transform")
        parser.add_argument(
            "--roi",
            type=box_argument,
            metavar="X,Y,W,H",
            help="level-0 px of FIXED; without it the whole slide",
        )
        add_slide_options(parser)

    def work(self, options: dict[str, Any]) -> int:
        out: Path = options["out"]
        _check_out(out, options)
        with (
            slide_pair(options["fixed"], options["moving"], options) as (fixed, moving),
            workplace(out) as place,
            report_into(options["report"], out) as report,
        ):
            result = self._register(fixed, moving, options, report)
            report.write(result, fixed, moving)
            files = save_transform(
                place / out.name,
                result.transform,
                verdict=result.verdict.level.value,
                engine_version=result.engine_version,
            )
            if result.expected is not None:
                files.append(place / map_name(out))
                files[-1].write_bytes(errormaps.error_map_bytes(result.expected))
            names = replace_transform(out, files)
            record = run_record(result, fixed, moving)
        self.report(record | {"transform": names[0], "files": names}, options)
        return status_of(result)

    def _register(
        self, fixed: SlideInfo, moving: SlideInfo, options: dict[str, Any], report: Report
    ) -> RegistrationResult:
        config = preset(options["method"])
        said = constraints_from(options, fixed.source, moving.source)
        slides, on_progress = (fixed.source, moving.source), self.progress(options)
        if options["roi"] is None:
            return align_slides(*slides, config, on_progress, constraints=said, recorder=report.recorder)
        return register(
            *slides,
            options["roi"],
            config,
            constraints=said,
            recorder=report.recorder,
            on_progress=on_progress,
        )


def _check_out(out: Path, options: dict[str, Any]) -> None:
    if out.is_dir():
        why = "is a folder; name a file"
    elif is_one_of(out, (options["fixed"], options["moving"])):
        why = "is one of the slides; name another file"
    elif out.name.startswith(".") or set(out.name) & set("\\:"):
        why = "must not start with a dot or hold \\ or :"
    else:
        return
    raise EngineError("bad_out", f"--out {out} {why}.", field="out")
