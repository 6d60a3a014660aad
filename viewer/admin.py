"""Slides and pairs for the administrator: µm/px can be entered, facts of the file stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest

from viewer import services
from viewer.models import Slide, SlidePair
from viewer.wsi.scale import COARSEST_UM, FINEST_UM

if TYPE_CHECKING:  # Django's own classes take no parameters when they run
    SlideModelForm = forms.ModelForm[Slide]
    SlideModelAdmin = admin.ModelAdmin[Slide]
    PairModelAdmin = admin.ModelAdmin[SlidePair]
else:
    SlideModelForm = forms.ModelForm
    SlideModelAdmin = PairModelAdmin = admin.ModelAdmin


class SlideForm(SlideModelForm):
    """Both axes of µm/px or neither."""

    mpp_x = forms.FloatField(label="µm/px, x", required=False, min_value=FINEST_UM, max_value=COARSEST_UM)
    mpp_y = forms.FloatField(label="µm/px, y", required=False, min_value=FINEST_UM, max_value=COARSEST_UM)

    class Meta:
        model = Slide
        fields = ["name", "stain", "patient", "mpp_x", "mpp_y"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if (cleaned.get("mpp_x") is None) != (cleaned.get("mpp_y") is None):
            raise forms.ValidationError("Give µm/px for both axes.")
        if "mpp_x" in self.changed_data and cleaned.get("mpp_x") is None:
            raise forms.ValidationError("µm/px can be corrected but not taken away.")
        return cleaned


@admin.register(Slide)
class SlideAdmin(SlideModelAdmin):
    form = SlideForm
    list_display = ["id", "name", "stain", "status", "size", "mpp_x", "mpp_y", "owner", "created_at"]
    list_display_links = ["id", "name"]
    list_filter = ["status", "stain", "vendor", "mpp_stated", "owner"]
    list_select_related = ["owner"]
    search_fields = ["name", "path", "patient", "fingerprint", "owner__username"]
    date_hierarchy = "created_at"
    fields = [
        *["name", "stain", "patient", "mpp_x", "mpp_y", "mpp_stated", "status", "error", "path"],
        *["vendor", "size", "size_bytes", "fingerprint", "owner", "created_at"],
    ]
    readonly_fields = [
        *["mpp_stated", "status", "error", "path", "vendor", "size", "size_bytes", "fingerprint"],
        *["owner", "created_at"],
    ]

    @admin.display(description="width x height, px")
    def size(self, slide: Slide) -> str:
        return f"{slide.width} x {slide.height}" if slide.width else "-"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # slides come from files: add_slides, the API, the library page

    def save_model(self, request: HttpRequest, obj: Slide, form: ModelForm[Slide], change: bool) -> None:
        mpp_x, mpp_y = obj.mpp_x, obj.mpp_y
        obj.mpp_x, obj.mpp_y = form.initial["mpp_x"], form.initial["mpp_y"]
        super().save_model(request, obj, form, change)
        if mpp_x and mpp_y and (mpp_x, mpp_y) != (obj.mpp_x, obj.mpp_y):
            services.state_mpp(obj, mpp_x, mpp_y)


@admin.register(SlidePair)
class SlidePairAdmin(PairModelAdmin):
    list_display = ["id", "name", "fixed", "moving", "sections", "owner", "created_at"]
    list_display_links = ["id", "name"]
    list_filter = ["sections", "owner"]
    list_select_related = ["fixed", "moving", "owner"]
    search_fields = ["name", "fixed__name", "moving__name", "fixed__patient", "owner__username"]
    date_hierarchy = "created_at"
    fields = ["name", "sections", "fixed", "moving", "owner", "created_at"]
    readonly_fields = ["fixed", "moving", "owner", "created_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # making a pair starts its alignment: add_pair, the API, the library page
