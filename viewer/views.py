"""Pages: the library of slides and one slide; and the two forms of the library."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from viewer import services
from viewer.errors import InvalidInput
from viewer.models import Sections, Slide, SlideStatus, Stain
from viewer.wsi.scale import COARSEST_UM, FINEST_UM


def viewer_data(slide: Slide) -> dict[str, Any]:
    """What the browser needs to show a slide; um_per_px is [x, y] or None."""
    return {
        "id": slide.pk,
        "name": slide.name,
        "width": slide.width,
        "height": slide.height,
        "um_per_px": [slide.mpp_x, slide.mpp_y] if slide.mpp_x and slide.mpp_y else None,
        "dzi": reverse("slide-jpeg-dzi", args=[slide.pk]),
    }


class ScaleForm(forms.Form):
    mpp_x = forms.FloatField(min_value=FINEST_UM, max_value=COARSEST_UM, label="µm/px, x")
    mpp_y = forms.FloatField(min_value=FINEST_UM, max_value=COARSEST_UM, label="µm/px, y", required=False)


class PairForm(forms.Form):
    """Two readable slides of the user's; those stained H&E and IHC are proposed first."""

    fixed = forms.ModelChoiceField(Slide.objects.none(), label="H&E slide", empty_label="Choose…")
    moving = forms.ModelChoiceField(Slide.objects.none(), label="IHC slide", empty_label="Choose…")
    sections = forms.ChoiceField(choices=Sections.choices, label="Sections", initial=Sections.UNKNOWN)
    name = forms.CharField(max_length=255, required=False, label="Name (optional)")

    def __init__(self, user: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        readable = Slide.objects.visible_to(user).exclude(status=SlideStatus.FAILED).order_by("name")
        for field in ("fixed", "moving"):
            choice = self.fields[field]
            assert isinstance(choice, forms.ModelChoiceField)  # noqa: S101  (declared above)
            choice.queryset = readable
        self.fields["fixed"].initial = readable.filter(stain=Stain.HE).last()
        self.fields["moving"].initial = readable.filter(stain=Stain.IHC).last()


@require_safe
def library(request: HttpRequest) -> HttpResponse:
    slides = Slide.objects.visible_to(request.user).select_related("owner")
    context = {"section": "slides", "slides": slides, "form": PairForm(request.user), "Status": SlideStatus}
    return render(request, "viewer/library.html", context)


@require_safe
def slide(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Slide.objects.visible_to(request.user), pk=pk)
    if found.status == SlideStatus.FAILED:
        messages.error(request, found.error)
        return redirect("library")
    context = {"section": "slides", "slide": found, "data": viewer_data(found)}
    return render(request, "viewer/slide.html", context)


@require_POST
def state_scale(request: HttpRequest, pk: int) -> HttpResponse:
    """um/px of a slide whose file does not say it; one number stands for both axes."""
    found = get_object_or_404(Slide.objects.visible_to(request.user), pk=pk)
    form = ScaleForm(request.POST)
    if form.is_valid():
        mpp_x = form.cleaned_data["mpp_x"]
        mpp_y = form.cleaned_data["mpp_y"] or mpp_x
        _try(request, f"{found.name}: {mpp_x:g} µm/px noted.", services.state_mpp, found, mpp_x, mpp_y)
    else:
        messages.error(request, _first_error(form))
    return redirect("library")


@require_POST
def make_pair(request: HttpRequest) -> HttpResponse:
    form = PairForm(request.user, request.POST)
    if not form.is_valid():
        messages.error(request, _first_error(form))
        return redirect("library")
    facts = form.cleaned_data
    try:
        pair = services.make_pair(
            facts["fixed"], facts["moving"], request.user, facts["sections"], facts["name"]
        )
    except InvalidInput as error:
        messages.error(request, error.message)
        return redirect("library")
    return redirect("pair", pk=pair.pk)


def _try(request: HttpRequest, done: str, action: Any, *args: Any) -> None:
    try:
        action(*args)
    except InvalidInput as error:
        messages.error(request, error.message)
    else:
        messages.success(request, done)


def _first_error(form: forms.Form) -> str:
    name, errors = next(iter(form.errors.items()))
    return f"{form.fields[name].label}: {errors[0]}" if name in form.fields else str(errors[0])
