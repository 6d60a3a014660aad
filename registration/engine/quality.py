"""Stage G: what the evidence allows to be said. Evidence and thresholds; the words are in reasons.py."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registration.engine import reasons
from registration.engine.result import Level, Reason, Spread, Verdict

#: Free peaks must agree with a transform this many standard deviations beyond chance.
Z_NEEDED = 9.0
#: The same for whole slides, where z is that of the clearest blocks, beyond what an affine can always meet
#: (`spare_agreement`), mean of both directions. Measured (docs/adr/0009): wrong pairs up to 4.3 (one way
#: 5.2), all but two of 144 right ones from 5.6 on.
SLIDE_Z_NEEDED = 5.0
SLIDE_Z_SURE = 6.5
#: Fewer of those blocks can't reach it, even if they all agree.
SLIDE_BLOCKS_NEEDED = 11
#: An independent run backwards must bring points back to within this share of the diagonal.
INCONSISTENCY_ALLOWED = 0.02
#: Share of a slide's scene that must show tissue: specks of dust agree as well as tissue does.
SLIDE_TISSUE_NEEDED = 0.001
#: Share of a region that must show tissue, in the fixed slide, and of it in the moving slide.
TISSUE_NEEDED = 0.02
OVERLAP_NEEDED = 0.2
#: The latter for nuclei to outweigh slides that don't match: at the very edge of a scene chance can agree.
OVERLAP_TO_OUTWEIGH = 0.5
#: Share of the windows whose free peak must be predicted for a level-0 field to be believed, and for it to be
#: believed without a second look. Measured: wrong pairs up to 0.03, consecutive sections 0.1 to 0.5 (the
#: upper end at 8 um/px), re-stained sections 0.8 to 1.
LEVEL_ZERO_SHARE = 0.4
#: Windows that such a share needs behind it.
WINDOWS_NEEDED = 16
SURE_SHARE = 0.6
#: p90 of the expected error above which a person should look, um (px where um is unknown).
P90_TO_CHECK_UM = 1.0
P90_TO_CHECK_PX = 4.0
#: Share of a region's tissue in which the fit may be lost before it is said.
LOST_TO_CHECK = 0.1
#: ... and before the nuclei are not believed to agree.
LOST_TO_REFUSE = 0.5


@dataclass(frozen=True)
class SlideEvidence:
    """z : of free peaks at slide level, mean of both directions. share, blocks : there. inconsistency : there
    and back, per diagonal. shown : whether one direction found it only from where the other one lay.
    tissue_fixed, tissue_moving : share of each slide's scene.
    """

    z: float
    share: float
    blocks: int
    inconsistency: float
    shown: bool = False
    tissue_fixed: float = 1.0
    tissue_moving: float = 1.0


@dataclass(frozen=True)
class RegionEvidence:
    """tissue : share of the region, fixed slide. overlap : share of that with tissue in the moving slide too.

    z : free peaks at mid scale. agreeing, windows : of level-0 windows. error_px : expected, fixed level-0
    px. stiffened : whether the field was kept from folding or smearing. lost : share of the tissue where the
    fit could not be confirmed. too_thin : whether a field was asked for, and too few cells match for one.
    """

    tissue: float
    overlap: float
    z: float
    agreeing: float
    windows: int
    error_px: Spread | None
    stiffened: bool
    lost: float = 0.0
    too_thin: bool = False

    @property
    def level_zero(self) -> bool:
        """Whether the nuclei themselves agree."""
        return self.agreeing >= LEVEL_ZERO_SHARE and self.windows >= WINDOWS_NEEDED

    @property
    def outweighs(self) -> bool:
        """Whether the nuclei agree so clearly that slides which don't are no objection."""
        return self.level_zero and not self.too_thin and self.overlap >= OVERLAP_TO_OUTWEIGH


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
    """Refused without agreement far beyond chance, or where the run backwards disagrees; to be checked where
    the agreement is only just beyond that, or where one direction had to be shown what the other one found.
    """
    against = tuple(_against_slides(evidence))
    if against:
        return Verdict(Level.REFUSED, against)
    doubts = [reasons.thin_evidence(evidence.share, evidence.blocks)] if evidence.z < SLIDE_Z_SURE else []
    if evidence.shown:
        doubts.append(reasons.found_one_way())
    return Verdict(Level.CHECK if doubts else Level.GOOD, tuple(doubts))


