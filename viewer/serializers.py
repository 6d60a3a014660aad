"""Slides and pairs as JSON."""

from __future__ import annotations

import math
from typing import Any, cast

from django.db.models import Model, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from viewer.models import OwnedQuerySet, Sections, Slide, SlidePair, Stain
from viewer.wsi.scale import COARSEST_UM, FINEST_UM

MAX_PATH = 4096


class VisibleField(serializers.PrimaryKeyRelatedField[Model]):
    """The id of a row that the caller may see; any other id does not exist."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(pk_field=serializers.IntegerField(), **kwargs)

    def get_queryset(self) -> QuerySet[Model]:
        rows = cast("OwnedQuerySet[Model]", super().get_queryset())
        return rows.visible_to(self.context["request"].user)


class MicronsField(serializers.FloatField):
    """um per level-0 px, one axis; finite."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=FINEST_UM, max_value=COARSEST_UM, **kwargs)

    def to_internal_value(self, data: Any) -> float:
        value = super().to_internal_value(data)
        if isinstance(data, bool) or not math.isfinite(value):
            self.fail("invalid")
        return value


_MICRONS = {"type": "number", "minimum": FINEST_UM, "maximum": COARSEST_UM}


@extend_schema_field(
    {
        "oneOf": [_MICRONS, {"type": "array", "items": _MICRONS, "minItems": 2, "maxItems": 2}],
        "description": "µm per level-0 px: one number, or [x, y].",
    }
)
class MicronsPerPixelField(serializers.Field[tuple[float, float], Any, Any, Any]):
    """One number for both axes, or [x, y]."""

    def to_internal_value(self, data: Any) -> tuple[float, float]:
        values = data if isinstance(data, list) else [data, data]
        if len(values) != 2:
            raise serializers.ValidationError("Give one number, or two: [x, y].", code="invalid")
        axis = MicronsField()
        return axis.run_validation(values[0]), axis.run_validation(values[1])


class SlideSerializer(serializers.ModelSerializer[Slide]):
    owner = serializers.CharField(source="owner.username", read_only=True)
    tiles_url = serializers.SerializerMethodField()
    lossless_tiles_url = serializers.SerializerMethodField()
    thumbnail_url = serializers.SerializerMethodField()

    class Meta:
        model = Slide
        fields = [
            "id", "name", "stain", "patient", "status", "error", "vendor", "width", "height", "mpp_x",
            "mpp_y", "mpp_stated", "size_bytes", "owner", "created_at", "tiles_url", "lossless_tiles_url",
            "thumbnail_url",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(OpenApiTypes.URI)
    def get_tiles_url(self, slide: Slide) -> str:
        """Deep-zoom descriptor, JPEG tiles."""
        return self._url("slide-jpeg-dzi", slide)

    @extend_schema_field(OpenApiTypes.URI)
    def get_lossless_tiles_url(self, slide: Slide) -> str:
        """Deep-zoom descriptor, PNG tiles."""
        return self._url("slide-png-dzi", slide)

    @extend_schema_field(OpenApiTypes.URI)
    def get_thumbnail_url(self, slide: Slide) -> str:
        return self._url("slide-thumbnail", slide)

    def _url(self, route: str, slide: Slide) -> str:
        return reverse(route, [slide.pk], request=self.context["request"])


class AddSlideSerializer(serializers.Serializer[Slide]):
    path = serializers.CharField(
        max_length=MAX_PATH, help_text="Absolute path on the server, of a file or a DICOM folder."
    )
    stain = serializers.ChoiceField(choices=Stain.choices, required=False)
    um_per_px = MicronsPerPixelField(required=False)
    patient = serializers.CharField(max_length=64, required=False, allow_null=True, help_text="A pseudonym.")


class EditSlideSerializer(serializers.Serializer[Slide]):
    """Both of mpp_x and mpp_y, or neither."""

    mpp_x = MicronsField(required=False)
    mpp_y = MicronsField(required=False)
    stain = serializers.ChoiceField(choices=Stain.choices, required=False)
    patient = serializers.CharField(max_length=64, required=False, allow_null=True, help_text="A pseudonym.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        missing = {"mpp_x", "mpp_y"} - attrs.keys()
        if len(missing) == 1:
            raise serializers.ValidationError({missing.pop(): "Give both mpp_x and mpp_y."}, code="required")
        return attrs


class PairSerializer(serializers.ModelSerializer[SlidePair]):
    owner = serializers.CharField(source="owner.username", read_only=True)
    alignments_url = serializers.SerializerMethodField()

    class Meta:
        model = SlidePair
        fields = ["id", "name", "fixed", "moving", "sections", "owner", "created_at", "alignments_url"]
        read_only_fields = fields

    @extend_schema_field(OpenApiTypes.URI)
    def get_alignments_url(self, pair: SlidePair) -> str:
        return reverse("pair-alignments", [pair.pk], request=self.context["request"])


class EditPairSerializer(serializers.Serializer[SlidePair]):
    sections = serializers.ChoiceField(choices=Sections.choices, required=False)
    name = serializers.CharField(max_length=255, required=False)


class MakePairSerializer(serializers.Serializer[SlidePair]):
    fixed = VisibleField(queryset=Slide.objects.all(), help_text="Slide id, H&E.")
    moving = VisibleField(queryset=Slide.objects.all(), help_text="Slide id, IHC.")
    sections = serializers.ChoiceField(choices=Sections.choices, default=Sections.UNKNOWN)
    name = serializers.CharField(max_length=255, required=False, default="", allow_blank=True)
