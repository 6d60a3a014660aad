"""The slide-level affine: stages A to C, the run backwards, and the evidence they leave."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from registration.engine.affine import AffineFit, Rules, choose, settled
from registration.engine.coarse import candidates
from registration.engine.config import RegistrationConfig
from registration.engine.config.slides import SlideConfig
from registration.engine.constraints import NO_CONSTRAINTS, Constraints, Landmarks
from registration.engine.features import Overview, tissue_share
from registration.engine.geometry import Points
from registration.engine.guided import Guided, guided
from registration.engine.inputs import frame, scale_known
from registration.engine.landmarkfit import rescaled
from registration.engine.matrices import Matrix, apply, between_scales
from registration.engine.overviews import Levels, closer, downsamples, read_levels, thumbs
from registration.engine.quality import INCONSISTENCY_ALLOWED, SLIDE_Z_NEEDED, SLIDE_Z_SURE, SlideEvidence
from registration.engine.report.stage_pictures import show_search, show_slides
from registration.engine.source import Mask, PixelSource
from registration.engine.stages import Stages, Tick, no_tick
from registration.engine.transforms import AffineTransform

#: The share of a search's time that finding candidates takes.
_SEARCHING = 0.4
#: ... and that the images' own answer takes where there are landmarks.
_ALONE = 0.6
#: Points a side that are sent there and back, and the fewest on both scenes that tell anything.
_GRID, _FEWEST = 24, 12


@dataclass(frozen=True)
class SlideFit:
    """matrix : the affine, corner-based px of the two overviews, which follow. landmarks : those that the
    images do not contradict.
    """

    affine: AffineTransform
    evidence: SlideEvidence
    matrix: Matrix
    overviews: tuple[Overview, Overview]
    landmarks: Landmarks


@dataclass(frozen=True)
class _Search:
    """One direction's search: from every turn, mirroring and (if unknown) scale on."""

    fixed: Levels
    moving: Levels
    landmarks: Landmarks
    known: bool
    config: SlideConfig

    def __call__(self, tick: Tick) -> Guided:
        """The same from either side: neither direction knows of the other's answer."""
        alone = _ALONE if len(self.landmarks) else 1.0
        images = choose(
            self.fixed,
            self.moving,
            self.proposals(lambda share: tick(alone * _SEARCHING * share)),
            Rules(self._limits),
            lambda share: tick(alone * (_SEARCHING + (1 - _SEARCHING) * share)),
        )
        return self._guided(images, lambda share: tick(alone + (1 - alone) * share))

    def around(self, start: Matrix) -> Guided:
        """The answer that starts from one place. start : moving_from_fixed, px of the full overviews."""
        return self._guided(settled(self.fixed, self.moving, start, Rules(self._limits)), no_tick)

    def _guided(self, images: AffineFit, tick: Tick) -> Guided:
        marks = rescaled(self.landmarks, self.fixed.full.downsample, self.moving.full.downsample)
        return guided(self.fixed, self.moving, images, Rules(self._limits, marks), tick)

    def proposals(self, tick: Tick = no_tick) -> list[Matrix]:
        """Where one may lie on the other: moving_from_fixed, px of the full overviews."""
        thumb_f, thumb_m = thumbs(self.fixed.full, self.moving.full)
        found = candidates(thumb_f.image, thumb_m.image, self._scales, self.config, tick)
        to_thumb = np.asarray(np.linalg.inv(thumb_f.full_from_thumb), np.float64)
        return [thumb_m.full_from_thumb @ each.matrix @ to_thumb for each in found]

    @property
    def _scales(self) -> tuple[float, ...]:
        return (1.0,) if self.known else self.config.unknown_scales

    @property
    def _limits(self) -> tuple[float, float]:
        low, high = self.config.stretch_range
        return low * min(self._scales), high * max(self._scales)


@dataclass(frozen=True)
class _Both:
    """Both directions' answers. shown : whether one of them started from the other."""

    there: Guided
    back: Guided
    shown: bool = False


