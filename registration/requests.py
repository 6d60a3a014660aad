"""Asking for work: each function gives back the row that already does it, or makes one and rings."""

from __future__ import annotations

from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Max, QuerySet

from registration.bell import ring
from registration.constraints import Said, checked, nothing_said, said_of
from registration.engine import ENGINE_VERSION
from registration.engine.config import METHODS, config_hash, preset
from registration.errors import Conflict, InvalidInput
from registration.lost import has_files, unless_lost
from registration.models import (
    LIVE,
    Archive,
    Frame,
    Job,
    JobStatus,
    Layout,
    PairAlignment,
    RegionOfInterest,
    Registration,
)
from registration.regions import size_on
from registration.scale import is_complete, is_outdated, scale_of
from registration.stored import is_lost
from viewer.models import SlidePair

LIVE_OR_DONE = (*LIVE, JobStatus.SUCCEEDED)
PATCH_SIZES = range(16, 4097)
J = TypeVar("J", bound=Job)


def is_usable(alignment: PairAlignment) -> bool:
    """It has a transform: trusted or refused."""
    return alignment.status in (JobStatus.SUCCEEDED, JobStatus.REFUSED)


def current_alignment(pair: SlidePair) -> PairAlignment | None:
    """The newest version that succeeded; where none did, the newest that was refused (see its verdict)."""
    versions = pair.alignments.order_by("-version")
    return (
        versions.filter(status=JobStatus.SUCCEEDED).first()
        or versions.filter(status=JobStatus.REFUSED).first()
    )


def pieces_of(pair: SlidePair) -> dict[str, Any]:
    """{"version", "he", "ihc"}: the pieces of tissue that the newest finished alignment saw; [] before it."""
    finished = pair.alignments.filter(status__in=(JobStatus.SUCCEEDED, JobStatus.REFUSED))
    newest = finished.exclude(pieces={}).order_by("-version").first()
    return (
        {"version": None, "he": [], "ihc": []}
        if newest is None
        else newest.pieces | {"version": newest.version}
    )


def request_alignment(
    pair: SlidePair, user: User, reason: str = "", said: dict[str, Any] | None = None
) -> PairAlignment:
    """A new version of the pair's alignment, or the one that is being made.

    said : landmarks, exclude_he, exclude_ihc; those of the version in use are kept for what it leaves out.
    Raises InvalidInput, also where another alignment with other landmarks is being made (alignment_busy).
    """
    current = current_alignment(pair)
    kept = nothing_said() if current is None else said_of(current)
    wanted = checked(pair, kept | (said or {}))
    live = pair.alignments.filter(status__in=LIVE).first() or _create_alignment(pair, user, reason, wanted)
    if said and said_of(live) != wanted:
        raise InvalidInput(
            "alignment_busy",
            f"Version {live.version} is being made with other landmarks or regions left out. "
            "Wait for it or cancel it, then send yours again.",
        )
    return live


def align_if_outdated(alignment: PairAlignment) -> None:
    """A new version where a slide's um/px is no longer the one this version was made with."""
    pair = SlidePair.objects.select_related("fixed", "moving").get(pk=alignment.pair_id)
    alignment.pair = pair
    if is_outdated(alignment) and is_complete(scale_of(pair)):
        request_alignment(pair, alignment.requested_by or alignment.owner, reason="µm/px was changed")


def _create_alignment(pair: SlidePair, user: User, reason: str, said: Said) -> PairAlignment:
    newest = pair.alignments.aggregate(newest=Max("version"))["newest"] or 0
    values = {"owner": pair.owner, "requested_by": user, "version": newest + 1, "reason": reason[:255]}
    try:
        with transaction.atomic():
            made = PairAlignment.objects.create(pair=pair, **values, **said)
            ring(made)
    except IntegrityError:
        return _asked_meanwhile(pair.alignments.filter(status__in=LIVE))
    return made


def _asked_meanwhile(rows: QuerySet[J]) -> J:
    """What somebody else asked for in the same moment. Raises Conflict where that has ended already."""
    found = rows.first()
    if found is None:
        raise Conflict(
            "asked_twice",
            "Somebody else asked for the same in this moment, and that has already ended. Look at what came "
            "of it, or ask again.",
        )
    return found


def request_registration(
    region: RegionOfInterest,
    user: User,
    *,
    method: str = "accurate",
    grid: str = Frame.HE,
    export_options: dict[str, Any] | None = None,
) -> Registration:
    """A registration of the region, exported on success when `export_options` (layout, patch_size) are given.

    The same request gives the same row while that is live or succeeded. Without an alignment of the pair
    it waits for one. Raises InvalidInput.
    """
    key = _registration_key(region, user, method, grid)
    if export_options is not None:
        export_options = _export_options(export_options, min(size_on(region, grid)))
    with transaction.atomic():
        found = unless_lost(Registration.objects.filter(**key, status__in=LIVE_OR_DONE).first())
        found = found or _create_registration(key, method, user, export_options)
    if export_options is not None:
        _export_too(found, user, export_options)
    return found


