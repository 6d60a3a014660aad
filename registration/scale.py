"""The um/px that an alignment was made with, and whether it still holds."""

from __future__ import annotations

from registration.models import PairAlignment
from viewer.models import Slide, SlidePair

Scale = dict[str, list[float] | None]


def scale_of(pair: SlidePair) -> Scale:
    """{"he", "ihc"}: um per level-0 px [x, y] as the slides' records say it now, None where unknown."""
    return {"he": _um_per_px(pair.fixed), "ihc": _um_per_px(pair.moving)}


def is_outdated(alignment: PairAlignment) -> bool:
    """Whether a slide's um/px was changed since; True where nobody noted it, as before there was this field:
    the alignment is then made anew when it is next needed, rather than taken for what it may not be.
    """
    return bool(alignment.scale != scale_of(alignment.pair))


def is_complete(scale: Scale) -> bool:
    """Known on both slides or on none: with one alone the engine can't begin."""
    return len([value for value in scale.values() if value is None]) != 1


def _um_per_px(slide: Slide) -> list[float] | None:
    return [slide.mpp_x, slide.mpp_y] if slide.mpp_x and slide.mpp_y else None
