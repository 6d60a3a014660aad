"""Options by which a person guides a registration: landmarks and regions to leave out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import CommandParser

from registration.engine.constraints import Constraints, Landmarks, checked_landmarks
from registration.engine.errors import EngineError
from registration.engine.geometry import Box, Points
from registration.engine.source import PixelSource
from registration.management.tables import Table, names_of

COLUMNS = ("fixed_x", "fixed_y", "moving_x", "moving_y")
_WEIGHT = "weight"
_LARGEST_PX = 2**31 - 1


def add_guidance_options(parser: CommandParser) -> None:
    parser.add_argument(
        "--landmarks",
        type=Path,
        metavar="CSV",
        help=f"places that must meet: columns {', '.join(COLUMNS)} and optionally {_WEIGHT}, level-0 px",
    )
    for slide, stain in (("fixed", "H&E"), ("moving", "IHC")):
        parser.add_argument(
            f"--exclude-{slide}",
            type=box_argument,
            action="append",
            default=[],
            metavar="X,Y,W,H",
            help=f"a box of the {slide} slide (the {stain}) not to look at, level-0 px; may be repeated",
        )


def constraints_from(options: dict[str, Any], fixed: PixelSource, moving: PixelSource) -> Constraints:
    """Raises EngineError: bad_landmarks, landmark_outside_slide, bad_exclusion."""
    landmarks = checked_landmarks((), ()) if options["landmarks"] is None else _read(options["landmarks"])
    for name, slide, points in (("fixed", fixed, landmarks.fixed), ("moving", moving, landmarks.moving)):
        _check_inside(name, slide, points)
    return Constraints(landmarks, _corners(options["exclude_fixed"]), _corners(options["exclude_moving"]))


def box_argument(text: str) -> Box:
    """X,Y,W,H as an argument of the command line."""
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:100]!r} is not four whole numbers X,Y,W,H") from error
    if max(map(abs, (x, y, width, height))) > _LARGEST_PX:
        raise argparse.ArgumentTypeError(f"{text[:100]!r} is larger than any slide")
    return Box(x, y, width, height)


def _read(path: Path) -> Landmarks:
    table = Table(path, "bad_landmarks", "landmarks")
    with table.open() as source:
        lines = table.lines(source)
        _, header = next(lines, (0, []))
        names = names_of(header)
        if any(names.count(name) != 1 for name in COLUMNS) or names.count(_WEIGHT) > 1:
            found = ", ".join(header) or "nothing"
            needed = ", ".join(COLUMNS)
            raise table.fault(f"{path.name} needs the columns {needed} in its first line; found: {found}.")
        columns = [names.index(name) for name in (*COLUMNS, _WEIGHT) if name in names]
        rows = [[table.number(line, column) for column in columns] for line in lines]
    if not rows:
        raise table.fault(f"{path.name} holds no landmark.")
    values = np.array(rows, np.float64)
    return checked_landmarks(values[:, :2], values[:, 2:4], values[:, 4] if values.shape[1] > 4 else None)


def _check_inside(name: str, slide: PixelSource, points: Points) -> None:
    outside = ((points < 0) | (points > (slide.width, slide.height))).any(axis=1)
    if outside.any():
        x, y = points[outside][0].tolist()
        raise EngineError(
            "landmark_outside_slide",
            f"The landmark {x:g}, {y:g} is not on the {name} slide ({slide.width} x {slide.height} px). "
            "Give level-0 px, and do not mix up the two slides.",
            field="landmarks",
        )


def _corners(boxes: list[Box]) -> tuple[Points, ...]:
    for box in boxes:
        if min(box.width, box.height) < 1:
            raise EngineError(
                "bad_exclusion",
                f"A box to leave out has at least 1 px a side, not {box.width} x {box.height}.",
                field="exclude",
            )
    return tuple(box.corners() for box in boxes)
