"""Alignments, regions, registrations and archives as JSON."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from registration.models import (
    Archive,
    Frame,
    Job,
    JobStatus,
    Layout,
    RegionOfInterest,
    Registration,
    Review,
)
from viewer.models import SlidePair
from viewer.serializers import VisibleField

#: Artefacts of a registration that can be fetched, with their media types.
FILES = {
    "transform.json": "application/json",
    "field.npz": "application/octet-stream",
    "run.json": "application/json",
    "expected.npz": "application/octet-stream",
    "expected.png": "image/png",
    "fixed.jpg": "image/jpeg",
    "moving.jpg": "image/jpeg",
}
JOB_FIELDS = [
    "id", "status_url", "status", "attempt", "stage", "percent", "cancel_requested", "error_code", "error",
    "owner", "created_at", "queued_at", "started_at", "finished_at",
]  # fmt: skip


class ReasonSerializer(serializers.Serializer[dict[str, str]]):
    code = serializers.CharField()
    message = serializers.CharField()


class JobSerializer(serializers.ModelSerializer[Any]):
    """What all three kinds of job have in common."""

    route = ""
    owner = serializers.CharField(source="owner.username", read_only=True)
    status_url = serializers.SerializerMethodField()

    @extend_schema_field(OpenApiTypes.URI)
    def get_status_url(self, job: Job) -> str:
        return self._url(f"{self.route}-detail", job.pk)

    def _url(self, route: str, *args: object) -> str:
        return reverse(route, args, request=self.context["request"])


class RegionSerializer(serializers.ModelSerializer[RegionOfInterest]):
    class Meta:
        model = RegionOfInterest
        fields = ["id", "pair", "name", "frame", "x", "y", "width", "height", "created_at"]
        read_only_fields = fields


class ArchiveSerializer(JobSerializer):
    route = "archive-api"
    download_url = serializers.SerializerMethodField()
    dropped = serializers.DictField(child=serializers.IntegerField(), read_only=True)
    verdicts = serializers.DictField(child=serializers.IntegerField(), read_only=True)

    class Meta:
        model = Archive
        fields = [
            *JOB_FIELDS, "registration", "layout", "patch_size", "override_note", "patches", "dropped",
            "verdicts", "size_bytes", "sha256", "download_url",
        ]  # fmt: skip
        read_only_fields = fields

    def get_download_url(self, archive: Archive) -> str | None:
        """Null until the archive is ready."""
        ready = archive.status == JobStatus.SUCCEEDED
        return self._url("archive-download", archive.pk) if ready else None


class RegistrationSerializer(JobSerializer):
    route = "registration-api"
    pair = serializers.IntegerField(source="region.pair_id", read_only=True)
    region = RegionSerializer(read_only=True)
    reasons = ReasonSerializer(many=True, read_only=True)
    metrics = serializers.DictField(read_only=True)
    reviewed_by = serializers.CharField(
        source="reviewed_by.username", read_only=True, allow_null=True, default=None
    )
    files = serializers.SerializerMethodField()
    archives = ArchiveSerializer(many=True, read_only=True)

    class Meta:
        model = Registration
        fields = [
            *JOB_FIELDS, "pair", "region", "alignment", "method", "grid", "engine_version", "config_hash",
            "verdict", "reasons", "metrics", "review", "reviewed_by", "reviewed_at", "review_note", "files",
            "archives",
        ]  # fmt: skip
        read_only_fields = fields

    def get_files(self, registration: Registration) -> dict[str, str]:
        """Name -> URL of what the registration stored."""
        folder = settings.DATA_DIR / registration.folder
        names = [name for name in FILES if registration.folder and (folder / name).is_file()]
        return {name: self._url("registration-file", registration.pk, name) for name in names}


def pixels(**kwargs: Any) -> serializers.IntegerField:
    """Level-0 px that fit the database; whether they fit the slide, the service says."""
    return serializers.IntegerField(min_value=-(2**31), max_value=2**31 - 1, **kwargs)


def patch_size() -> serializers.IntegerField:
    return serializers.IntegerField(min_value=16, max_value=4096, default=256, help_text="Px a side.")


class NewRegionSerializer(serializers.Serializer[RegionOfInterest]):
    """A half-open box in level-0 px of the slide named by `frame`."""

    pair = VisibleField(queryset=SlidePair.objects.all())
    frame = serializers.ChoiceField(choices=Frame.choices, default=Frame.HE)
    x = pixels()
    y = pixels()
    width = pixels()
    height = pixels()
    name = serializers.CharField(max_length=255, default="", allow_blank=True)


class MoveRegionSerializer(serializers.Serializer[RegionOfInterest]):
    x = pixels(required=False)
    y = pixels(required=False)
    width = pixels(required=False)
    height = pixels(required=False)
    name = serializers.CharField(max_length=255, required=False, allow_blank=True)


class ExportOptionsSerializer(serializers.Serializer[dict[str, Any]]):
    layout = serializers.ChoiceField(choices=Layout.choices, default=Layout.NATIVE)
    patch_size = patch_size()


class NewRegistrationSerializer(serializers.Serializer[Registration]):
    """Either `region`, or a new box: `pair`, `frame`, `x`, `y`, `width`, `height`."""

    region = VisibleField(queryset=RegionOfInterest.objects.all(), required=False)
    pair = VisibleField(queryset=SlidePair.objects.all(), required=False)
    frame = serializers.ChoiceField(choices=Frame.choices, default=Frame.HE)
    x = pixels(required=False)
    y = pixels(required=False)
    width = pixels(required=False)
    height = pixels(required=False)
    method = serializers.CharField(max_length=40, default="accurate", help_text="A name of /api/methods/.")
    grid = serializers.ChoiceField(
        choices=Frame.choices, default=Frame.HE, help_text="The slide that carries the patch grid."
    )
    export = ExportOptionsSerializer(required=False, help_text="Make an archive as soon as it is registered.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "region" in attrs:
            return attrs
        for name in ("pair", "x", "y", "width", "height"):
            if name not in attrs:
                message = "Give a region, or a box: pair, x, y, width and height."
                raise serializers.ValidationError({name: message}, code="required")
        return attrs


class NewArchiveSerializer(serializers.Serializer[Archive]):
    registration = VisibleField(queryset=Registration.objects.all())
    layout = serializers.ChoiceField(choices=Layout.choices, default=Layout.NATIVE)
    patch_size = patch_size()
    override_note = serializers.CharField(
        max_length=2000,
        default="",
        allow_blank=True,
        help_text="Why a refused registration is exported all the same.",
    )


class ReviewSerializer(serializers.Serializer[Registration]):
    decision = serializers.ChoiceField(
        choices=[(choice.value, choice.label) for choice in (Review.ACCEPTED, Review.REJECTED)]
    )
    note = serializers.CharField(max_length=2000, default="", allow_blank=True)


class PairQuerySerializer(serializers.Serializer[dict[str, int]]):
    pair = serializers.IntegerField(
        required=False, min_value=1, max_value=2**63 - 1, help_text="Only those of this pair."
    )


class MethodSerializer(serializers.Serializer[dict[str, str]]):
    name = serializers.CharField()
    description = serializers.CharField()
