"""The slide-level transform: the affine, and the mid-scale field on top of it where that predicts more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from registration.engine.config import RegistrationConfig
from registration.engine.constraints import Landmarks
from registration.engine.localstart import similarity_over
from registration.engine.midevidence import TOLERANCE
from registration.engine.midscale import MidFit, fit_midscale, mid_image
from registration.engine.nonrigid import Pins
from registration.engine.quality import SlideEvidence, spread
from registration.engine.report.stage_pictures import show_midscale
from registration.engine.result import Level, Spread, Verdict
from registration.engine.slidefit import SlideFit
from registration.engine.stages import Stages
from registration.engine.transforms import AffineTransform, DisplacementField, Transform


@dataclass(frozen=True)
class SlideAlignment:
    """transform : the affine, or affine @ field. mid : None where it was not tried. error_px : of held-out
    matches that agree, fixed level-0 px.
    """

    transform: Transform
    evidence: SlideEvidence
    verdict: Verdict
    error_px: Spread | None
    mid: MidFit | None = None

    @property
    def uses_field(self) -> bool:
        return not isinstance(self.transform, AffineTransform)


def with_field(
    fit: SlideFit, verdict: Verdict, config: RegistrationConfig, landmarks: Landmarks, stages: Stages
) -> SlideAlignment:
    """The affine alone where the slides are refused, or where blocks that no fit has used don't ask for the
    field. They do not say whether the slides belong together: the affine's evidence does. For a method that
    keeps angles, the similarity nearest to the affine.
    """
    if config.model == "similarity":
        rigid = similarity_over(fit.affine, fit.affine.fixed.size.box, fit.affine.matrix)
        return SlideAlignment(rigid, fit.evidence, verdict, fit.error_px)
    plain = SlideAlignment(fit.affine, fit.evidence, verdict, fit.error_px)
    if verdict.level is Level.REFUSED:
        return plain
    mid = stages.run(
        "bending the slides",
        80,
        lambda: _fitted(fit, config, landmarks, stages),
        until=92,
        residual_px=lambda found: found.evidence.after.median * fit.overviews[0].downsample,
    )
    show_midscale(stages.recorder, fit, mid)
    if not mid.evidence.worth_using and not len(landmarks):
        return SlideAlignment(fit.affine, fit.evidence, verdict, fit.error_px, mid)
    transform = fit.affine @ as_field(fit, mid)
    return SlideAlignment(transform, fit.evidence, verdict, _error(fit, mid), mid)


def as_field(fit: SlideFit, mid: MidFit) -> DisplacementField:
    """The field of the overview as one of the slide: in level-0 px of its frame."""
    unit, grid = fit.overviews[0].downsample, mid.grid
    values = (mid.nodes * unit).astype(np.float32)
    return DisplacementField(
        values, (grid.first * unit, grid.first * unit), (grid.spacing * unit,) * 2, fit.affine.fixed
    )


def _fitted(fit: SlideFit, config: RegistrationConfig, landmarks: Landmarks, stages: Stages) -> MidFit:
    fixed, moving = fit.overviews
    return fit_midscale(
        mid_image(fixed),
        mid_image(moving),
        fit.matrix,
        config.midscale,
        pins=_pins(fit, landmarks),
        tick=stages.tick,
    )


def _pins(fit: SlideFit, landmarks: Landmarks) -> Pins | None:
    """The landmarks as displacements before the affine, px of the overview."""
    if not len(landmarks):
        return None
    unit = fit.overviews[0].downsample
    wanted = fit.affine.inverse()(landmarks.moving) - landmarks.fixed
    return Pins(landmarks.fixed / unit, wanted / unit, landmarks.weight)


def _error(fit: SlideFit, mid: MidFit) -> Spread | None:
    distances = np.hypot(*mid.evidence.blocks.crossed.T)
    return spread(distances[distances <= TOLERANCE] * fit.overviews[0].downsample)
