"""The writers of slides and pairs, and the way from a record to its pixels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction

from viewer.errors import InvalidInput
from viewer.models import Sections, Slide, SlidePair, SlideStatus, Stain
from viewer.signals import pair_created, slide_rescaled
from viewer.stains import guess_stain
from viewer.thumbnails import store_thumbnail
from viewer.wsi import SlideError, SlideReader, find_slides, fingerprint, open_slide
from viewer.wsi.files import size_bytes
from viewer.wsi.scale import COARSEST_UM, FINEST_UM, is_statable

__all__ = [
    "InvalidInput",
    "add_slide",
    "edit_pair",
    "find_slides",
    "make_pair",
    "open_record",
    "state_mpp",
]


def add_slide(
    path: Path,
    owner: Any,
    *,
    stain: str | None = None,
    um_per_px: tuple[float, float] | None = None,
    patient: str | None = None,
) -> Slide:
    """The record of the slide at `path`, made if its content is new to `owner`.

    What is stated (stain, um_per_px as (x, y), patient) is recorded each time. A file that can't be read as
    a slide gives a record that is FAILED and says why. InvalidInput where there is nothing to identify
    (not_found, unreadable, bad_name) or a statement is out of range.
    """
    path = path.absolute()
    _check_name(path)
    _check_statements(stain, um_per_px)
    try:
        identity, size = fingerprint(path), size_bytes(path)
    except SlideError as error:
        raise InvalidInput(error.code, error.message, "path") from error
    slide = Slide.objects.filter(owner=owner, fingerprint=identity).first() or Slide(
        owner=owner, fingerprint=identity, stain=guess_stain(path.name)
    )
    if slide.pk is None or slide.status == SlideStatus.FAILED or not os.access(slide.path, os.R_OK):
        slide.path, slide.name, slide.size_bytes = str(path), path.name, size
        _read_facts(slide)
    before = (slide.mpp_x, slide.mpp_y)
    _apply_statements(slide, stain, um_per_px, patient)
    with transaction.atomic():
        saved = _saved(slide)
        _tell_of_scale(saved, before)
    return saved


def _check_name(path: Path) -> None:
    readable = os.fsencode(path).decode(errors="replace")
    if readable != str(path):  # Python stands in for such bytes with what no database takes
        raise InvalidInput("bad_name", f"The name {readable} is not UTF-8. Rename the file.", "path")


def _check_statements(stain: str | None, um_per_px: tuple[float, float] | None) -> None:
    if stain is not None and stain not in Stain.values:
        choices = ", ".join(Stain.values)
        raise InvalidInput("unknown_stain", f"There is no stain {stain!r}; choose from {choices}.", "stain")
    if um_per_px is not None:
        _check_mpp(*um_per_px, "um_per_px")


def _check_mpp(x: float, y: float, field: str) -> None:
    if not (is_statable(x) and is_statable(y)):
        raise InvalidInput(
            "mpp_out_of_range",
            f"µm/px must be between {FINEST_UM} and {COARSEST_UM:g}, not {x:g}, {y:g}. "
            "A 40x scan has about 0.25, a 20x scan about 0.5.",
            field,
        )


def _read_facts(slide: Slide) -> None:
    """Fill in what the file says; a file that can't be read makes the record FAILED."""
    try:
        with open_slide(Path(slide.path)) as reader:
            store_thumbnail(slide.fingerprint, reader)
    except SlideError as error:
        slide.status, slide.error = SlideStatus.FAILED, error.message
        return
    slide.error, slide.vendor = "", reader.vendor
    slide.width, slide.height = reader.width, reader.height
    if not slide.mpp_stated:
        slide.mpp_x, slide.mpp_y = reader.um_per_px or (None, None)
    slide.status = _status(slide)


def _status(slide: Slide) -> SlideStatus:
    return SlideStatus.READY if slide.mpp_x and slide.mpp_y else SlideStatus.NEEDS_MPP


def _apply_statements(
    slide: Slide, stain: str | None, um_per_px: tuple[float, float] | None, patient: str | None
) -> None:
    slide.stain = stain or slide.stain
    slide.patient = patient or slide.patient
    if um_per_px is not None:
        slide.mpp_x, slide.mpp_y = um_per_px
        slide.mpp_stated = True
        if slide.status != SlideStatus.FAILED:
            slide.status = SlideStatus.READY


def _saved(slide: Slide) -> Slide:
    """`slide` in the database; the other process's row where one was first."""
    try:
        with transaction.atomic():
            slide.save()
    except IntegrityError:
        return Slide.objects.get(owner=slide.owner, fingerprint=slide.fingerprint)
    return slide


