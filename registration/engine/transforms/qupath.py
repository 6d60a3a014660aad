"""The affine as QuPath writes it in "Interactive image alignment": two lines of three numbers.

QuPath's direction there is ours: the matrix takes px of the image in the viewer (fixed) to px of the overlay
(moving), both at full resolution and corner-based. QuPath knows no displacement fields: for a transform with
one the best affine is written, and how far it is off is measured.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from registration.engine.errors import EngineError
from registration.engine.geometry import Frame
from registration.engine.robust import fit
from registration.engine.transforms.affine import AffineTransform
from registration.engine.transforms.base import Transform
from registration.engine.transforms.itk import covered, numbers, read_text
from registration.engine.transforms.parsing import DIRECTION
from registration.engine.transforms.sampled import split

FORMAT = "slidepair-qupath-affine"
TEXT_NAME, JSON_NAME = "qupath.txt", "qupath.json"
_LARGEST_TEXT = 20_000
_SIDE = 120


@dataclass(frozen=True)
class NearestAffine:
    """median_px, max_px : distance to the whole transform where its field says something, moving px."""

    affine: AffineTransform
    median_px: float
    max_px: float


def nearest_affine(transform: Transform) -> NearestAffine:
    """The affine itself, or for affine @ field the least-squares affine over what the field covers."""
    affine, field = split(transform)
    if field is None:
        return NearestAffine(affine, 0.0, 0.0)
    box = covered(field)
    xs, ys = np.linspace(box.x, box.right, _SIDE), np.linspace(box.y, box.bottom, _SIDE)
    points = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    target = transform(points)
    matrix = fit(points, target, np.ones(len(points)), "affine")
    best = AffineTransform(matrix, transform.fixed, transform.moving)
    off = np.hypot(*(best(points) - target).T)
    return NearestAffine(best, float(np.median(off)), float(off.max()))


def qupath_files(affine: AffineTransform, verdict: str) -> dict[str, bytes]:
    """File names and contents: qupath.txt to paste, and qupath.json for scripts. verdict : for those."""
    matrix = affine.matrix
    # QuPath's parser knows no exponents; tabs are accepted by every version of it.
    lines = ["\t".join(f"{value:.12f}" for value in row) for row in matrix[:2].tolist()]
    (a, b, c), (d, e, f) = matrix[:2].tolist()
    record: dict[str, Any] = {
        "format": FORMAT,
        "version": 1,
        "direction": DIRECTION,
        "matrix": [[a, b, c], [d, e, f]],
        "java_awt_affine_transform": [a, d, b, e, c, f],
        "fixed": {"width": affine.fixed.size.width, "height": affine.fixed.size.height},
        "moving": {"width": affine.moving.size.width, "height": affine.moving.size.height},
        "verdict": verdict,
    }
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    return {TEXT_NAME: ("\n".join(lines) + "\n").encode("ascii"), JSON_NAME: text.encode("ascii")}


def read_qupath(path: Path, fixed: Frame, moving: Frame) -> AffineTransform:
    """What QuPath shows (six numbers with tabs, spaces or commas between) or our qupath.json.

    fixed : of the image in QuPath's viewer, moving : of the overlay.
    Raises EngineError: transform_unreadable, transform_malformed, bad_affine.
    """
    text = read_text(path, _LARGEST_TEXT)
    found = _from_json(text, path) if text.lstrip().startswith("{") else _plain(text)
    a, b, c, d, e, f = numbers(found, 6, path)
    return AffineTransform([(a, b, c), (d, e, f), (0, 0, 1)], fixed, moving)


def _plain(text: str) -> str:
    return text.replace(",", " ")


def _from_json(text: str, path: Path) -> str:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or (record.get("format"), record.get("version")) != (FORMAT, 1):
        raise EngineError("transform_unreadable", f'{path.name} does not say "format": "{FORMAT}".')
    if record.get("direction") != DIRECTION:
        raise EngineError("transform_malformed", f'{path.name} must have the direction "{DIRECTION}".')
    rows = record.get("matrix")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise EngineError("transform_malformed", f"{path.name} holds no matrix.")
    return " ".join(str(value) for row in rows for value in row)
