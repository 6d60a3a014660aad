"""The slide-level transform: the affine, and the mid-scale field on top of it where that predicts more."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from registration.engine.blockmatch import pull
from registration.engine.config import RegistrationConfig
from registration.engine.constraints import Landmarks
from registration.engine.geometry import Points, Size
from registration.engine.landmarkfit import MARKED_WITHIN
from registration.engine.localstart import similarity_over
from registration.engine.matrices import between_scales
from registration.engine.midevidence import REACH, unfitted
from registration.engine.midfeatures import MidImage, mid_image, seen
from registration.engine.midscale import MidFit, fit_marked, fit_midscale
from registration.engine.nonrigid import Pins, smallest_jacobian
from registration.engine.polish import polished
from registration.engine.quality import SlideEvidence, spread
from registration.engine.report.stage_pictures import show_midscale
from registration.engine.result import Level, Spread, Verdict
from registration.engine.slidefit import SlideFit
from registration.engine.stages import Stages, Tick
from registration.engine.transforms import AffineTransform, DisplacementField, Transform

#: Landmarks that the field comes this near (px of the overview) stay where it puts them; it has not followed
#: others.
_MET = 2 * MARKED_WITHIN
#: What a peak counts for at least, so that some number comes out where none leads.
_LITTLE_LEAD = 1e-6


@dataclass(frozen=True)
class SlideAlignment:
    """transform : the affine, or affine @ field. mid : None where it was not tried. error_px : of `transform`
    at held-out matches, fixed level-0 px. landmarks : those that the images do not contradict.
    """

    transform: Transform
    evidence: SlideEvidence
    verdict: Verdict
    error_px: Spread | None
    landmarks: Landmarks
    mid: MidFit | None = None

    @property
    def uses_field(self) -> bool:
        return not isinstance(self.transform, AffineTransform)


def with_field(fit: SlideFit, verdict: Verdict, config: RegistrationConfig, stages: Stages) -> SlideAlignment:
    """The affine alone where the slides are refused, or where blocks that no fit has used don't ask for the
    field. A field that they do not ask for, and do not contradict, is used where it brings landmarks clearly
    closer. They do not say whether the slides belong together: the affine's evidence does. For a method that
    keeps angles, the similarity nearest to the affine.
    """
    if config.model == "similarity":
        rigid = similarity_over(fit.affine, fit.affine.fixed.size.box, fit.affine.matrix)
        return _as_it_is(fit, rigid, verdict, stages)
    if verdict.level is Level.REFUSED:
        return _as_it_is(fit, fit.affine, verdict, stages)
    mid = stages.run(
        "bending the slides",
        80,
        lambda: _bent(fit, config, stages),
        until=91,
        residual_px=lambda found: found.evidence.after.median * fit.overviews[0].downsample,
    )
    if mid.evidence.worth_using:
        mid = stages.run("polishing the field", 91, lambda: _polished(fit, mid, config))
    show_midscale(stages.recorder, fit, mid)
    pins = _pins(fit)
    wanted = mid.evidence.not_worse and mid.closer(mid.grid.zeros(), pins)
    blocks = mid.evidence.blocks
    if not (mid.evidence.worth_using or wanted):
        error = _error(fit, blocks.before, blocks.lead_before)
        return SlideAlignment(fit.affine, fit.evidence, verdict, error, fit.landmarks, mid)
    transform = fit.affine @ as_field(fit, mid)
    error = _error(fit, blocks.crossed, blocks.lead)
    return SlideAlignment(transform, fit.evidence, verdict, error, fit.landmarks, mid)


def _as_it_is(fit: SlideFit, affine: AffineTransform, verdict: Verdict, stages: Stages) -> SlideAlignment:
    """Without a field; its error is measured."""
    error = stages.run(
        "measuring",
        80,
        lambda: _error_of(fit, affine),
        until=91,
        residual_px=_median,
    )
    return SlideAlignment(affine, fit.evidence, verdict, error, fit.landmarks)


def as_field(fit: SlideFit, mid: MidFit) -> DisplacementField:
    """The field of the overview as one of the slide: in level-0 px of its frame."""
    unit, grid = fit.overviews[0].downsample, mid.grid
    values = (mid.nodes * unit).astype(np.float32)
    return DisplacementField(
        values, (grid.first * unit, grid.first * unit), (grid.spacing * unit,) * 2, fit.affine.fixed
    )


def _bent(fit: SlideFit, config: RegistrationConfig, stages: Stages) -> MidFit:
    fixed, moving = (mid_image(overview) for overview in fit.overviews)

    def fitted(pins: Pins | None, tick: Tick) -> MidFit:
        return fit_midscale(fixed, moving, fit.matrix, config.midscale, pins=pins, tick=tick)

    return fit_marked(fitted, _pins(fit), stages.tick)


def _polished(fit: SlideFit, mid: MidFit, config: RegistrationConfig) -> MidFit:
    """Unpolished where the held-out blocks clearly disagree. The polish has seen their pixels: they can speak
    against it and not for it, so each is as far off as with the polish or without, whichever is more.
    """
    fixed, moving = (mid_image(each) for each in fit.overviews)
    pins = _pins(fit)
    held = pins.points[mid.apart(pins) <= _MET]
    grid, nodes = polished(fixed, moving, fit.matrix, (mid.grid, mid.nodes), config.midscale, held)
    blocks = mid.evidence.blocks
    added = grid.evaluate_at(nodes, blocks.centres) - mid.grid.evaluate_at(mid.nodes, blocks.centres)
    if blocks.contradict(added):
        return mid
    evidence = replace(
        mid.evidence, blocks=blocks.at_worst(added), smallest_jacobian=smallest_jacobian(grid, nodes)
    )
    return replace(mid, grid=grid, nodes=nodes, evidence=evidence)


def _pins(fit: SlideFit) -> Pins:
    """The landmarks as displacements before the affine, px of the overview."""
    unit, marks = fit.overviews[0].downsample, fit.landmarks
    wanted = fit.affine.inverse()(marks.moving) - marks.fixed
    return Pins(marks.fixed / unit, wanted / unit, marks.weight)


def _error_of(fit: SlideFit, affine: AffineTransform) -> Spread | None:
    fixed, moving = fit.overviews
    matrix = between_scales(affine.matrix, 1 / fixed.downsample, 1 / moving.downsample)
    there = MidImage(*pull(moving, matrix, Size(*reversed(fixed.shape)), REACH))
    return _error(fit, *unfitted(seen(mid_image(fixed)), seen(there)))


def _median(error: Spread | None) -> float | None:
    return None if error is None else error.median


def _error(fit: SlideFit, shifts: Points, lead: NDArray[np.float64]) -> Spread | None:
    """shifts : (N, 2), from a prediction to free peaks, px of the overview; none is left out as too far, for
    some places are. A peak counts by its lead, (N,): false ones hardly stand out.
    """
    distances = np.hypot(*shifts.T) * fit.overviews[0].downsample
    return spread(distances, np.maximum(lead, _LITTLE_LEAD))
