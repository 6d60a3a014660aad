"""What a displacement field does, how well it is supported, and what error it leaves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from registration.engine.evaluation.field import jacobian
from registration.engine.geometry import Box, Points
from registration.engine.report import draw
from registration.engine.source import Rgb

if TYPE_CHECKING:
    from registration.engine.expected import ErrorMap
    from registration.engine.transforms.base import Transform

#: The ratio of areas at which the colours end.
_MOST_CHANGE = 1.5
_LINES = 24
_ARROWS = 26


def field_on(background: Rgb, shifts: Transform, box: Box) -> Rgb:
    """A field as a bent grid and as arrows, both exaggerated so that they can be seen (the picture says how).

    background : the box, at any scale. shifts : x -> x + field(x), in the frame of `box`.
    """
    scale = background.shape[1] / box.width
    points, moved = _moved(shifts, box, _LINES)
    by = _exaggeration(moved, max(box.width, box.height) / _LINES)
    lines = draw.mesh(background, (points + by * moved - (box.x, box.y)) * scale)
    points, moved = (values.reshape(-1, 2) for values in _moved(shifts, box, _ARROWS))
    pale = (255 - (255 - background.astype(np.int16)) // 2).astype(np.uint8)
    pointed = draw.arrows(pale, (points - (box.x, box.y)) * scale, by * moved * scale)
    largest = float(np.hypot(*moved.T).max())
    text = f"largest {largest:.2f} px; " + (f"drawn {by:.3g} times as large" if by > 1 else "drawn as it is")
    return draw.beside(draw.labelled(lines, text), draw.labelled(pointed, text))


def size_of(shifts: Transform, box: Box, um_per_px: float | None = None, cells: int = 96) -> Rgb:
    """The length of the displacement as a heat map. um_per_px : for the scale; px where it is None."""
    _, moved = _moved(shifts, box, cells)
    lengths = np.hypot(moved[..., 0], moved[..., 1]) * (um_per_px or 1)
    return draw.heat_with_scale(lengths, _round_up(float(lengths.max())), "um" if um_per_px else "px")


def area_change(shifts: Transform, box: Box, cells: int = 96) -> Rgb:
    """The Jacobian determinant: white unchanged, blue shrunk, orange stretched, black folded."""
    step = max(box.width, box.height) / cells
    ratio = jacobian(shifts, box, step)
    bar = draw.change(_MOST_CHANGE ** np.linspace(-1, 1, 255)[None], _MOST_CHANGE)
    folded = float(np.mean(ratio <= 0))
    words = (f"area / {_MOST_CHANGE:g}", f"{folded:.1%} folded", f"area x {_MOST_CHANGE:g}")
    return draw.with_scale(draw.enlarged(draw.change(ratio, _MOST_CHANGE), 480), bar, *words)


def expected_error(errors: ErrorMap, um_per_px: float | None = None) -> Rgb:
    """The error that nine places in ten stay below, as a heat map, grey where nothing was measured.

    um_per_px : as in size_of.
    """
    values = np.where(errors.measured, errors.p90, np.nan) * (um_per_px or 1)
    known = values[np.isfinite(values)]
    high = _round_up(float(known.max()) if known.size else 1.0)
    return draw.heat_with_scale(values, high, "um" if um_per_px else "px")


def residuals(
    background: Rgb, box: Box, points: Points, off: Points, near: float, longest: float | None = None
) -> Rgb:
    """Held-out residuals as arrows: blue up to `near`, orange beyond.

    points : (N, 2) where, off : (N, 2) how far a free match lies from the prediction; both px of the frame of
    `box`. longest : the arrow length that fills a grid square; the 95th percentile if None.
    """
    scale = background.shape[1] / box.width
    chosen = np.isfinite(off).all(axis=1)
    points, off = _thinned(points[chosen], off[chosen], 800)
    lengths = np.hypot(*off.T) if len(off) else np.zeros(0)
    typical = longest or (float(np.percentile(lengths, 95)) if len(lengths) else 1.0)
    by = max(1.0, max(box.width, box.height) / 30 / max(typical, 1e-6))
    picture = (255 - (255 - background.astype(np.int16)) // 2).astype(np.uint8)
    for far, colour in ((False, draw.BLUE), (True, draw.ORANGE)):
        mine = (lengths > near) == far
        starts = (points[mine] - (box.x, box.y)) * scale
        picture = draw.arrows(picture, starts, by * off[mine] * scale, colour)
    return draw.labelled(
        picture, f"{len(off)} places; drawn {by:.3g} times as long; orange above {near:g} px"
    )


def _moved(shifts: Transform, box: Box, count: int) -> tuple[Points, Points]:
    """Points on a grid of about `count` a side, half a step inside the box, and their displacements."""
    step = max(box.width, box.height) / count
    xs = box.x + (np.arange(max(1, round(box.width / step))) + 0.5) * step
    ys = box.y + (np.arange(max(1, round(box.height / step))) + 0.5) * step
    points: Points = np.stack(np.meshgrid(xs, ys), axis=-1)
    return points, shifts.on_grid(xs, ys) - points


def _exaggeration(moved: Points, step: float) -> float:
    """So that the largest displacement is about as long as the step of the grid; never below 1."""
    largest = float(np.hypot(moved[..., 0], moved[..., 1]).max())
    return 1.0 if largest == 0 else max(1.0, float(f"{step / largest:.1g}"))


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10 and so on: a scale that reads well."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 5, 10) if value <= power * step * (1 + 1e-9))


def _thinned(points: Points, off: Points, most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    step = max(1, -(-len(points) // most))
    return points[::step], off[::step]
