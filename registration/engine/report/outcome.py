"""Pictures of a result itself, which need nothing of what happened inside the stages."""

from __future__ import annotations

import math

import numpy as np

from registration.engine.geometry import Box, Points
from registration.engine.report import draw
from registration.engine.report.field_pictures import (
    area_change,
    expected_error,
    field_on,
    size_of,
)
from registration.engine.report.recorder import RESULT, Recorder
from registration.engine.resample import warp_region
from registration.engine.result import RegistrationResult
from registration.engine.source import PixelSource, Rgb
from registration.engine.transforms import Transform, split

_SIDE = 480
_DETAIL = 440


def draw_outcome(
    recorder: Recorder, fixed: PixelSource, moving: PixelSource, result: RegistrationResult
) -> None:
    """Where the region lies, both slides on top of each other, the field, its areas, the expected error."""
    transform, whole = result.transform, Box(0, 0, fixed.width, fixed.height)
    box = result.box or whole
    recorder.picture(
        RESULT,
        "Both slides",
        lambda: _both_slides(fixed, moving, transform, box),
        "The outline is the region on the first slide and where it comes from on the second.",
    )
    first, second = _pair(fixed, moving, transform, box, max(1.0, max(box.width, box.height) / _SIDE))
    recorder.picture(
        RESULT,
        "One on top of the other",
        lambda: draw.beside(draw.fused(first, second), draw.checkerboard(first, second)),
        "Left: green where only the first slide is dark, magenta where only the second is. Right: squares of "
        "one and the other in turn; edges of tissue should run on across them.",
    )
    for name, place in _places(result, box):
        recorder.picture(
            RESULT,
            name,
            lambda place=place: _detail(fixed, moving, transform, place),  # type: ignore[misc]
            "Full resolution: the first slide, the second brought onto it, and the two as a checkerboard.",
        )
    _draw_field(recorder, first, result, box)


def _draw_field(recorder: Recorder, background: Rgb, result: RegistrationResult, box: Box) -> None:
    um = _mean_um(result.transform)
    _, field = split(result.transform)
    if field is not None:
        recorder.picture(
            RESULT,
            "The displacement field",
            lambda: field_on(background, field, box),
            "What the field adds to the affine transform. Above it: how much larger than life it is drawn.",
        )
        recorder.picture(
            RESULT,
            "How far the field moves",
            lambda: size_of(field, box, um),
            "The length of what the field adds to the affine transform.",
        )
        recorder.picture(
            RESULT,
            "How the field changes areas",
            lambda: area_change(field, box),
            "The Jacobian determinant of the field: white unchanged, blue shrunk, orange stretched, black "
            "folded, which must not happen.",
        )
    expected = result.expected
    if expected is not None:
        recorder.picture(
            RESULT,
            "Expected error",
            lambda: expected_error(expected.within(box), um),
            "Nine places in ten are expected to be off by less than this. Grey: nothing could be measured.",
        )


def _both_slides(fixed: PixelSource, moving: PixelSource, transform: Transform, box: Box) -> Rgb:
    edge = _edge(box)
    pictures = []
    for name, source, line in (("first slide", fixed, edge), ("second slide", moving, transform(edge))):
        downsample = max(1.0, max(source.width, source.height) / _SIDE)
        columns, rows = (max(1, math.ceil(side / downsample)) for side in (source.width, source.height))
        rgb, _ = source.read(0, 0, columns, rows, downsample)
        pictures.append(draw.labelled(draw.outlined(rgb, line / downsample), name))
    return draw.beside(*pictures)


def _edge(box: Box) -> Points:
    """Points along the outline: a bent one shows as bent."""
    along = np.linspace(0, 1, 17)[:-1, None]
    corners = box.corners()
    sides = [
        start + along * (end - start) for start, end in zip(corners, np.roll(corners, -1, 0), strict=True)
    ]
    return np.concatenate(sides)


def _places(result: RegistrationResult, box: Box) -> list[tuple[str, Box]]:
    x, y = box.centre
    places = [("In detail: the middle", _around(x, y, box))]
    expected = None if result.expected is None else result.expected.within(box)
    if expected is not None and expected.measured.any():
        values = np.where(expected.measured, expected.p90, -1.0)
        row, column = np.unravel_index(int(values.argmax()), values.shape)
        where = np.array(expected.origin) + (np.array((column, row)) + 0.5) * expected.spacing
        places.append(
            ("In detail: where the largest error is expected", _around(float(where[0]), float(where[1]), box))
        )
    return places


def _around(x: float, y: float, box: Box) -> Box:
    width, height = min(_DETAIL, box.width), min(_DETAIL, box.height)
    left = int(np.clip(x - width / 2, box.x, box.right - width))
    top = int(np.clip(y - height / 2, box.y, box.bottom - height))
    return Box(left, top, width, height)


def _detail(fixed: PixelSource, moving: PixelSource, transform: Transform, place: Box) -> Rgb:
    first, second = _pair(fixed, moving, transform, place, 1.0)
    return draw.beside(first, second, draw.checkerboard(first, second, 6))


def _pair(
    fixed: PixelSource, moving: PixelSource, transform: Transform, box: Box, downsample: float
) -> tuple[Rgb, Rgb]:
    second, _ = warp_region(moving, transform, box, downsample)
    rows, columns = second.shape[:2]
    first, _ = fixed.read(box.x, box.y, columns, rows, downsample)
    return first, second


def _mean_um(transform: Transform) -> float | None:
    um = transform.fixed.um_per_px
    return None if um is None else math.sqrt(um[0] * um[1])