def _registration_key(region: RegionOfInterest, user: User, method: str, grid: str) -> dict[str, Any]:
    if method not in METHODS:
        raise InvalidInput(
            "unknown_method", f"There is no method {method!r}. Choose one of {', '.join(METHODS)}.", "method"
        )
    if grid not in Frame.values:
        raise InvalidInput("unknown_grid", f"The patch grid lies on he or ihc, not on {grid!r}.", "grid")
    return {
        "region": region,
        "alignment": _alignment_for(region.pair, user),
        "grid": grid,
        "config_hash": config_hash(preset(method)),
        "engine_version": ENGINE_VERSION,
    }


def _alignment_for(pair: SlidePair, user: User) -> PairAlignment:
    """The current one; where that is refused, outdated, lost or missing, the one being made, or a new one."""
    current = current_alignment(pair)
    outdated = current is not None and (is_outdated(current) or is_lost(current))
    if current is not None and current.status == JobStatus.SUCCEEDED and not outdated:
        return current
    live = pair.alignments.filter(status__in=LIVE).first()
    kept = None if outdated else current
    return live or kept or request_alignment(pair, user, reason="needed by a registration")


def _create_registration(
    key: dict[str, Any], method: str, user: User, export_options: dict[str, Any] | None
) -> Registration:
    try:
        with transaction.atomic():
            made = Registration.objects.create(
                **key,
                method=method,
                export_options=None if export_options is None else [export_options],
                owner=key["region"].owner,
                requested_by=user,
            )
    except IntegrityError:
        return _asked_meanwhile(Registration.objects.filter(**key, status__in=LIVE_OR_DONE))
    made.alignment.refresh_from_db()
    if is_usable(made.alignment):
        ring(made)
    return made


def _export_too(registration: Registration, user: User, options: dict[str, Any]) -> None:
    """The row was there before: a live one exports when it is done, a finished one at once."""
    with transaction.atomic():
        locked = Registration.objects.select_for_update().get(pk=registration.pk)
        wishes = locked.export_options or []
        if locked.status in LIVE and options not in wishes:
            locked.export_options = [*wishes, options]
            locked.save(update_fields=["export_options"])
    registration.refresh_from_db()
    if locked.status == JobStatus.SUCCEEDED:
        request_archive(registration, user, **options)


def request_archive(
    registration: Registration,
    user: User,
    *,
    layout: str = Layout.NATIVE,
    patch_size: int = 256,
    override_note: str = "",
) -> Archive:
    """An archive of a finished registration; the same request gives the same row while live or succeeded.

    A refused registration needs a note that says why it is exported all the same. Raises InvalidInput.
    """
    _check_exportable(registration, override_note)
    options = _export_options({"layout": layout, "patch_size": patch_size}, _smaller_side(registration))
    found = unless_lost(registration.archives.filter(**options, status__in=LIVE_OR_DONE).first())
    return found or create_archive(registration, user, options, override_note)


def create_archive(
    registration: Registration, user: User, options: dict[str, Any], override_note: str = ""
) -> Archive:
    """`options` : layout and patch_size, checked here no more (the export itself says what is wrong)."""
    try:
        with transaction.atomic():
            made = Archive.objects.create(
                registration=registration,
                owner=registration.owner,
                requested_by=user,
                override_note=override_note,
                **options,
            )
            ring(made)
    except IntegrityError:
        return _asked_meanwhile(registration.archives.filter(**options, status__in=LIVE_OR_DONE))
    return made


def _check_exportable(registration: Registration, override_note: str) -> None:
    if registration.status == JobStatus.REFUSED and not override_note.strip():
        raise InvalidInput(
            "registration_refused",
            "This registration was refused: its patches may not show the same tissue. "
            "To export it all the same, say why in a note.",
            "override_note",
        )
    if registration.status not in (JobStatus.SUCCEEDED, JobStatus.REFUSED):
        raise InvalidInput(
            "registration_not_finished",
            f"This registration is {registration.get_status_display()}; only a finished one can be exported.",
            "registration",
        )
    if not has_files(registration):
        raise InvalidInput(
            "registration_files_gone",
            "The files of this registration are no longer on the server. Register the region again.",
            "registration",
        )


def _smaller_side(registration: Registration) -> int:
    return int(min(registration.metrics["box"][2:]))


def _export_options(options: dict[str, Any], side: int) -> dict[str, Any]:
    """{layout, patch_size}, checked; `side` is the smaller side of the region in px."""
    layout, patch_size = options.get("layout", Layout.NATIVE), options.get("patch_size", 256)
    if layout not in Layout.values:
        raise InvalidInput(
            "unknown_layout", f"The layout is {' or '.join(Layout.values)}, not {layout!r}.", "layout"
        )
    if not isinstance(patch_size, int) or patch_size not in PATCH_SIZES:
        raise InvalidInput(
            "bad_patch_size",
            f"A patch has {PATCH_SIZES[0]} to {PATCH_SIZES[-1]} px a side, not {patch_size}.",
            "patch_size",
        )
    if patch_size > side:
        raise InvalidInput(
            "patch_larger_than_region",
            f"A patch of {patch_size} px does not fit into the region's {side} px. "
            "Choose smaller patches or a larger region.",
            "patch_size",
        )
    return {"layout": layout, "patch_size": patch_size}
