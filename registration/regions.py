"""Regions of interest: drawn, moved, deleted, and carried over to the other slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from django.db import transaction

from registration.engine.geometry import Box, Size
from registration.errors import InvalidInput
from registration.models import LIVE, Archive, Frame, RegionOfInterest, Registration
from registration.twin import twin_box
from viewer.models import Slide, SlidePair

if TYPE_CHECKING:
    from registration.engine.transforms import Transform

SIDES = range(64, 16385)  # level-0 px


def slide_of(pair: SlidePair, frame: str) -> Slide:
    """The pair's slide with this stain: H&E is the pair's fixed slide."""
    return pair.fixed if frame == Frame.HE else pair.moving


def create_region(
    pair: SlidePair, user: User, *, frame: str, x: int, y: int, width: int, height: int, name: str = ""
) -> RegionOfInterest:
    """A box of 64 to 16384 px a side inside the slide `frame`, level-0 px. Raises InvalidInput."""
    if frame not in Frame.values:
        raise InvalidInput("unknown_frame", f"A region lies on he or ihc, not on {frame!r}.", "frame")
    _check_box(slide_of(pair, frame), Box(x, y, width, height))
    return RegionOfInterest.objects.create(
        pair=pair, owner=pair.owner, frame=frame, x=x, y=y, width=width, height=height, name=name[:255]
    )


def move_region(region: RegionOfInterest, *, x: int, y: int, width: int, height: int) -> RegionOfInterest:
    """Another box for a region that nothing was registered for yet. Raises InvalidInput."""
    _check_box(slide_of(region.pair, region.frame), Box(x, y, width, height))
    with transaction.atomic():
        locked = RegionOfInterest.objects.select_for_update().get(pk=region.pk)
        if locked.registrations.exists():
            raise InvalidInput(
                "region_in_use",
                "This region has registrations, so it stays in place. Draw a new one.",
                "x",
            )
        RegionOfInterest.objects.filter(pk=region.pk).update(x=x, y=y, width=width, height=height)
    region.refresh_from_db()
    return region


def rename_region(region: RegionOfInterest, name: str) -> RegionOfInterest:
    """Another name; also for a region with registrations."""
    RegionOfInterest.objects.filter(pk=region.pk).update(name=name[:255])
    region.refresh_from_db()
    return region


def delete_region(region: RegionOfInterest) -> None:
    """Deletes the region with its registrations, archives and files. Raises InvalidInput while a job runs."""
    with transaction.atomic():
        locked = RegionOfInterest.objects.select_for_update().get(pk=region.pk)  # no new jobs until the end
        archives = Archive.objects.filter(registration__region=locked, status__in=LIVE)
        if archives.exists() or locked.registrations.filter(status__in=LIVE).exists():
            raise InvalidInput("region_busy", "A job of this region is under way. Cancel it first.")
        locked.delete()


def size_on(region: RegionOfInterest, grid: str) -> tuple[int, int]:
    """The region's width and height in level-0 px of the slide `grid`: the same size in µm."""
    if grid == region.frame:
        return region.width, region.height
    own, other = slide_of(region.pair, region.frame), slide_of(region.pair, grid)
    if own.mpp_x and own.mpp_y and other.mpp_x and other.mpp_y:
        return (
            round(region.width * own.mpp_x / other.mpp_x),
            round(region.height * own.mpp_y / other.mpp_y),
        )
    return region.width, region.height


def grid_box(registration: Registration, fixed_to_moving: Transform) -> Box:
    """The region in level-0 px of the slide that carries the patch grid.

    fixed_to_moving : the pair's alignment, H&E to IHC. A region drawn on the other slide keeps its size
    in µm and its centre, lies along the axes and is clipped at the slide's edge; an empty box if it lies
    outside.
    """
    region = registration.region
    box = Box(region.x, region.y, region.width, region.height)
    if registration.grid == region.frame:
        return box
    mapping = fixed_to_moving if region.frame == Frame.HE else fixed_to_moving.inverse()
    return twin_box(box, mapping).intersection(mapping.moving.size.box)


def _check_box(slide: Slide, box: Box) -> None:
    for field, side in (("width", box.width), ("height", box.height)):
        if side not in SIDES:
            raise InvalidInput(
                f"bad_{field}", f"A region is {SIDES[0]} to {SIDES[-1]} px a side, not {side}.", field
            )
    size = Size(slide.width or 0, slide.height or 0)
    if not box.inside(size):
        field = "x" if box.x < 0 or box.right > size.width else "y"
        raise InvalidInput(
            "box_outside_slide",
            f"The region x {box.x} to {box.right}, y {box.y} to {box.bottom} does not lie inside the slide "
            f"of {size.width} x {size.height} px. Move it or make it smaller.",
            field,
        )
