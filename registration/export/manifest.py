"""manifest.csv: one row a patch pair."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from registration.engine.geometry import Points
from registration.engine.patches import Patch
from registration.engine.result import Level
from registration.errormaps import um_of

_COLUMNS = (
    "stem",
    "col",
    "row",
    "fixed_x",
    "fixed_y",
    "fixed_width",
    "fixed_height",
    *(f"moving_{axis}{corner}" for corner in (1, 2, 3, 4) for axis in "xy"),
    "um_per_px",
    "tissue_fraction",
    "expected_error_um",
    "verdict",
)

Row = tuple[str | int, ...]
_ROW, _COL = _COLUMNS.index("row"), _COLUMNS.index("col")


@dataclass(frozen=True)
class Trust:
    """expected_px : the error to be expected in a patch, fixed level-0 px; None where nothing is known of it.

    verdict : good, check or refused.
    """

    expected_px: float | None
    verdict: str


def columns(um_per_px: tuple[float, float] | None) -> tuple[str, ...]:
    """The header: expected errors are in px where um/px is unknown."""
    if um_per_px is not None:
        return _COLUMNS
    return tuple("expected_error_px" if name == "expected_error_um" else name for name in _COLUMNS)


def manifest_row(
    patch: Patch,
    moving_corners: Points,
    um_per_px: tuple[float, float] | None,
    tissue: float,
    trust: Trust,
) -> Row:
    """moving_corners : (4, 2), xy, moving level-0 px, clockwise from top left. tissue : 0 to 1."""
    box = patch.box
    corners = (f"{value:.3f}" for value in moving_corners.ravel())
    resolution = "" if um_per_px is None else f"{sum(um_per_px) / 2:.6g}"
    place = (patch.stem, patch.col, patch.row, box.x, box.y, box.width, box.height)
    expected = "" if trust.expected_px is None else f"{trust.expected_px * (um_of(um_per_px) or 1.0):.3f}"
    return (*place, *corners, resolution, f"{tissue:.4f}", expected, trust.verdict)


def verdict_counts(rows: Iterable[Row]) -> dict[str, int]:
    """verdict -> rows, in the order good, check, refused; what does not occur is not in it."""
    found = [row[-1] for row in rows]
    return {level.value: found.count(level.value) for level in Level if level.value in found}


def manifest_csv(rows: Iterable[Row], um_per_px: tuple[float, float] | None) -> bytes:
    """Sorted by the patches' place in the grid: row by row, left to right."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns(um_per_px))
    ordered: list[Row] = sorted(rows, key=_place)
    writer.writerows(ordered)
    return text.getvalue().encode()


def _place(row: Row) -> tuple[int, int]:
    return int(row[_ROW]), int(row[_COL])