def fit_slides(
    fixed: PixelSource,
    moving: PixelSource,
    config: RegistrationConfig,
    stages: Stages,
    *,
    constraints: Constraints = NO_CONSTRAINTS,
) -> SlideFit:
    """Never raises for slides that do not match: see the evidence. Raises EngineError("mpp_missing").

    constraints : its landmarks; what is to be left out must be invalid in the sources already. Takes the
    first 80 per cent of `stages`.
    """
    known = scale_known(fixed, moving)
    factors = downsamples(fixed, moving, config.slides.overview_px)
    first = stages.run("reading the first slide", 0, lambda: read_levels(fixed, factors[0]))
    second = stages.run("reading the second slide", 6, lambda: read_levels(moving, factors[1]))
    zoom = closer(first.full, second.full)
    if zoom > 1:
        factors = downsamples(fixed, moving, config.slides.overview_px, zoom)
        first = stages.run("reading the first slide closer", 11, lambda: read_levels(fixed, factors[0]))
        second = stages.run("reading the second slide closer", 13, lambda: read_levels(moving, factors[1]))
    search = _Search(first, second, constraints.landmarks, known, config.slides)
    found = stages.run(
        "aligning the slides",
        16,
        lambda: search(stages.tick),
        until=45,
        residual_px=lambda found: _residual(found.fit, factors[0]),
    )
    swapped = _Search(second, first, constraints.landmarks.swapped, known, config.slides)
    found_back = stages.run(
        "checking backwards",
        45,
        lambda: swapped(stages.tick),
        until=76,
        residual_px=lambda found: _residual(found.fit, factors[0]),
    )
    both = _Both(found, found_back)
    if _one_slipped(first.full, second.full, both):
        both = stages.run(
            "fitting the less sure way again", 76, lambda: _shown(search, swapped, both), until=80
        )
    there, back = both.there.fit, both.back.fit
    affine = AffineTransform(
        between_scales(there.matrix, *factors), frame("fixed", fixed), frame("moving", moving)
    )
    apart = inconsistency(first.full, second.full, there.matrix, back.matrix)
    z = (there.judged.z + back.judged.z) / 2
    tissue = (tissue_share(first.full), tissue_share(second.full))
    evidence = SlideEvidence(z, there.judged.share, there.judged.blocks, apart, both.shown, *tissue)
    overviews, marks = (first.full, second.full), constraints.landmarks.where(both.there.used)
    fit = SlideFit(affine, evidence, there.matrix, overviews, marks)
    show_search(stages.recorder, first, second, search.proposals)
    show_slides(stages.recorder, fit)
    return fit


def _one_slipped(fixed: Overview, moving: Overview, both: _Both) -> bool:
    """Whether the two directions disagree and one is sure by itself."""
    there, back = both.there.fit, both.back.fit
    apart = inconsistency(fixed, moving, there.matrix, back.matrix)
    return apart > INCONSISTENCY_ALLOWED and max(there.judged.z, back.judged.z) >= SLIDE_Z_SURE


def _shown(search: _Search, swapped: _Search, both: _Both) -> _Both:
    """The less sure direction fitted again from where the other one lies; taken where that has more evidence
    than its own answer, and enough by itself. So one direction's slip does not refuse a right pair, but the
    verdict says that only one found it. On wrong pairs: see docs/adr/0009.
    """
    if both.there.fit.judged.z < both.back.fit.judged.z:
        again = search.around(_inverse(both.back.fit))
        return replace(both, there=again, shown=True) if _better(again, both.there) else both
    again = swapped.around(_inverse(both.there.fit))
    return replace(both, back=again, shown=True) if _better(again, both.back) else both


def _better(again: Guided, own: Guided) -> bool:
    return again.fit.judged.z > max(own.fit.judged.z, SLIDE_Z_NEEDED)


def _inverse(fit: AffineFit) -> Matrix:
    return np.asarray(np.linalg.inv(fit.matrix), np.float64)


def inconsistency(fixed: Overview, moving: Overview, there: Matrix, back: Matrix) -> float:
    """Median distance of points that went there and back, as a share of the fixed image's diagonal.

    Of points that lie on the scene of both slides where there are such: beyond it nothing holds the maps.
    """
    rows, columns = fixed.shape
    xs, ys = (np.linspace(0, side, _GRID, endpoint=False) + side / (2 * _GRID) for side in (columns, rows))
    points = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    mapped = apply(there, points)
    common = _on(fixed.mask, points) & _on(moving.mask, mapped)
    if common.sum() < _FEWEST:
        common[:] = True
    gaps = np.linalg.norm(apply(back, mapped[common]) - points[common], axis=1)
    return float(np.median(gaps)) / math.hypot(rows, columns)


def _on(mask: Mask, points: Points) -> Mask:
    """Which of the points (N, 2), corner-based px, lie where the mask is set."""
    columns, rows = np.floor(points).astype(int).T
    inside = (rows >= 0) & (columns >= 0) & (rows < mask.shape[0]) & (columns < mask.shape[1])
    found: Mask = np.zeros(len(points), np.bool_)
    found[inside] = mask[rows[inside], columns[inside]]
    return found


def _residual(fit: AffineFit, downsample: float) -> float | None:
    return None if fit.residual is None else fit.residual * downsample
