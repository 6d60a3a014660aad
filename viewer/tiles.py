"""Deep-zoom descriptors, tiles and thumbnails, for those who may see the slide."""

from __future__ import annotations

from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response, patch_cache_control
from django.views.decorators.http import require_safe

from viewer.encode import CONTENT_TYPES, encode
from viewer.models import Slide, SlideStatus
from viewer.readers import shared_reader
from viewer.thumbnails import store_thumbnail, thumbnail_path
from viewer.wsi import SlideError
from viewer.wsi.deepzoom import DeepZoom, DeepZoomLayout

_RENDERING = "1"  # part of every ETag: raise it when the same slide gives other pixels
_MAX_AGE_SECONDS = 86400


@require_safe
def descriptor(request: HttpRequest, pk: int, image_format: str) -> HttpResponseBase:
    """The `.dzi` file."""
    slide = _readable_slide(request, pk)

    def xml() -> HttpResponse:
        layout = DeepZoomLayout(slide.width or 0, slide.height or 0)
        return HttpResponse(layout.dzi(image_format), content_type="application/xml")

    return _cached(request, slide, f"{image_format}.dzi", xml)


@require_safe
def tile(
    request: HttpRequest, pk: int, image_format: str, level: int, column: int, row: int
) -> HttpResponseBase:
    """One tile; 404 where the layout has none."""
    slide = _readable_slide(request, pk)
    _check_tile(slide, level, column, row)

    def picture() -> HttpResponse:
        with shared_reader(slide) as reader:
            rgb = DeepZoom(reader).tile(level, column, row)
        return HttpResponse(encode(rgb, image_format), content_type=CONTENT_TYPES[image_format])

    return _cached(request, slide, f"{image_format}-{level}-{column}-{row}", picture)


@require_safe
def thumbnail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The whole slide, at most 512 px a side."""
    slide = _readable_slide(request, pk)

    def picture() -> HttpResponse:
        path = thumbnail_path(slide.fingerprint)
        if not path.is_file():
            with shared_reader(slide) as reader:
                store_thumbnail(slide.fingerprint, reader)
        return HttpResponse(path.read_bytes(), content_type="image/jpeg")

    return _cached(request, slide, "thumbnail", picture)


def _readable_slide(request: HttpRequest, pk: int) -> Slide:
    """The slide, if it is there, may be seen and could be read."""
    slide = get_object_or_404(Slide.objects.visible_to(request.user), pk=pk)
    if slide.status == SlideStatus.FAILED:
        raise Http404("This slide can't be read.")
    return slide


def _check_tile(slide: Slide, level: int, column: int, row: int) -> None:
    try:
        DeepZoomLayout(slide.width or 0, slide.height or 0).box(level, column, row)
    except IndexError as error:
        raise Http404(str(error)) from error


def _cached(
    request: HttpRequest, slide: Slide, what: str, make: Callable[[], HttpResponse]
) -> HttpResponseBase:
    """`make`'s response with an ETag of slide and address, or 304 without making it.

    A slide that can't be read any more is a conflict between record and disk: 409 with the reason.
    """
    etag = f'"{slide.fingerprint[:24]}-{what}-{_RENDERING}"'
    response = get_conditional_response(request, etag=etag)
    try:
        response = response or make()
    except SlideError as error:
        return JsonResponse({"code": error.code, "field": "", "message": error.message}, status=409)
    response["ETag"] = etag
    patch_cache_control(response, private=True, max_age=_MAX_AGE_SECONDS)
    return response
