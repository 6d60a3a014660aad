"""manage.py transform_points: a CSV of points from one slide to the other, in a stream."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import CommandParser

from registration.engine.errors import EngineError
from registration.engine.transforms import Transform, load_transform
from registration.export.files import move_into_place, workplace
from registration.management.cli import DONE, PlainCommand, is_one_of

_ROWS = 50_000  # at a time

#: The file's line (for messages) and the row's cells.
Line = tuple[int, list[str]]


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
        if options["inverse"]:
            transform = transform.inverse()
        with _opened(options["points"]) as source, workplace(out) as place:
            file = place / "points.csv"
            with file.open("w", encoding="utf-8", newline="") as target:
                _map_file(source, target, transform, options["points"].name)
            move_into_place(file, out)
        return DONE


def _map_file(source: TextIO, target: TextIO, transform: Transform, name: str) -> None:
    lines = _lines(source, name)
    _, header = next(lines, (0, []))
    names = [cell.strip().lower() for cell in header]
    if names.count("x") != 1 or names.count("y") != 1:
        found = ", ".join(header) or "nothing"
        raise _bad(f"{name} needs one column x and one column y in its first line; found: {found}.")
    x, y = names.index("x"), names.index("y")
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(header)
    while chunk := list(islice(lines, _ROWS)):
        points = [(_number(line, x, name), _number(line, y, name)) for line in chunk]
        for (_, row), (to_x, to_y) in zip(chunk, transform(points).tolist(), strict=True):
            row[x], row[y] = f"{to_x:.6f}", f"{to_y:.6f}"
            writer.writerow(row)


def _lines(source: TextIO, name: str) -> Iterator[Line]:
    """Rows that hold something, with the number of their (last) line."""
    reader = csv.reader(source)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except (csv.Error, UnicodeDecodeError) as error:
        raise _bad(f"{name} line {reader.line_num + 1} is not CSV text in UTF-8: {error}.") from error


def _number(line: Line, column: int, name: str) -> float:
    number, row = line
    cell = row[column] if column < len(row) else ""
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _bad(f"{name} line {number}: {cell!r} is not a number.")
    return value


def _opened(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise _bad(f"{path} can't be read: {error.strerror}.") from error


def _check_out(out: Path, options: dict[str, Any]) -> None:
    if out.is_dir():
        raise EngineError("bad_out", f"--out {out} is a folder; name a file.", field="out")
    if is_one_of(out, (options["transform"], options["points"])):
        raise EngineError("bad_out", f"--out {out} is one of the inputs; name another file.", field="out")


def _bad(message: str) -> EngineError:
    return EngineError("bad_points", message, field="points")
