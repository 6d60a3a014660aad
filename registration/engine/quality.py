"""Stage G: what the evidence allows to be said. Thresholds and plain words in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from registration.engine.result import Level, Reason, Spread, Verdict

#: Free peaks must agree with a transform this many standard deviations beyond chance.
Z_NEEDED = 9.0
#: An independent run backwards must bring points back to within this share of the diagonal.
INCONSISTENCY_ALLOWED = 0.02
#: Share of a region that must show tissue, in the fixed slide, and of it in the moving slide.
TISSUE_NEEDED = 0.02
OVERLAP_NEEDED = 0.2
#: Share of the windows whose free peak must be predicted for a level-0 field to be believed, and for it to be
#: believed without a second look. Measured: wrong pairs up to 0.03, consecutive sections 0.1 to 0.5 (the
#: upper end at 8 um/px), re-stained sections 0.8 to 1.
LEVEL_ZERO_SHARE = 0.4
SURE_SHARE = 0.6
#: p90 of held-out matches above which a person should look, um (px where um is unknown).
P90_TO_CHECK_UM = 1.0
P90_TO_CHECK_PX = 4.0


@dataclass(frozen=True)
class SlideEvidence:
    """z, share, blocks : of free peaks at slide level. inconsistency : there and back, per diagonal."""

    z: float
    share: float
    blocks: int
    inconsistency: float


@dataclass(frozen=True)
class RegionEvidence:
    """tissue : share of the region, fixed slide. overlap : share of that with tissue in the moving slide too.

    z : free peaks at mid scale. agreeing, windows : of level-0 windows. error_px : of held-out matches.
    """

    tissue: float
    overlap: float
    z: float
    agreeing: float
    windows: int
    error_px: Spread | None
    stiffened: bool

    def with_error(self, error_px: Spread | None) -> RegionEvidence:
        return replace(self, error_px=error_px)

    @property
    def level_zero(self) -> bool:
        """Whether the nuclei themselves agree."""
        return self.agreeing >= LEVEL_ZERO_SHARE and self.windows >= 16


def spread(distances: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> Spread | None:
    """Median and p90, each distance counted by its weight; None where there is nothing to count."""
    if len(distances) == 0:
        return None
    order = np.argsort(distances, kind="stable")
    counted = np.ones(len(distances)) if weights is None else weights[order]
    share = (np.cumsum(counted) - counted / 2) / counted.sum()
    median, p90 = np.interp((0.5, 0.9), share, distances[order])
    return Spread(float(median), float(p90))


def in_um(error: Spread | None, um_per_px: tuple[float, float] | None) -> Spread | None:
    """The same distances in um; None where um/px is unknown."""
    if error is None or um_per_px is None:
        return None
    um = math.sqrt(um_per_px[0] * um_per_px[1])
    return Spread(error.median * um, error.p90 * um)


def judge_slides(evidence: SlideEvidence) -> Verdict:
    reasons = []
    if evidence.blocks == 0:
        reasons.append(
            Reason("no_texture", "There is too little tissue in common to compare the two slides.")
        )
    elif evidence.z < Z_NEEDED:
        reasons.append(
            Reason(
                "not_the_same_tissue",
                f"The two slides do not seem to show the same tissue: {evidence.share:.0%} of "
                f"{evidence.blocks} blocks agree with the best alignment, hardly more than chance.",
            )
        )
    if evidence.inconsistency > INCONSISTENCY_ALLOWED:
        reasons.append(
            Reason(
                "not_reproducible",
                "Aligning the slides the other way round gives another answer "
                f"({evidence.inconsistency:.1%} of the slide's diagonal apart, 2% is allowed).",
            )
        )
    return Verdict(Level.REFUSED if reasons else Level.GOOD, tuple(reasons))


def judge_region(evidence: RegionEvidence, slides: Verdict | None, um_per_px: float | None) -> Verdict:
    """slides : the verdict on the slide-level start, None where the start was given."""
    refusal = _refusal(evidence)
    if refusal is not None:
        return Verdict(Level.REFUSED, (refusal,))
    doubts = [doubt for doubt in _doubts(evidence, slides, um_per_px) if doubt is not None]
    return Verdict(Level.CHECK if doubts else Level.GOOD, tuple(doubts))


def _refusal(evidence: RegionEvidence) -> Reason | None:
    if evidence.tissue < TISSUE_NEEDED:
        return Reason("blank_region", f"The region shows hardly any tissue ({evidence.tissue:.0%} of it).")
    if evidence.level_zero:
        return None
    if evidence.overlap < OVERLAP_NEEDED:
        return Reason(
            "no_overlap",
            f"The other slide has tissue in only {evidence.overlap:.0%} of this region's tissue.",
        )
    if evidence.z < Z_NEEDED:
        return Reason(
            "no_agreement",
            "Nothing in the region confirms the alignment: at no scale does its texture agree with the other "
            "slide more often than by chance.",
        )
    return None


def _doubts(evidence: RegionEvidence, slides: Verdict | None, um_per_px: float | None) -> list[Reason | None]:
    return [
        _slide_doubt(slides),
        _detail_doubt(evidence),
        _error_doubt(evidence, um_per_px),
        _fold_doubt(evidence),
    ]


def _slide_doubt(slides: Verdict | None) -> Reason | None:
    if slides is None or slides.level is not Level.REFUSED:
        return None
    return Reason(
        "only_the_region_agrees",
        "The slides as a whole could not be aligned with certainty, but this region's own texture agrees; "
        "compare the surroundings before using it.",
    )


def _detail_doubt(evidence: RegionEvidence) -> Reason | None:
    if evidence.agreeing >= SURE_SHARE:
        return None
    if evidence.level_zero:
        return Reason(
            "few_windows_agree",
            f"Only {evidence.agreeing:.0%} of the region's windows agree in detail; look where it fits.",
        )
    return Reason(
        "region_level_accuracy",
        "The cells of the two sections do not match one to one (consecutive sections?): "
        "the alignment holds for the region, not for single cells.",
    )


def _error_doubt(evidence: RegionEvidence, um_per_px: float | None) -> Reason | None:
    if evidence.error_px is None or not evidence.level_zero:
        return None
    if um_per_px is None:
        value, limit, unit = evidence.error_px.p90, P90_TO_CHECK_PX, "px"
    else:
        value, limit, unit = evidence.error_px.p90 * um_per_px, P90_TO_CHECK_UM, "um"
    if value <= limit:
        return None
    return Reason(
        "large_error", f"One match in ten is off by more than {value:.1f} {unit} (limit {limit:g} {unit})."
    )


def _fold_doubt(evidence: RegionEvidence) -> Reason | None:
    if not evidence.stiffened:
        return None
    return Reason(
        "kept_from_folding", "The displacement field was made stiffer than usual so that it does not fold."
    )
