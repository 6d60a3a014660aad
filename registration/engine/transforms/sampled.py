"""Any transform brought into the form that is stored: an affine, or an affine after one field."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from registration.engine.errors import EngineError
from registration.engine.geometry import Box
from registration.engine.robust import fit
from registration.engine.transforms.affine import AffineTransform
from registration.engine.transforms.base import Composite, Transform
from registration.engine.transforms.displacement import DisplacementField, InverseDisplacement
from registration.engine.transforms.parsing import LARGEST_FIELD_NODES

#: Points mapped at once: bounds the memory that a large grid takes.
_AT_ONCE = 500_000

Line = NDArray[np.float64]


class Sampled(NamedTuple):
    """transform : an AffineTransform, or affine @ DisplacementField.

    deviation_px : the largest distance to the original at the nodes and half way between them, inside the
    box, px of the moving frame. Where the original has kinks of its own, it can be up to twice that between.
    """

    transform: Transform
    deviation_px: float


def sampled(transform: Transform, box: Box, spacing: float) -> Sampled:
    """`transform` (an inverse, a chain of fields, ...) with its bent part on a grid of nodes over `box`.

    box : px of transform.fixed. spacing : between nodes, px of transform.fixed. The affine is the product of
    the affine parts, so that the field stays small; an affine comes back as it is. Outside the box the edge's
    value of the field holds. Raises EngineError: bad_grid (an empty box, too small a spacing), and
    field_not_invertible where an inverse is asked of a field that folds.
    """
    if isinstance(transform, AffineTransform):
        return Sampled(transform, 0.0)
    xs, ys = _nodes(box, spacing)
    affine = _affine_part(transform, xs, ys)
    back = affine.inverse()
    values = np.empty((len(ys), len(xs), 2), np.float32)
    for rows in _strips(len(xs), len(ys)):
        here = np.stack(np.meshgrid(xs, ys[rows]), axis=-1)
        target = transform.on_grid(xs, ys[rows])
        values[rows] = back(target.reshape(-1, 2)).reshape(here.shape) - here
    field = DisplacementField(values, (xs[0], ys[0]), (spacing, spacing), transform.fixed)
    found = affine @ field
    return Sampled(found, _deviation(transform, found, box, spacing))


def split(transform: Transform) -> tuple[AffineTransform, DisplacementField | None]:
    """The affine and the field of an affine, a field or affine @ field, whatever its frames are called.

    Raises EngineError("transform_not_storable") for anything else: bring it into this form with `sampled`.
    """
    parts = transform.parts if isinstance(transform, Composite) else (transform,)
    match parts:
        case (AffineTransform() as affine,):
            return affine, None
        case (DisplacementField() as field,):
            return AffineTransform.identity(field.fixed), field
        case (AffineTransform() as affine, DisplacementField() as field):
            return affine, field
    raise EngineError(
        "transform_not_storable", "Only an affine, or an affine after one field, can be stored or exported."
    )


def _nodes(box: Box, spacing: float) -> tuple[Line, Line]:
    if box.width <= 0 or box.height <= 0 or not (math.isfinite(spacing) and spacing > 0):
        raise EngineError(
            "bad_grid", f"A grid needs a box that is not empty and a spacing above 0, not {box}, {spacing}."
        )
    if (box.width / spacing + 2) * (box.height / spacing + 2) > LARGEST_FIELD_NODES:
        raise EngineError(
            "bad_grid",
            f"Nodes every {spacing:g} px over {box.width} x {box.height} px would be too many; "
            f"at most {LARGEST_FIELD_NODES} can be stored. Make the spacing larger.",
        )
    columns, rows = math.ceil(box.width / spacing) + 1, math.ceil(box.height / spacing) + 1
    xs: Line = box.x + spacing * np.arange(columns, dtype=np.float64)
    ys: Line = box.y + spacing * np.arange(rows, dtype=np.float64)
    return xs, ys


def _affine_part(transform: Transform, xs: Line, ys: Line) -> AffineTransform:
    """The chain's affines without its fields; for a kind of transform not known here, a fit."""
    parts = transform.parts if isinstance(transform, Composite) else (transform,)
    product = np.eye(3)
    for part in parts:
        if isinstance(part, AffineTransform):
            product = product @ part.matrix
        elif not isinstance(part, DisplacementField | InverseDisplacement):
            return _fitted(transform, xs, ys)
    return AffineTransform(product, transform.fixed, transform.moving)


def _fitted(transform: Transform, xs: Line, ys: Line) -> AffineTransform:
    some = np.linspace(xs[0], xs[-1], 17), np.linspace(ys[0], ys[-1], 17)
    here = np.stack(np.meshgrid(*some), axis=-1).reshape(-1, 2)
    matrix = fit(here, transform(here), np.ones(len(here)), "affine")
    return AffineTransform(matrix, transform.fixed, transform.moving)


def _deviation(original: Transform, found: Transform, box: Box, spacing: float) -> float:
    half = spacing / 2
    xs = box.x + half * np.arange(int(box.width / half) + 1)
    ys = box.y + half * np.arange(int(box.height / half) + 1)
    largest = 0.0
    for rows in _strips(len(xs), len(ys)):
        difference = found.on_grid(xs, ys[rows]) - original.on_grid(xs, ys[rows])
        largest = max(largest, float(np.hypot(difference[..., 0], difference[..., 1]).max()))
    return largest


def _strips(columns: int, rows: int) -> Iterator[slice]:
    step = max(1, _AT_ONCE // columns)
    for first in range(0, rows, step):
        yield slice(first, min(first + step, rows))
