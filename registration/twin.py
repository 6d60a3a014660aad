"""The box on the other slide that belongs to a box on this one."""

from __future__ import annotations

import math

from registration.engine.geometry import Box, Frame
from registration.engine.transforms import Transform


def twin_box(box: Box, transform: Transform) -> Box:
    """box : level-0 px of transform.fixed. Returns level-0 px of transform.moving, not clipped to the slide.

    The same size in um, along the axes, centred where the transform takes the centre. Where um/px is unknown
    the transform's own change of scale is taken.
    """
    centre = [float(value) for value in transform([box.centre])[0]]
    scale_x, scale_y = _px_per_px(transform.fixed, transform.moving) or _local_scale(box, transform)
    width, height = max(1, round(box.width * scale_x)), max(1, round(box.height * scale_y))
    return Box(round(centre[0] - width / 2), round(centre[1] - height / 2), width, height)


def _px_per_px(fixed: Frame, moving: Frame) -> tuple[float, float] | None:
    if fixed.um_per_px is None or moving.um_per_px is None:
        return None
    return fixed.um_per_px[0] / moving.um_per_px[0], fixed.um_per_px[1] / moving.um_per_px[1]


def _local_scale(box: Box, transform: Transform) -> tuple[float, float]:
    """The square root of the change of area of the box, for both axes."""
    corners = transform(box.corners())
    across, down = corners[2] - corners[0], corners[3] - corners[1]
    area = abs(across[0] * down[1] - across[1] * down[0]) / 2
    scale = math.sqrt(area / box.area)
    return scale, scale
