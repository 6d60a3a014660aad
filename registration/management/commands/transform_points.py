"""manage.py transform_points: a CSV of points from one slide to the other, in a stream."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from django.core.management.base import CommandParser

from registration.engine.errors import EngineError
from registration.engine.result import Level
from registration.engine.transforms import Transform, load_transform
from registration.engine.transforms.parsing import read_json
from registration.export.files import move_into_place, workplace
from registration.management.cli import DONE, PlainCommand, is_one_of
from registration.management.tables import Table, names_of

_ROWS = 50_000  # at a time
_WARNED = {
    Level.CHECK.value: "look at some of the points on both slides before you use them",
    Level.REFUSED.value: "the points are not to be used",
}


class Command(PlainCommand):
    help = "Map the columns x, y (level-0 px, corner-based) of a CSV file; other columns are kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("transform", type=Path, metavar="T.json")
        parser.add_argument("points", type=Path, metavar="POINTS.csv")
        parser.add_argument("--out", type=Path, required=True, metavar="MAPPED.csv")
        parser.add_argument(
            "--inverse", action="store_true", help="from the moving to the fixed slide, not fixed to moving"
        )

    def work(self, options: dict[str, Any]) -> int:
        out: Path = options["out"]
        _check_out(out, options)
        transform = load_transform(options["transform"])
        verdict = str(read_json(options["transform"]).get("verdict"))
        if options["inverse"]:
            transform = transform.inverse()
        table = Table(options["points"], "bad_points", "points")
        with table.open() as source, workplace(out) as place:
            file = place / "points.csv"
            with file.open("w", encoding="utf-8", newline="") as target:
                counted = _map_file(table, source, target, transform)
            move_into_place(file, out)
        if verdict in _WARNED:
            self.stderr.write(f"verdict of the transform: {verdict}; {_WARNED[verdict]}")
        if counted.outside:
            slide, size = "moving" if options["inverse"] else "fixed", transform.fixed.size
            self.stderr.write(
                f"{counted.outside} of {counted.points} points lie outside the {slide} slide "
                f"({size.width} x {size.height} px): where they are mapped to is a guess"
            )
        return DONE


@dataclass
class _Counted:
    """outside : points that do not lie on the slide they are given on."""

    points: int = 0
    outside: int = 0


def _map_file(table: Table, source: TextIO, target: TextIO, transform: Transform) -> _Counted:
    lines = table.lines(source)
    _, header = next(lines, (0, []))
    names = names_of(header)
    if names.count("x") != 1 or names.count("y") != 1:
        found = ", ".join(header) or "nothing"
        needed = "needs one column x and one column y in its first line"
        raise table.fault(f"{table.path.name} {needed}; found: {found}.")
    x, y = names.index("x"), names.index("y")
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(header)
    counted, size = _Counted(), transform.fixed.size
    while chunk := list(islice(lines, _ROWS)):
        points = np.array([(table.number(line, x), table.number(line, y)) for line in chunk])
        counted.points += len(points)
        counted.outside += int(((points < 0) | (points > (size.width, size.height))).any(axis=1).sum())
        for (_, row), (to_x, to_y) in zip(chunk, transform(points).tolist(), strict=True):
            row[x], row[y] = f"{to_x:.6f}", f"{to_y:.6f}"
            writer.writerow(row)
    return counted


def _check_out(out: Path, options: dict[str, Any]) -> None:
    if out.is_dir():
        raise EngineError("bad_out", f"--out {out} is a folder; name a file.", field="out")
    if is_one_of(out, (options["transform"], options["points"])):
        raise EngineError("bad_out", f"--out {out} is one of the inputs; name another file.", field="out")
