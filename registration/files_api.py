"""Files of registrations and archives, handed to those who may see the row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.http import FileResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import APIException, NotFound
from rest_framework.request import Request
from rest_framework.views import APIView

from registration.models import LIVE, Archive, JobStatus, Registration
from registration.serializers import FILES


class Conflict(APIException):
    """It exists, but it isn't in the state that this needs."""

    status_code = 409


class Gone(APIException):
    status_code = 410


_SCHEMAS = {"application/json": OpenApiTypes.OBJECT}
_NAME = OpenApiParameter("name", str, OpenApiParameter.PATH, enum=list(FILES))


class RegistrationFileView(APIView):
    @extend_schema(
        operation_id="registration_file",
        parameters=[_NAME],
        responses={
            (200, media_type): _SCHEMAS.get(media_type, OpenApiTypes.BINARY) for media_type in FILES.values()
        },
    )
    def get(self, request: Request, pk: int, name: str) -> FileResponse:
        """What the registration stored: transform, displacement field, record, the regions as pictures."""
        registration = get_object_or_404(Registration.objects.visible_to(request.user), pk=pk)
        stream = _opened(f"{registration.folder}/{name}") if name in FILES and registration.folder else None
        if stream is None:
            raise NotFound(f"This registration has no file {name[:100]!r}.")
        return _private(FileResponse(stream, content_type=FILES[name], filename=name))


class ArchiveDownloadView(APIView):
    @extend_schema(
        operation_id="archive_download",
        responses={
            (200, "application/zip"): OpenApiTypes.BINARY,
            409: OpenApiResponse(description="Not ready, or it failed"),
            410: OpenApiResponse(description="The file is gone from the server"),
        },
    )
    def get(self, request: Request, pk: int) -> FileResponse:
        """The zip of aligned patch pairs."""
        archive = get_object_or_404(Archive.objects.visible_to(request.user), pk=pk)
        if archive.status != JobStatus.SUCCEEDED:
            raise _not_there(archive)
        stream = _opened(archive.file)
        if stream is None:
            raise Gone("The file of this archive is no longer on the server. Export again.", "archive_gone")
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(archive.file).name)
        return _private(
            FileResponse(stream, as_attachment=True, filename=name, content_type="application/zip")
        )


def _not_there(archive: Archive) -> Conflict:
    if archive.status in LIVE:
        return Conflict(f"This archive is not ready yet: {archive.percent} per cent.", "archive_not_ready")
    reason = archive.error or f"It was {archive.get_status_display()}."
    return Conflict(f"This archive was not made. {reason}", "archive_not_made")


def _opened(relative: str) -> BinaryIO | None:
    """The file that the database names, relative to DATA_DIR; None where it is gone or leads elsewhere."""
    root = Path(settings.DATA_DIR).resolve()
    path = (root / relative).resolve()
    if not path.is_relative_to(root):
        return None
    try:
        return path.open("rb")
    except (FileNotFoundError, IsADirectoryError):
        return None


def _private(response: FileResponse) -> FileResponse:
    response.headers["Cache-Control"] = "private, no-cache"
    return response
