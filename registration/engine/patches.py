"""Cutting a box into whole patches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registration.engine.errors import EngineError
from registration.engine.geometry import Box

SMALLEST_PATCH_PX = 16


@dataclass(frozen=True)
class Patch:
    """col, row : place in the grid, from 0. box : level-0 px of the slide that carries the grid."""

    col: int
    row: int
    box: Box

    @property
    def stem(self) -> str:
        """The patch's file name without its ending."""
        return f"x{self.box.x}_y{self.box.y}"


@dataclass(frozen=True)
class PatchGrid:
    """Whole square patches from the box's top left corner on; the rest at the right and bottom is left out.

    patch_size, stride : level-0 px of the box's slide; stride None: patch_size, side by side.
    Raises EngineError: patch_too_small, patch_larger_than_region (field patch_size), bad_stride.
    """

    box: Box
    patch_size: int
    stride: int | None = None

    def __post_init__(self) -> None:
        if self.patch_size < SMALLEST_PATCH_PX:
            raise EngineError(
                "patch_too_small",
                f"The patch size is {self.patch_size} px; choose at least {SMALLEST_PATCH_PX} px.",
                field="patch_size",
            )
        if self.patch_size > min(self.box.width, self.box.height):
            raise EngineError(
                "patch_larger_than_region",
                f"A patch of {self.patch_size} px does not fit into the region of "
                f"{self.box.width} x {self.box.height} px; choose a smaller patch or a larger region.",
                field="patch_size",
            )
        if self.stride is not None and self.stride < 1:
            raise EngineError(
                "bad_stride", f"The stride is {self.stride} px; it must be at least 1 px.", field="stride"
            )

    @property
    def step(self) -> int:
        return self.patch_size if self.stride is None else self.stride

    @property
    def columns(self) -> int:
        return (self.box.width - self.patch_size) // self.step + 1

    @property
    def rows(self) -> int:
        return (self.box.height - self.patch_size) // self.step + 1

    def patches(self) -> tuple[Patch, ...]:
        """Row by row, left to right."""
        return tuple(self._patches())

    def _patches(self) -> Iterator[Patch]:
        for row in range(self.rows):
            for col in range(self.columns):
                x, y = self.box.x + col * self.step, self.box.y + row * self.step
                yield Patch(col, row, Box(x, y, self.patch_size, self.patch_size))
