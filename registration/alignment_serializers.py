"""Alignments as JSON, and what a person says about a pair: landmarks and regions to leave out."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from registration.engine.constraints import LARGEST_WEIGHT, LEAST_WEIGHT
from registration.models import PairAlignment
from registration.sections import disagreement, stated_section
from registration.serializers import JOB_FIELDS, JobSerializer, ReasonSerializer
from viewer.models import Sections

MAX_LANDMARKS = 1000
MAX_POLYGONS = 200
MAX_CORNERS = 2000


class BoundedListField(serializers.ListField):
    """Counts its items before it looks at any of them: a list that is too long costs nothing."""

    def run_child_validation(self, data: list[Any]) -> list[Any]:
        if self.max_length is not None and len(data) > self.max_length:
            message = self.error_messages["max_length"].format(max_length=self.max_length)
            raise serializers.ValidationError(message, code="max_length")
        return list(super().run_child_validation(data))


def _place(**options: Any) -> serializers.ListField:
    """[x, y], level-0 px."""
    return BoundedListField(child=serializers.FloatField(), min_length=2, max_length=2, **options)


def _polygons(slide: str) -> serializers.ListField:
    return BoundedListField(
        child=BoundedListField(child=_place(), min_length=3, max_length=MAX_CORNERS),
        max_length=MAX_POLYGONS,
        required=False,
        help_text=f"Polygons, level-0 px of the {slide} slide, whose pixels are not looked at.",
    )


class LandmarkSerializer(serializers.Serializer[dict[str, Any]]):
    he = _place(help_text="[x, y], level-0 px of the H&E slide.")
    ihc = _place(help_text="The same place, level-0 px of the IHC slide.")
    weight = serializers.FloatField(default=1.0, min_value=LEAST_WEIGHT, max_value=LARGEST_WEIGHT)


class NewAlignmentSerializer(serializers.Serializer[PairAlignment]):
    """What is left out is kept from the version in use; an empty list takes it away."""

    landmarks: serializers.ListSerializer[Any] = serializers.ListSerializer(
        child=LandmarkSerializer(), required=False, max_length=MAX_LANDMARKS
    )
    exclude_he = _polygons("H&E")
    exclude_ihc = _polygons("IHC")
    reason = serializers.CharField(
        max_length=255, default="asked for", allow_blank=True, help_text="Why another version is needed."
    )


class SectionSerializer(serializers.Serializer[dict[str, Any]]):
    kind = serializers.ChoiceField(choices=Sections.choices)
    share = serializers.FloatField(allow_null=True, help_text="Of the cells looked at that agree, 0 to 1.")
    message = serializers.CharField(help_text="The accuracy that is possible.")
    declared = serializers.ChoiceField(choices=Sections.choices)
    disagreement = serializers.CharField(
        allow_blank=True, help_text="What to do where the declared kind is another one; else empty."
    )


class PieceSerializer(serializers.Serializer[dict[str, Any]]):
    number = serializers.IntegerField(help_text="1 is the largest.")
    box = serializers.ListField(
        child=serializers.IntegerField(), help_text="x, y, width, height, level-0 px."
    )
    outline = serializers.ListField(
        child=_place(), help_text="A polygon that exclude_he or exclude_ihc takes."
    )
    area = serializers.FloatField(help_text="Of the tissue in it, level-0 px squared.")


class PiecesSerializer(serializers.Serializer[dict[str, Any]]):
    version = serializers.IntegerField(allow_null=True, help_text="Of the alignment; null before the first.")
    he = PieceSerializer(many=True)
    ihc = PieceSerializer(many=True)


class AlignmentSerializer(JobSerializer):
    route = "alignment-api"
    reasons = ReasonSerializer(many=True, read_only=True)
    affine = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField()),
        allow_null=True,
        read_only=True,
        help_text="3 x 3, moving from fixed, level-0 px, corner-based; without the field.",
    )
    metrics = serializers.DictField(read_only=True)
    requested_by = serializers.CharField(
        source="requested_by.username", read_only=True, allow_null=True, default=None
    )
    landmarks = LandmarkSerializer(many=True, read_only=True)
    exclude_he = serializers.ListField(child=serializers.ListField(child=_place()), read_only=True)
    exclude_ihc = serializers.ListField(child=serializers.ListField(child=_place()), read_only=True)
    section = serializers.SerializerMethodField()

    class Meta:
        model = PairAlignment
        fields = [
            *JOB_FIELDS, "pair", "version", "reason", "requested_by", "verdict", "reasons", "affine",
            "metrics", "section", "landmarks", "exclude_he", "exclude_ihc",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(SectionSerializer(allow_null=True))
    def get_section(self, alignment: PairAlignment) -> dict[str, Any] | None:
        """What the evidence says of the sections, beside what was declared; null while it is not known."""
        stated = stated_section(alignment)
        return None if stated is None else stated | {"disagreement": disagreement(stated)}
