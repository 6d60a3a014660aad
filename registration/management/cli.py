"""What the commands without a server share: no database, one line for an error, exit status 0, 2 or 3."""

from __future__ import annotations

import json
import os
import signal
import sys
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandParser

from registration import errormaps
from registration.artefacts import ONLY_IN_RUN, SlideInfo
from registration.engine.config import METHODS
from registration.engine.errors import EngineError
from registration.engine.report.recorder import NO_RECORDER, Pictures, Recorder
from registration.engine.report.write import write_report
from registration.engine.result import Level, OnProgress, RegistrationResult
from registration.engine.transforms.io import field_name
from registration.export.files import move_into_place, new_folder
from registration.management.said import add_guidance_options
from viewer.management.arguments import um_per_px
from viewer.wsi import SlideError, fingerprint, open_slide

DONE = 0
BAD_INPUT = 2
REFUSED = 3


class OneLineParser(CommandParser):
    """Says what is wrong with the arguments in one line, without the usage; status 2."""

    def error(self, message: str) -> Any:
        self.exit(BAD_INPUT, f"error: {_one_line(message)} (see --help)\n")


class PlainCommand(BaseCommand):
    """Logs and errors go to stderr, results to stdout."""

    requires_system_checks = []

    @abstractmethod
    def work(self, options: dict[str, Any]) -> int:
        """Returns the exit status. Raises EngineError or SlideError for bad input."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.__class__ = OneLineParser
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with _stopped_cleanly():
                status = self.work(options)
        except (EngineError, SlideError) as error:
            self._end(error.message)
        except OSError as error:
            self._end(f"{error.filename}: {error.strerror}")
        except KeyboardInterrupt:
            self.stderr.write("stopped")
            sys.exit(128 + signal.SIGINT)
        if status != DONE:
            sys.exit(status)

    def _end(self, message: str) -> NoReturn:
        self.stderr.write(f"error: {_one_line(message)}")
        sys.exit(BAD_INPUT)

    def progress(self, options: dict[str, Any]) -> OnProgress:
        """Tells a person at a terminal (or anybody who asks with -v 2) what is going on."""
        shown = options["verbosity"] > 1 or (options["verbosity"] == 1 and sys.stderr.isatty())

        def tell(stage: str, percent: int) -> None:
            if shown:
                self.stderr.write(f"{percent:3d} % {stage}", lambda text: text)

        return tell

    def report(self, record: dict[str, Any], options: dict[str, Any]) -> None:
        """With --json one line of JSON, else a few lines for a person."""
        if options["json"]:
            shown = {key: value for key, value in record.items() if key not in ONLY_IN_RUN}
            self.stdout.write(json.dumps(shown, allow_nan=False))
            return
        for line in _summary(record):
            self.stdout.write(line)


def add_slide_options(parser: CommandParser) -> None:
    for slide, stain in (("fixed", "H&E"), ("moving", "IHC")):
        parser.add_argument(
            f"--{slide}-mpp",
            type=um_per_px,
            metavar="X[,Y]",
            help=f"um per level-0 px of the {slide} slide (the {stain})",
        )
    methods = "; ".join(f"{name}: {text}" for name, text in METHODS.items())
    parser.add_argument("--method", default="accurate", help=methods.replace("%", "%%"))
    add_guidance_options(parser)
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="draw every stage into a new or empty folder (index.html)"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON last on stdout")


@contextmanager
def slide_pair(fixed: Path, moving: Path, options: dict[str, Any]) -> Iterator[tuple[SlideInfo, SlideInfo]]:
    """Both slides, open. Raises SlideError, EngineError: same_slide, mpp_missing."""
    with (
        _slide(fixed, "he", options["fixed_mpp"]) as fixed_info,
        _slide(moving, "ihc", options["moving_mpp"]) as moving_info,
    ):
        _check_different(fixed_info, moving_info)
        _check_scale(fixed_info, moving_info, "--fixed-mpp")
        _check_scale(moving_info, fixed_info, "--moving-mpp")
        yield fixed_info, moving_info


@contextmanager
def report_into(folder: Path | None, out: Path) -> Iterator[Report]:
    """A report that appears complete in `folder`, or not at all.

    out : of the command, which must find its place free when it is done. Raises EngineError:
    destination_exists, bad_report.
    """
    if folder is None:
        yield Report(None)
        return
    if Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(out)):
        raise EngineError(
            "bad_report", f"--report {folder} lies in --out {out}; name a folder beside it.", field="report"
        )
    with new_folder(folder.absolute()) as place:
        yield Report(place)


class Report:
    """recorder : for the engine. place : None where no report is wanted."""

    def __init__(self, place: Path | None) -> None:
        self._place = place
        self.recorder: Recorder = NO_RECORDER if place is None else Pictures()

    def write(self, result: RegistrationResult, fixed: SlideInfo, moving: SlideInfo) -> None:
        if self._place is not None and isinstance(self.recorder, Pictures):
            title = f"{fixed.stem} and {moving.stem}"
            write_report(self._place, self.recorder, result, fixed.source, moving.source, title=title)


def is_one_of(out: Path, inputs: Iterable[Path]) -> bool:
    """Whether writing `out` would replace one of the inputs, links followed (a circle of them is none)."""
    return os.path.realpath(out) in map(os.path.realpath, inputs)


def map_name(out: Path) -> str:
    """The file beside the transform `out` that holds its map of expected errors."""
    return errormaps.FILE if out.name == "transform.json" else f"{out.stem}.{errormaps.FILE}"


def replace_transform(out: Path, files: Sequence[Path]) -> list[str]:
    """Moves `files` (the transform first) to `out` and beside it; a field or map of an earlier transform that
    has none of the same name now goes: it is not about this one. Returns where they are now.
    """
    written = [out.absolute().with_name(file.name) for file in files]
    for file, final in reversed(list(zip(files, written, strict=True))):
        move_into_place(file, final)
    for name in {field_name(out), map_name(out)} - {file.name for file in files}:
        out.with_name(name).unlink(missing_ok=True)
    return [str(path) for path in written]


def status_of(result: RegistrationResult) -> int:
    return REFUSED if result.refused else DONE


@contextmanager
def _slide(path: Path, stain: str, mpp: tuple[float, float] | None) -> Iterator[SlideInfo]:
    with open_slide(path, mpp) as reader:
        stem = path.stem if path.is_file() else path.absolute().name
        yield SlideInfo(str(path.absolute()), stem, stain, fingerprint(path), reader)


def _check_different(fixed: SlideInfo, moving: SlideInfo) -> None:
    if fixed.sha256 == moving.sha256:
        both = f"{fixed.reference} and {moving.reference} have the same content"
        raise EngineError("same_slide", f"A pair needs two different slides: {both}.", field="moving")


def _check_scale(slide: SlideInfo, other: SlideInfo, option: str) -> None:
    if slide.source.um_per_px is None and other.source.um_per_px is not None:
        raise EngineError(
            "mpp_missing",
            f"{slide.reference} does not say its um/px but {other.reference} does; give it with {option}.",
            field=option,
        )


def _summary(record: dict[str, Any]) -> Iterator[str]:
    yield f"Verdict: {record['verdict']}"
    for reason in record["reasons"]:
        yield f"  {reason['message']}"
    yield from _errors(record)
    if record["section"]:
        yield f"Sections: {record['section']['kind']}. {record['section']['message']}"
    if record["patches"] or record["dropped"]:
        dropped = ", ".join(f"{count} {reason}" for reason, count in record["dropped"].items())
        yield f"Patch pairs: {record['patches']} written; left out: {dropped or 'none'}"
    if record["patch_verdicts"]:
        counts = (f"{count} {verdict}" for verdict, count in record["patch_verdicts"].items())
        yield f"By their expected errors: {', '.join(counts)}"
    yield f"Transform: {record['transform']}"


def _errors(record: dict[str, Any]) -> Iterator[str]:
    """Nothing vouches for the figures of a refused result: they are left to --json."""
    if record["verdict"] == Level.REFUSED:
        yield "Error: not known, since the result is refused"
        return
    unit = "um" if record["fixed"]["um_per_px"] else "px"
    if error := record[f"error_{unit}"]:
        what = "Error at held-out matches" if record["roi"] is None else "Expected error over the region"
        yield f"{what}: {_figures(error, unit)}"
    if expected := record[f"expected_error_{unit}"]:
        yield f"Expected errors of its squares: {_figures(expected, unit)}"


def _figures(spread: dict[str, float], unit: str) -> str:
    return ", ".join(f"{name} {value:.2f} {unit}" for name, value in spread.items())


def _one_line(message: str) -> str:
    return " ".join(message.split())


@contextmanager
def _stopped_cleanly() -> Iterator[None]:
    """SIGTERM ends the command as an exception does, so that half-made output is cleared away."""
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
