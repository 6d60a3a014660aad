"""Settings of the level-0 stage. Lengths are um; where um/px is unknown a level-0 px counts as UNKNOWN_UM."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from registration.engine.errors import EngineError

#: What a level-0 px is taken for where nobody knows (40x).
UNKNOWN_UM = 0.25

_FAST_UM = 0.5


@dataclass(frozen=True)
class CostPass:
    """One pass of the level-0 stage.

    um_per_px : of the images compared; the nearest halving of the slide's level 0 that is not finer than it.
    cell : px of those images. reach : px searched to each side. sigma : of the Gaussian window, in cells.
    """

    um_per_px: float
    cell: int
    reach: int
    sigma: float


@dataclass(frozen=True)
class LevelZeroConfig:
    """node_um : between nodes of the field. bending : weight of the field's second differences.

    robust_px : residual at which a match begins to lose weight, in px of the images compared.
    finest_um : um/px of the finest images that are looked at; a finer slide is read at about this.
    passes : from coarse to fine; those finer than the slide's level 0 are left out.
    check : a last, wider look, on the same cells as the last pass, that judges and does not fit.
    agreement_um : a free match of the check this close to the field agrees with it.
    margin_um : read and fitted around the region, so that its edge is no edge of the fit, and regions that
    overlap agree. context_um : at least so much is read each way where the slide allows it.
    largest_strain : how far the field may stretch, squash or shear a nucleus; where it would, it is made
    stiffer. score_floor : below this correlation a match counts nothing. sharp : curvature of its peak (per
    px^2) from which it counts in full. matches_for_field, matches_for_similarity : with fewer matches, the
    first counted by weight, a field would follow noise and a similarity is fitted; or not even that.
    regional_um : um/px down to which the affine is refitted around the region.
    """

    node_um: float = 16.0
    bending: float = 0.06
    robust_px: float = 1.5
    finest_um: float = 0.25
    passes: tuple[CostPass, ...] = (
        CostPass(2.0, 4, 6, 4.0),
        CostPass(1.0, 8, 5, 3.0),
        CostPass(1.0, 8, 4, 2.0),
        CostPass(0.5, 8, 4, 3.0),
        CostPass(0.5, 8, 4, 2.0),
        CostPass(0.25, 16, 2, 2.5),
    )
    check: CostPass = CostPass(1.0, 4, 8, 3.0)
    agreement_um: float = 0.5
    margin_um: float = 32.0
    context_um: float = 256.0
    largest_strain: float = 0.15
    score_floor: float = 0.15
    sharp: float = 0.05
    matches_for_field: float = 48.0
    matches_for_similarity: float = 16.0
    regional_um: float = 2.0

    @classmethod
    def fast(cls) -> LevelZeroConfig:
        """Without full resolution: a quarter of the pixels."""
        whole = cls()
        passes = tuple(step for step in whole.passes if step.um_per_px >= _FAST_UM)
        return replace(whole, finest_um=_FAST_UM, passes=passes)

    @property
    def reach_um(self) -> float:
        """How far from the start the first pass looks."""
        return self.passes[0].reach * self.passes[0].um_per_px

    def __post_init__(self) -> None:
        numbers = [getattr(self, each.name) for each in fields(self) if each.name not in ("passes", "check")]
        numbers += [step.um_per_px for step in (*self.passes, self.check)]
        if not self.passes or not all(math.isfinite(number) and number > 0 for number in numbers):
            raise bad_config("level_zero", "lengths and weights must be above 0, and there must be a pass")
        for step in (*self.passes, self.check):
            if step.cell < 1 or step.reach < 1 or not 0 < step.sigma < math.inf:
                raise bad_config("level_zero", f"the pass {step} can't be run")
            if step.cell & (step.cell - 1):
                raise bad_config("level_zero", f"a cell of {step.cell} px is no power of 2")


def bad_config(part: str, what: str) -> EngineError:
    return EngineError("bad_config", f"The settings ({part}) can't be used: {what}.", field=part)
