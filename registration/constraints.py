"""What a person says about a pair, between JSON (by stain) and the engine (fixed and moving)."""

from __future__ import annotations

from typing import Any

import numpy as np

from registration.engine.constraints import (
    Constraints,
    Landmarks,
    checked_landmarks,
    checked_polygons,
)
from registration.engine.errors import EngineError
from registration.engine.transforms import Transform
from registration.errors import InvalidInput
from registration.models import PairAlignment
from viewer.models import Slide, SlidePair

#: Fields of PairAlignment, and of the API.
NAMES = ("landmarks", "exclude_he", "exclude_ihc")

#: JSON values by the names of NAMES.
Said = dict[str, Any]


def nothing_said() -> Said:
    return {name: [] for name in NAMES}


def said_of(alignment: PairAlignment) -> Said:
    return {name: getattr(alignment, name) for name in NAMES}


def checked(pair: SlidePair, said: Said) -> Said:
    """`said` as it is stored, every weight written out. Raises InvalidInput with the field at fault."""
    landmarks = _landmarks(said["landmarks"])
    for index in range(len(landmarks)):
        for stain, slide, points in (
            ("he", pair.fixed, landmarks.fixed),
            ("ihc", pair.moving, landmarks.moving),
        ):
            _check_inside(slide, points[index], f"landmarks.{index}.{stain}")
    rows = zip(landmarks.fixed.tolist(), landmarks.moving.tolist(), landmarks.weight.tolist(), strict=True)
    return {
        "landmarks": [{"he": he, "ihc": ihc, "weight": weight} for he, ihc, weight in rows],
        **{name: [ring.tolist() for ring in _polygons(said[name], name)] for name in NAMES[1:]},
    }


def constraints_of(alignment: PairAlignment) -> Constraints:
    """For the engine with the H&E as its fixed slide; `.swapped` for the other way round."""
    return Constraints(
        _landmarks(alignment.landmarks),
        _polygons(alignment.exclude_he, "exclude_he"),
        _polygons(alignment.exclude_ihc, "exclude_ihc"),
    )


def landmark_residuals(transform: Transform, landmarks: Landmarks) -> dict[str, list[float]]:
    """How far each landmark lands from its partner, px of the moving slide; {} where there are none."""
    if len(landmarks) == 0:
        return {}
    distance = np.linalg.norm(transform(landmarks.fixed) - landmarks.moving, axis=1)
    return {"landmark_residual_px": distance.round(2).tolist()}


def _landmarks(rows: list[dict[str, Any]]) -> Landmarks:
    try:
        return checked_landmarks(
            [row["he"] for row in rows],
            [row["ihc"] for row in rows],
            [row.get("weight", 1.0) for row in rows],
        )
    except EngineError as error:
        raise InvalidInput(error.code, error.message, error.field) from error


def _polygons(rings: list[Any], field: str) -> tuple[Any, ...]:
    try:
        return checked_polygons(rings)
    except EngineError as error:
        raise InvalidInput(error.code, error.message, field) from error


def _check_inside(slide: Slide, point: Any, field: str) -> None:
    size = (slide.width or 0, slide.height or 0)
    if (point < 0).any() or (point > np.array(size)).any():
        x, y = (float(value) for value in point)
        raise InvalidInput(
            "landmark_outside_slide",
            f"The landmark {x:g}, {y:g} does not lie on {slide.name} of {size[0]} x {size[1]} px.",
            field,
        )
