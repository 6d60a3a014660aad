"""manage.py export_transform: a stored transform, and its checked inverse, for other programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from registration.engine.errors import EngineError
from registration.engine.result import Level
from registration.engine.transforms import Transform, load_transform, save_transform, split
from registration.engine.transforms.inverse import CheckedInverse, checked_inverse, folded_share
from registration.engine.transforms.itk import carried_on, covered, itk_files
from registration.engine.transforms.parsing import DIRECTION, read_json
from registration.engine.transforms.qupath import nearest_affine, qupath_files
from registration.export.files import new_folder
from registration.management.cli import DONE, PlainCommand

INVERSE_FOLDER = "inverse"


class Command(PlainCommand):
    help = "Write a transform for ITK / SimpleITK, for QuPath, or as transform.json; status 2: bad input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("transform", type=Path, metavar="T.json")
        parser.add_argument(
            "--to",
            choices=("itk", "qupath", "json"),
            required=True,
            help="itk: affine.tfm, field.mha; qupath: qupath.txt, qupath.json; "
            "json: transform.json, field.npz",
        )
        parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")
        parser.add_argument(
            "--inverse",
            action="store_true",
            help=f"write fixed_from_moving, too, into the folder {INVERSE_FOLDER}, and check it",
        )
        parser.add_argument("--unit", choices=("px", "um"), default="px", help="of ITK's coordinates")
        parser.add_argument("--json", action="store_true", help="print one line of JSON last on stdout")

    def work(self, options: dict[str, Any]) -> int:
        if options["unit"] != "px" and options["to"] != "itk":
            raise EngineError(
                "bad_unit", "--unit is for --to itk; the others are always in px.", field="unit"
            )
        transform = load_transform(options["transform"])
        record = read_json(options["transform"])
        inverse = checked_inverse(transform) if options["inverse"] else None
        with new_folder(options["out"]) as place:
            said = _write(place, transform, record, options) | {"folded": folded_share(transform)}
            if inverse is not None:
                (place / INVERSE_FOLDER).mkdir()
                said["inverse"] = _write(place / INVERSE_FOLDER, inverse.transform, record, options)
                said["inverse"] |= {"round_trip_px": _round_trip(inverse)}
        if options["json"]:
            self.stdout.write(json.dumps(said, allow_nan=False))
        else:
            for line in _lines(said):
                self.stdout.write(line)
        return DONE


def _write(
    place: Path, transform: Transform, record: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any]:
    """Writes one direction; returns what is said about it."""
    said: dict[str, Any] = {"to": options["to"], "direction": DIRECTION, "verdict": _verdict(record)}
    if options["to"] == "json":
        version = str(record.get("engine_version", "unknown"))[:100]
        file = place / "transform.json"
        names = [
            path.name
            for path in save_transform(file, transform, verdict=_verdict(record), engine_version=version)
        ]
    elif options["to"] == "itk":
        names = _write_files(place, itk_files(transform, options["unit"]))
        _, field = split(transform)
        said |= {"unit": options["unit"], "covers": None}
        if field is not None:
            box = covered(carried_on(field, field.fixed.size))
            said["covers"] = [box.x, box.y, box.width, box.height]
    else:
        nearest = nearest_affine(transform)
        names = _write_files(place, qupath_files(nearest.affine, _verdict(record)))
        said["affine_off_px"] = {"median": nearest.median_px, "max": nearest.max_px}
    folder = options["out"].absolute() / ("" if place.name != INVERSE_FOLDER else INVERSE_FOLDER)
    return said | {"files": [str(folder / name) for name in names]}


def _write_files(place: Path, files: dict[str, bytes]) -> list[str]:
    for name, content in files.items():
        (place / name).write_bytes(content)
    return list(files)


def _verdict(record: dict[str, Any]) -> str:
    verdict = record.get("verdict")
    if verdict not in tuple(Level):
        raise EngineError("transform_malformed", "The transform's verdict is not good, check or refused.")
    return str(verdict)


def _round_trip(inverse: CheckedInverse) -> dict[str, float]:
    return {"p95": inverse.round_trip_p95_px, "max": inverse.round_trip_max_px}


def _lines(said: dict[str, Any]) -> Iterator[str]:
    yield f"Verdict of the transform: {said['verdict']}"
    yield from _about(said)
    if said["folded"]:
        yield f"Warning: the field folds in {said['folded']:.2%} of its cells; it has no inverse there"
    if inverse := said.get("inverse"):
        yield from _about(inverse)
        p95, largest = (inverse["round_trip_px"][key] for key in ("p95", "max"))
        yield f"There and back: 95 % within {p95:.4f} px, all within {largest:.4f} px of the first slide"


def _about(said: dict[str, Any]) -> Iterator[str]:
    for file in said["files"]:
        yield f"Written: {file}"
    if off := said.get("affine_off_px"):
        yield f"The affine alone is off by {off['median']:.2f} px (median), {off['max']:.2f} px at most"
