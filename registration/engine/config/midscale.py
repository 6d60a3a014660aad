"""Settings of the mid-scale field (stage D)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MidPass:
    """One pass of the block pyramid.

    reduction : whole factor by which both images are made smaller. tile, stride, search : side of a block,
    block to block, and reach of the search to each side, px of the reduced image. pitch : px from one shift
    that is compared to the next.
    """

    reduction: int
    tile: int
    stride: int
    search: int
    pitch: int = 1


@dataclass(frozen=True)
class MidscaleConfig:
    """All lengths in px of the images compared (working px).
    node_spacing : of the field. bending : weight of the field's second differences. robust_px : residual at
    which a match begins to lose weight. step : what neighbouring blocks pay for shifts that differ by as many
    px as they lie apart; jump : the most they pay; both in standard deviations of a block's scores. gap :
    lead of a peak over the next that is worth full weight, the same unit. trust : weight, everywhere, of the
    field that a pass starts from. smallest_jacobian : a field that shrinks squares further than this is
    fitted again, stiffer.
    """

    node_spacing: int = 16
    bending: float = 0.1
    robust_px: float = 6.0
    step: float = 7.0
    jump: float = 5.0
    gap: float = 5.0
    trust: float = 0.03
    smallest_jacobian: float = 0.15
    passes: tuple[MidPass, ...] = (MidPass(1, 48, 16, 32, 2), MidPass(1, 48, 16, 12))
