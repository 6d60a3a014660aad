"""Settings of the level-0 stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CostPass:
    """One pass of the level-0 stage.

    downsample : of the images compared. cell : px of those images. reach : px searched to each side.
    sigma : of the Gaussian window, in cells.
    """

    downsample: int
    cell: int
    reach: int
    sigma: float


@dataclass(frozen=True)
class LevelZeroConfig:
    """node_spacing : of the field, fixed level-0 px. bending : weight of the field's second differences.
    robust_px : residual at which a match begins to lose weight, in px of the images compared.
    check : a last, wider look, on the same cells as the last pass, that judges and does not fit.
    """

    node_spacing: int = 64
    bending: float = 0.1
    robust_px: float = 1.5
    passes: tuple[CostPass, ...] = (
        CostPass(8, 4, 6, 4.0),
        CostPass(4, 8, 5, 3.0),
        CostPass(4, 8, 4, 2.0),
        CostPass(2, 8, 4, 3.0),
        CostPass(1, 16, 2, 2.5),
    )
    check: CostPass = CostPass(2, 8, 4, 3.0)
