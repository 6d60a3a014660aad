"""Settings of the mid-scale field (stage D)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MidPass:
    """One pass of the block pyramid.

    reduction : whole factor by which both images are made smaller. tile, search : side of a block and reach
    of its search to each side, px of the reduced image; blocks lie a third of a tile apart.
    """

    reduction: int
    tile: int
    search: int


@dataclass(frozen=True)
class MidscaleConfig:
    """All lengths in px of the images compared (working px).

    node_spacing : of the field. bending : weight of the field's second differences. robust_px : residual at
    which a match begins to lose weight. priors : within a pass, peaks are chosen again and again, each time
    with a Gaussian prior about the field so far; its widths as shares of the search, 0 for no prior.
    forward_backward_px : disagreement of the two directions at which a match has half its weight.
    gap : lead of the peak over the next one, in standard deviations of the scores, that is worth full weight.
    smallest_jacobian : a field that shrinks squares further than this is fitted again, stiffer.
    """

    node_spacing: int = 16
    bending: float = 0.03
    robust_px: float = 6.0
    priors: tuple[float, ...] = (0.0, 1.0, 0.5, 0.25)
    forward_backward_px: float = 2.0
    gap: float = 1.0
    smallest_jacobian: float = 0.15
    passes: tuple[MidPass, ...] = (
        MidPass(2, 96, 20),
        MidPass(1, 96, 16),
        MidPass(1, 64, 8),
        MidPass(1, 48, 8),
        MidPass(1, 32, 6),
    )
