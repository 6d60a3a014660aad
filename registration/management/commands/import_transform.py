"""manage.py import_transform: a transform that another program found, as transform.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from registration.engine.errors import EngineError
from registration.engine.geometry import Frame
from registration.engine.inputs import frame
from registration.engine.result import Level
from registration.engine.transforms import Transform, save_transform
from registration.engine.transforms.inverse import folded_share
from registration.engine.transforms.itk import read_itk
from registration.engine.transforms.qupath import read_qupath
from registration.export.files import workplace
from registration.management.cli import DONE, PlainCommand, is_one_of, replace_transform, slide_pair
from viewer.management.arguments import um_per_px

#: Nobody has judged it: a person should look.
_VERDICT = Level.CHECK
_VERSION = "imported"


class Command(PlainCommand):
    help = "Turn an ITK affine and displacement field, or a QuPath matrix, into transform.json."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("fixed", type=Path, metavar="FIXED", help="the slide the transform starts from")
        parser.add_argument("moving", type=Path, metavar="MOVING", help="the slide it leads to")
        parser.add_argument("--itk-affine", type=Path, metavar="A.tfm", help="AffineTransform_double_2_2")
        parser.add_argument("--itk-field", type=Path, metavar="F.mha", help="applied before the affine")
        parser.add_argument(
            "--qupath", type=Path, metavar="Q.txt", help="six numbers; FIXED is in the viewer"
        )
        parser.add_argument("--unit", choices=("px", "um"), default="px", help="of ITK's coordinates")
        for slide in ("fixed", "moving"):
            parser.add_argument(
                f"--{slide}-mpp",
                type=um_per_px,
                metavar="X[,Y]",
                help=f"um per level-0 px of {slide.upper()}",
            )
        parser.add_argument("--out", type=Path, required=True, metavar="T.json")
        parser.add_argument("--json", action="store_true", help="print one line of JSON last on stdout")

    def work(self, options: dict[str, Any]) -> int:
        out: Path = options["out"]
        _check(options)
        with slide_pair(options["fixed"], options["moving"], options) as (fixed, moving):
            frames = frame("fixed", fixed.source), frame("moving", moving.source)
        transform = _read(options, *frames)
        with workplace(out) as place:
            files = save_transform(
                place / out.name, transform, verdict=_VERDICT.value, engine_version=_VERSION
            )
            names = replace_transform(out, files)
        folded = folded_share(transform)
        if options["json"]:
            said = {"verdict": _VERDICT.value, "transform": names[0], "files": names, "folded": folded}
            self.stdout.write(json.dumps(said))
        else:
            self.stdout.write(f"Transform: {names[0]}")
            if folded:
                self.stdout.write(f"Warning: the field folds in {folded:.2%} of its cells")
        return DONE


def _read(options: dict[str, Any], fixed: Frame, moving: Frame) -> Transform:
    if options["qupath"] is not None:
        return read_qupath(options["qupath"], fixed, moving)
    return read_itk(options["itk_affine"], options["itk_field"], fixed, moving, options["unit"])


def _check(options: dict[str, Any]) -> None:
    itk = [options[name] for name in ("itk_affine", "itk_field") if options[name] is not None]
    given = itk + ([] if options["qupath"] is None else [options["qupath"]])
    if not given:
        what = "There is nothing to import. Give --itk-affine, --itk-field or both, or else --qupath"
        raise EngineError("bad_source", f"{what}.", field="qupath")
    if itk and options["qupath"] is not None:
        what = "--qupath is a whole transform of its own. Give it without --itk-affine and --itk-field"
        raise EngineError("bad_source", f"{what}.", field="qupath")
    out: Path = options["out"]
    if out.is_dir() or out.name.startswith(".") or set(out.name) & set("\\:"):
        raise EngineError("bad_out", f"--out {out} must name a file, without \\ or : in it.", field="out")
    if is_one_of(out, (options["fixed"], options["moving"], *given)):
        raise EngineError("bad_out", f"--out {out} is one of the inputs; name another file.", field="out")
