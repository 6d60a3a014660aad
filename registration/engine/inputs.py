"""What is checked before anything is read."""

from __future__ import annotations

import math

from registration.engine.config.levelzero import UNKNOWN_UM
from registration.engine.errors import EngineError
from registration.engine.geometry import Box, Frame, Size
from registration.engine.source import PixelSource

#: A smaller region does not hold two cells of the level-0 stage.
SMALLEST_REGION_PX = 64
#: No slide is finer or coarser, um per px.
SMALLEST_UM, LARGEST_UM = 0.01, 1000.0
#: A narrower slide, um, does not hold a cell of the level-0 stage.
SMALLEST_SIDE_UM = 6.0


def check_box(box: Box, fixed: PixelSource) -> None:
    """Raises EngineError: box_empty, region_too_small, box_outside_slide."""
    size = Size(fixed.width, fixed.height)
    if box.width <= 0 or box.height <= 0:
        raise EngineError(
            "box_empty",
            f"The region is {box.width} x {box.height} px; both must be above 0.",
            field="width" if box.width <= 0 else "height",
        )
    if min(box.width, box.height) < SMALLEST_REGION_PX:
        raise EngineError(
            "region_too_small",
            f"The region is {box.width} x {box.height} px; at least {SMALLEST_REGION_PX} px a side are "
            "needed to find anything in it. Make it larger.",
            field="width" if box.width < SMALLEST_REGION_PX else "height",
        )
    if not box.inside(size):
        across = box.x < 0 or box.right > size.width
        raise EngineError(
            "box_outside_slide",
            f"The region x {box.x} to {box.right}, y {box.y} to {box.bottom} is not inside the slide "
            f"({size.width} x {size.height} px). Move it or make it smaller.",
            field="x" if across else "y",
        )
    if not holds_cells(fixed):
        um = mean_um(fixed)
        across_um = min(size.width, size.height) * um
        raise EngineError(
            "region_too_small",
            f"At {um:g} um per pixel the slide ({size.width} x {size.height} px) is only "
            f"{across_um:.2g} um across; at least {SMALLEST_SIDE_UM:g} um are needed. Correct it.",
            field="width" if size.width < size.height else "height",
        )


def holds_cells(source: PixelSource) -> bool:
    """Whether the slide is wide and high enough for the level-0 stage; so taken where um/px is unknown."""
    known = source.um_per_px is not None
    return not known or min(source.width, source.height) * mean_um(source) >= SMALLEST_SIDE_UM


def scale_known(fixed: PixelSource, moving: PixelSource) -> bool:
    """Whether um/px is known.

    Raises EngineError("mpp_missing") where only one slide has it, ("mpp_out_of_range") for impossible values.
    """
    for name, source in (("fixed", fixed), ("moving", moving)):
        _check_um(name, source.um_per_px)
    if (fixed.um_per_px is None) == (moving.um_per_px is None):
        return fixed.um_per_px is not None
    missing = "fixed" if fixed.um_per_px is None else "moving"
    raise EngineError(
        "mpp_missing",
        f"The {missing} slide does not state its um per pixel, but the other one does. "
        f"Give it for the {missing} slide.",
        field=f"{missing}_mpp",
    )


def _check_um(name: str, um_per_px: tuple[float, float] | None) -> None:
    if um_per_px is None or all(SMALLEST_UM <= value <= LARGEST_UM for value in um_per_px):
        return
    raise EngineError(
        "mpp_out_of_range",
        f"The {name} slide states {um_per_px[0]:g} x {um_per_px[1]:g} um per pixel; {SMALLEST_UM:g} to "
        f"{LARGEST_UM:g} are possible. Correct it.",
        field=f"{name}_mpp",
    )


def mean_um(source: PixelSource) -> float:
    """um per px, the geometric mean of x and y; 1 where it is unknown."""
    return math.sqrt(source.um_per_px[0] * source.um_per_px[1]) if source.um_per_px else 1.0


def um_taken(source: PixelSource) -> float:
    """um per px that lengths in um are counted in: UNKNOWN_UM where it is unknown."""
    return mean_um(source) if source.um_per_px else UNKNOWN_UM


def frame(name: str, source: PixelSource) -> Frame:
    """name : "fixed" or "moving"."""
    return Frame(name, Size(source.width, source.height), source.um_per_px)
