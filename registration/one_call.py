"""Requests that make several rows at once: a box and its registration, or everything in one call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from registration import services
from registration.models import RegionOfInterest, Registration
from viewer.errors import InvalidInput
from viewer.intake import add_readable_slide
from viewer.models import Slide, SlidePair, SlideStatus
from viewer.services import make_pair, state_mpp


def align(user: User, asked: dict[str, Any]) -> Registration:
    """`asked` : the validated body of POST /api/align/. The same call again gives the same registration.

    Files are read before the transaction; whatever is wrong with the box leaves no pair and no region.
    """
    he = _slide(user, asked, "he")
    ihc = _slide(user, asked, "ihc")
    _check_scale({"he": he, "ihc": ihc})
    options = {name: asked[name] for name in ("layout", "patch_size")}
    with _fields_of_the_call({"fixed": "he", "moving": "ihc"}), transaction.atomic():
        region = _region(make_pair(he, ihc, user), user, asked)
        return services.request_registration(region, user, method=asked["method"], export_options=options)


def register(user: User, asked: dict[str, Any]) -> Registration:
    """`asked` : the validated body of POST /api/registrations/: a region, or a pair and a box."""
    with transaction.atomic():
        region = asked.get("region") or _region(asked["pair"], user, asked)
        return services.request_registration(
            region, user, method=asked["method"], grid=asked["grid"], export_options=asked.get("export")
        )


def _region(pair: SlidePair, user: User, asked: dict[str, Any]) -> RegionOfInterest:
    """The pair's region with exactly this box, made where there is none."""
    box = {name: asked[name] for name in ("frame", "x", "y", "width", "height")}
    found = RegionOfInterest.objects.visible_to(user).filter(pair=pair, **box).first()
    return found or services.create_region(pair, user, **box)


def _slide(user: User, asked: dict[str, Any], stain: str) -> Slide:
    reference: str | Slide = asked[stain]
    mpp_field = f"{stain}_um_per_px"
    um_per_px = asked.get(mpp_field)
    with _fields_of_the_call({"um_per_px": mpp_field, "mpp_x": mpp_field, "mpp_y": mpp_field}):
        if isinstance(reference, str):
            reference = add_readable_slide(reference, user, field=stain, stain=stain)
        if um_per_px is not None:
            state_mpp(reference, *um_per_px)
    return reference


def _check_scale(slides: dict[str, Slide]) -> None:
    """With um/px of one slide alone the other's is needed; with none, the scale is estimated."""
    missing = [stain for stain, slide in slides.items() if slide.status == SlideStatus.NEEDS_MPP]
    if len(missing) == 1:
        field = f"{missing[0]}_um_per_px"
        message = f"{slides[missing[0]].name} does not say its µm/px, the other slide does. Send {field}."
        raise InvalidInput("mpp_missing", message, field)


@contextmanager
def _fields_of_the_call(names: dict[str, str]) -> Iterator[None]:
    """Errors name the fields of this call's body, not those of the service underneath."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(error.code, error.message, names.get(error.field, error.field)) from error
