"""Settings of the mid-scale field (stage D)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from registration.engine.config.levelzero import bad_config


@dataclass(frozen=True)
class MidPass:
    """One pass of the block pyramid.

    reduction : whole factor by which what is compared (not what it is made from) is averaged. tile, stride,
    search : side of a block, block to block, and reach of the search to each side, px after that.
    """

    reduction: int
    tile: int
    stride: int
    search: int

    @property
    def reach(self) -> int:
        """Of the search, px before it is averaged."""
        return self.search * self.reduction


#: Most that a polish may move a node: it refines a field, it does not search. Working px.
_FURTHEST = 32


@dataclass(frozen=True)
class PolishConfig:
    """The polish of the field, at half the scale. Raises EngineError("bad_config").

    window : of the correlation, px to each side. spacing : of the nodes, px. stiffness : weight of the
    correction's slope. steps : of Adam. rate : what a node moves in the first steps, px; it falls to 0.
    All at half scale but furthest : what a node may move in all, working px.
    """

    window: int = 7
    spacing: int = 4
    stiffness: float = 2.0
    steps: int = 60
    rate: float = 0.2
    furthest: int = 6

    def __post_init__(self) -> None:
        numbers = [getattr(self, each.name) for each in fields(self)]
        if not all(math.isfinite(number) and number > 0 for number in numbers):
            raise bad_config("polish", "lengths, weights and steps must be above 0")
        if any(number != int(number) for number in (self.window, self.spacing, self.steps, self.furthest)):
            raise bad_config(
                "polish", "the window, the spacing, the steps and the reach must be whole numbers"
            )
        if self.furthest > _FURTHEST:
            raise bad_config("polish", f"a polish moves nodes by {_FURTHEST} px at most")


@dataclass(frozen=True)
class MidscaleConfig:
    """All lengths in px of the images compared (working px). Raises EngineError("bad_config").

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
    polish: PolishConfig = PolishConfig()
    passes: tuple[MidPass, ...] = (MidPass(2, 24, 8, 16), MidPass(1, 48, 16, 12))

    def __post_init__(self) -> None:
        numbers = [getattr(self, each.name) for each in fields(self) if each.name not in ("passes", "polish")]
        if not self.passes or not all(math.isfinite(number) and number > 0 for number in numbers):
            raise bad_config("midscale", "lengths and weights must be above 0, and there must be a pass")
        if self.smallest_jacobian >= 1:
            raise bad_config(
                "midscale", "the smallest Jacobian must be below 1, which is no shrinking at all"
            )
        for one in self.passes:
            if min(one.reduction, one.stride, one.search) < 1 or one.tile < 8:
                raise bad_config("midscale", f"the pass {one} can't be run")
