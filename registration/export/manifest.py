"""manifest.csv: one row a patch pair."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from registration.engine.geometry import Points
from registration.engine.patches import Patch

COLUMNS = (
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
)

Row = tuple[str | int, ...]
_ROW, _COL = COLUMNS.index("row"), COLUMNS.index("col")


def manifest_row(
    patch: Patch, moving_corners: Points, um_per_px: tuple[float, float] | None, tissue: float
) -> Row:
    """moving_corners : (4, 2), xy, moving level-0 px, clockwise from top left. tissue : 0 to 1."""
    box = patch.box
    corners = (f"{value:.3f}" for value in moving_corners.ravel())
    resolution = "" if um_per_px is None else f"{sum(um_per_px) / 2:.6g}"
    place = (patch.stem, patch.col, patch.row, box.x, box.y, box.width, box.height)
    return (*place, *corners, resolution, f"{tissue:.4f}")


def manifest_csv(rows: Iterable[Row]) -> bytes:
    """Sorted by the patches' place in the grid: row by row, left to right."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    ordered: list[Row] = sorted(rows, key=_place)
    writer.writerows(ordered)
    return text.getvalue().encode()


def _place(row: Row) -> tuple[int, int]:
    return int(row[_ROW]), int(row[_COL])