def _against_slides(evidence: SlideEvidence) -> Iterator[Reason]:
    for which, tissue in (("fixed", evidence.tissue_fixed), ("moving", evidence.tissue_moving)):
        if tissue < SLIDE_TISSUE_NEEDED:
            yield reasons.blank_slide(which, tissue)
            return
    if evidence.z < SLIDE_Z_NEEDED and evidence.blocks < SLIDE_BLOCKS_NEEDED:
        yield reasons.no_texture()
    elif evidence.z < SLIDE_Z_NEEDED:
        yield reasons.not_the_same_tissue(evidence.share, evidence.blocks)
    if evidence.inconsistency > INCONSISTENCY_ALLOWED:
        yield reasons.not_reproducible(evidence.inconsistency, INCONSISTENCY_ALLOWED)


def judge_region(evidence: RegionEvidence, slides: Verdict | None, um_per_px: float | None) -> Verdict:
    """slides : the verdict on the slide-level start, None where the start was given.

    Many nuclei that agree outweigh slides that don't; few do not, nor do they where little is in common, nor
    structures around a region. Where slides and region are refused both, what is wrong with the slides comes
    first: another region would not help.
    """
    refused = slides is not None and slides.level is Level.REFUSED
    of_slides = slides.reasons if slides is not None and refused else ()
    refusal = _refusal(evidence)
    if refusal is not None:
        return Verdict(Level.REFUSED, (*of_slides, refusal))
    if refused and not evidence.outweighs:
        return Verdict(Level.REFUSED, of_slides)
    doubts = tuple(_doubts(evidence, slides, um_per_px))
    return Verdict(Level.CHECK if doubts else Level.GOOD, doubts)


def _refusal(evidence: RegionEvidence) -> Reason | None:
    if evidence.tissue < TISSUE_NEEDED:
        return reasons.blank_region(evidence.tissue)
    # Where the other slide is empty, what agrees is no nuclei (the slide's edge, noise); nor is what agrees
    # while a wider look finds most of the region elsewhere.
    sound = evidence.overlap >= TISSUE_NEEDED and evidence.lost <= LOST_TO_REFUSE
    if evidence.level_zero and sound:
        return None
    if evidence.overlap < OVERLAP_NEEDED:
        return reasons.no_overlap(evidence.overlap)
    if evidence.z < Z_NEEDED:
        return reasons.no_agreement()
    return None


def _doubts(evidence: RegionEvidence, slides: Verdict | None, um_per_px: float | None) -> Iterator[Reason]:
    if slides is not None and slides.level is Level.REFUSED:
        yield reasons.only_the_region_agrees()
    if not evidence.level_zero:
        yield reasons.region_level_accuracy()
    elif evidence.agreeing < SURE_SHARE:
        yield reasons.few_windows_agree(evidence.agreeing)
    if evidence.lost > LOST_TO_CHECK:
        yield reasons.lost_in_places(evidence.lost)
    yield from _error_doubt(evidence, um_per_px)
    if evidence.stiffened:
        yield reasons.kept_from_folding()
    if evidence.too_thin:
        yield reasons.rigid_only()


def _error_doubt(evidence: RegionEvidence, um_per_px: float | None) -> Iterator[Reason]:
    if not evidence.level_zero:
        if um_per_px is None:
            yield reasons.error_needs_um()
        return
    limit, unit = (P90_TO_CHECK_PX, "px") if um_per_px is None else (P90_TO_CHECK_UM, "um")
    error = 0.0 if evidence.error_px is None else evidence.error_px.p90 * (um_per_px or 1.0)
    if error > limit:
        yield reasons.large_error(error, limit, unit)