def state_mpp(slide: Slide, mpp_x: float, mpp_y: float) -> None:
    """Record um per level-0 px as a person states it; a slide that lacked it becomes READY."""
    _check_mpp(mpp_x, mpp_y, "mpp_x")
    before = (slide.mpp_x, slide.mpp_y)
    _apply_statements(slide, None, (mpp_x, mpp_y), None)
    with transaction.atomic():
        slide.save(update_fields=["mpp_x", "mpp_y", "mpp_stated", "status"])
        _tell_of_scale(slide, before)


def _tell_of_scale(slide: Slide, before: tuple[float | None, float | None]) -> None:
    if (slide.mpp_x, slide.mpp_y) != before:
        slide_rescaled.send(Slide, slide=slide)


def make_pair(
    fixed: Slide, moving: Slide, owner: Any, sections: str = Sections.UNKNOWN, name: str = ""
) -> SlidePair:
    """The pair of two slides that `owner` may see; `pair_created` is sent for a new one, in the transaction.

    The same two slides again give the same pair, with `sections` and `name` brought up to date if stated.
    """
    _check_pair(fixed, moving, owner, sections)
    with transaction.atomic():
        pair, is_new = SlidePair.objects.get_or_create(
            owner=owner,
            fixed=fixed,
            moving=moving,
            defaults={"name": name or f"{fixed.name} + {moving.name}"[:255], "sections": sections},
        )
        if is_new:
            _settle_stains(fixed, moving)
            pair_created.send(SlidePair, pair=pair)
        else:
            _update_pair(pair, sections, name)
    return pair


def _check_pair(fixed: Slide, moving: Slide, owner: Any, sections: str) -> None:
    if sections not in Sections.values:
        choices = ", ".join(Sections.values)
        raise InvalidInput("unknown_sections", f"Sections must be one of {choices}.", "sections")
    if fixed.pk == moving.pk:
        raise InvalidInput("same_slide", "A pair needs two different slides.", "moving")
    for field, slide in (("fixed", fixed), ("moving", moving)):
        if not Slide.objects.visible_to(owner).filter(pk=slide.pk).exists():
            raise InvalidInput("not_found", f"There is no slide {slide.pk}.", field)
        if slide.status == SlideStatus.FAILED:
            raise InvalidInput("slide_unreadable", f"{slide.name} can't be used: {slide.error}", field)
    _check_both_mpp(fixed, moving)


def _check_both_mpp(fixed: Slide, moving: Slide) -> None:
    """With um/px on both sides the scale is known, with none it is estimated; one side alone is a gap."""
    missing = [
        (field, slide)
        for field, slide in (("fixed", fixed), ("moving", moving))
        if slide.status == SlideStatus.NEEDS_MPP
    ]
    if len(missing) == 1:
        field, slide = missing[0]
        raise InvalidInput(
            "mpp_missing",
            f"{slide.name} does not say its µm/px, the other slide does. State it first: "
            f"`manage.py add_slides {slide.path} --mpp ...`, or on the slide's page.",
            field,
        )


def _settle_stains(fixed: Slide, moving: Slide) -> None:
    """Naming a slide as one side of a pair tells its stain where nothing else did."""
    for slide, stain in ((fixed, Stain.HE), (moving, Stain.IHC)):
        if slide.stain == Stain.UNKNOWN:
            slide.stain = stain
            slide.save(update_fields=["stain"])


def edit_pair(pair: SlidePair, **facts: str) -> None:
    """facts : sections and name, as stated; each may be left out."""
    if facts:
        SlidePair.objects.filter(pk=pair.pk).update(**facts)
    pair.refresh_from_db()


def _update_pair(pair: SlidePair, sections: str, name: str) -> None:
    pair.name = name or pair.name
    if sections != Sections.UNKNOWN:
        pair.sections = sections
    pair.save(update_fields=["name", "sections"])


def open_record(slide: Slide) -> SlideReader:
    """Open the slide of a record, with the recorded um/px; a context manager.

    SlideError: not_found or unreadable file, `changed` if its content is no longer what was added.
    """
    path = Path(slide.path)
    if fingerprint(path) != slide.fingerprint:
        raise SlideError(
            "changed",
            f"{path} is not the file any more that was added as slide {slide.pk}. Put the former file back, "
            "or add the new one.",
        )
    stated = (slide.mpp_x, slide.mpp_y) if slide.mpp_x and slide.mpp_y else None
    reader = open_slide(path, stated)
    reader.name = slide.name
    return reader
