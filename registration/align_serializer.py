"""The body of POST /api/align/: everything from two slides to an archive in one request."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from registration.models import Frame, Layout, Registration
from registration.serializers import patch_size, pixels
from viewer.models import Slide
from viewer.serializers import MAX_PATH, MicronsPerPixelField, VisibleField


@extend_schema_field(
    {
        "oneOf": [{"type": "string", "minLength": 1, "maxLength": MAX_PATH}, {"type": "integer"}],
        "description": "Absolute path on the server, or the id of a slide.",
    }
)
class SlideReferenceField(VisibleField):
    """A path (str, not yet checked) or a slide of the caller."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(queryset=Slide.objects.all(), **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str):
            return serializers.CharField(max_length=MAX_PATH).run_validation(data)
        return super().to_internal_value(data)


class AlignSerializer(serializers.Serializer[Registration]):
    """`region_size`, or `width` and `height`; x and y are level-0 px of the slide named by `frame`."""

    he = SlideReferenceField()
    ihc = SlideReferenceField()
    frame = serializers.ChoiceField(choices=Frame.choices, default=Frame.HE)
    x = pixels()
    y = pixels()
    region_size = pixels(required=False)
    width = pixels(required=False)
    height = pixels(required=False)
    patch_size = patch_size()
    method = serializers.CharField(max_length=40, default="accurate", help_text="A name of /api/methods/.")
    layout = serializers.ChoiceField(choices=Layout.choices, default=Layout.NATIVE)
    he_um_per_px = MicronsPerPixelField(required=False)
    ihc_um_per_px = MicronsPerPixelField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        size = attrs.pop("region_size", None)
        if (size is None) == ("width" not in attrs and "height" not in attrs):
            message = "Give region_size, or width and height."
            raise serializers.ValidationError({"region_size": message}, code="required")
        if size is not None:
            return attrs | {"width": size, "height": size}
        for name in ("width", "height"):
            if name not in attrs:
                raise serializers.ValidationError({name: "Give both width and height."}, code="required")
        return attrs
