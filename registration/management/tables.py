"""CSV files of a user: read line by line, and every fault named by its line."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from registration.engine.errors import EngineError

#: The file's line (for messages) and the row's cells.
Line = tuple[int, list[str]]


@dataclass(frozen=True)
class Table:
    """A comma-separated file in UTF-8 whose first line names the columns.

    code, field : of the EngineError that says what is wrong.
    """

    path: Path
    code: str
    field: str

    def fault(self, message: str) -> EngineError:
        return EngineError(self.code, message, field=self.field)

    def open(self) -> TextIO:
        try:
            return self.path.open(encoding="utf-8-sig", newline="")
        except OSError as error:
            raise self.fault(f"{self.path} can't be read: {error.strerror}.") from error

    def lines(self, source: TextIO) -> Iterator[Line]:
        """Rows that hold something, with the number of their (last) line; the header first."""
        reader = csv.reader(source)
        try:
            for row in reader:
                if row:
                    yield reader.line_num, row
        except (csv.Error, UnicodeDecodeError) as error:
            what = f"{self.path.name} line {reader.line_num + 1} is not comma-separated text in UTF-8"
            raise self.fault(f"{what}. Save the table as CSV in UTF-8.") from error

    def number(self, line: Line, column: int) -> float:
        number, row = line
        cell = row[column] if column < len(row) else ""
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.fault(f"{self.path.name} line {number}: {cell!r} is not a number.")
        return value


def names_of(header: list[str]) -> list[str]:
    return [cell.strip().lower() for cell in header]
