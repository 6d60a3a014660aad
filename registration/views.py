"""Pages: the gallery of pairs, a pair's workspace, a registration's result, the jobs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from registration import services
from registration.engine.config import METHODS
from registration.errors import InvalidInput
from registration.joblist import in_print, job_row, live_rows, region_name, rows
from registration.models import LIVE, JobStatus, Layout, Registration, Review
from registration.pages import command_line, pair_cards
from registration.results import overlay_data, result_facts
from viewer.models import SlidePair
from viewer.views import viewer_data

PATCH_SIZES = (128, 256, 512, 1024)
DEFAULT_METHOD = "accurate"


class ArchiveForm(forms.Form):
    """The bounds of a patch are the service's to say: its message names the value and the remedy."""

    patch_size = forms.IntegerField(label="Patch size (px)", initial=256)
    layout = forms.ChoiceField(choices=Layout.choices, initial=Layout.NATIVE)
    override_note = forms.CharField(
        max_length=2000, required=False, label="Why export it although it was refused?"
    )


class ReviewForm(forms.Form):
    decision = forms.ChoiceField(choices=[each for each in Review.choices if each[0]])
    note = forms.CharField(max_length=2000, required=False)


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    pairs = SlidePair.objects.visible_to(request.user).select_related("fixed", "moving", "owner")
    context = {"section": "pairs", "cards": pair_cards(pairs), "running": live_rows(request.user)}
    return render(request, "pairs/home.html", context)


@require_safe
def pair(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(
        SlidePair.objects.visible_to(request.user).select_related("fixed", "moving"), pk=pk
    )
    slides = {"he": viewer_data(found.fixed), "ihc": viewer_data(found.moving)}
    context = {
        "section": "pairs",
        "pair": found,
        "data": {"pair": found.pk, "slides": slides, "sections": found.sections},
        "known": found.fixed.mpp_x and found.moving.mpp_x,
        "patch_sizes": PATCH_SIZES,
        "layouts": Layout.choices,
        "methods": METHODS.items(),
        "default_method": DEFAULT_METHOD,
    }
    return render(request, "pairs/workspace.html", context)


@require_safe
def registration(request: HttpRequest, pk: int) -> HttpResponse:
    found = _registration(request, pk)
    finished = found.status in (JobStatus.SUCCEEDED, JobStatus.REFUSED)
    context = {
        "section": "pairs",
        "registration": found,
        "pair": found.region.pair,
        "row": job_row(found),
        "region_name": region_name(found),
        "finished": finished,
        "live": found.status in LIVE,
        "facts": result_facts(found) if finished else None,
        "command": command_line(found),
        "overlay": overlay_data(found) if finished else None,
        "form": ArchiveForm(),
        "archives": [job_row(each) for each in found.archives.order_by("-pk")],
        "Review": Review,
    }
    return render(request, "pairs/result.html", context)


@require_POST
def review(request: HttpRequest, pk: int) -> HttpResponse:
    found = _registration(request, pk)
    form = ReviewForm(request.POST)
    if form.is_valid():
        _try(
            request,
            services.review,
            found,
            request.user,
            form.cleaned_data["decision"],
            form.cleaned_data["note"],
        )
    return redirect("registration", pk=pk)


@require_POST
def archive(request: HttpRequest, pk: int) -> HttpResponse:
    found = _registration(request, pk)
    form = ArchiveForm(request.POST)
    if form.is_valid():
        _try(request, services.request_archive, found, request.user, **form.cleaned_data)
    else:
        messages.error(request, "Give the patch size in whole px, and choose a layout.")
    return redirect("registration", pk=pk)


@require_safe
def jobs(request: HttpRequest) -> HttpResponse:
    return render(request, "pairs/jobs.html", {"section": "jobs", "rows": rows(request.user)})


def _registration(request: HttpRequest, pk: int) -> Registration:
    visible = Registration.objects.visible_to(request.user)
    related = visible.select_related(
        "region__pair__fixed", "region__pair__moving", "alignment", "reviewed_by"
    )
    return get_object_or_404(related, pk=pk)


def _try(request: HttpRequest, action: Any, *args: Any, **kwargs: Any) -> None:
    try:
        action(*args, **kwargs)
    except InvalidInput as error:
        messages.error(request, in_print(error.message))
