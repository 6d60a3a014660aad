"""Every API error in one shape: {"code", "field", "message"}."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from registration.engine.errors import EngineError
from viewer.errors import Conflict, InvalidInput
from viewer.wsi.errors import SlideError

_FOR_SCRIPTS = ("/api/", "/archives/")


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """The response to `error`; None (a plain 500, logged with its traceback) for what nobody foresaw."""
    if isinstance(error, InvalidInput | EngineError):
        return _response(409 if isinstance(error, Conflict) else 400, error.code, error.field, error.message)
    if isinstance(error, SlideError):
        return _response(400, error.code, "", error.message)
    if isinstance(error, ObjectDoesNotExist):
        error = Http404()  # deleted by somebody else in the meantime
    response = exception_handler(error, context)
    if response is None:
        return None
    field, detail = _first(_as_api_error(error).detail)
    response.data = _body(detail.code, field, str(detail))
    return response


def _as_api_error(error: Exception) -> exceptions.APIException:
    if isinstance(error, Http404):
        return exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    if not isinstance(error, exceptions.APIException):
        raise TypeError(f"{type(error).__name__} is no API error") from error
    return error


def _first(detail: Any, path: tuple[str, ...] = ()) -> tuple[str, exceptions.ErrorDetail]:
    """The first leaf of DRF's nested errors and where it is: ("region.x", "A valid integer is required.")."""
    if isinstance(detail, exceptions.ErrorDetail):
        return ".".join(part for part in path if part != "non_field_errors"), detail
    if isinstance(detail, dict):
        key, value = next(iter(detail.items()))
        return _first(value, (*path, str(key)))
    index, value = next((index, value) for index, value in enumerate(detail) if value)
    return _first(value, path if isinstance(value, exceptions.ErrorDetail) else (*path, str(index)))


def _body(code: str | None, field: str, message: str) -> dict[str, str]:
    """A message may repeat what was sent, even text that no encoding has (a lone surrogate)."""
    sendable = message.encode(errors="replace").decode()
    return {"code": code or "invalid", "field": field, "message": sendable}


def _response(status_code: int, code: str, field: str, message: str) -> Response:
    return Response(_body(code, field, message), status=status_code)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 404 page, or JSON where a script asked."""
    if request.path.startswith(_FOR_SCRIPTS):
        return JsonResponse(_body("not_found", "", f"There is nothing at {request.path[:200]}."), status=404)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if request.path.startswith(_FOR_SCRIPTS):
        message = "Something went wrong on the server; the details are in its log."
        return JsonResponse(_body("server_error", "", message), status=500)
    return defaults.server_error(request)
