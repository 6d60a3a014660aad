"""What the page of a result says, computed from the record."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from registration.engine.config import METHODS
from registration.errormaps import PICTURE, um_of
from registration.export.native import REGION_LEVEL
from registration.joblist import VERDICTS, in_print
from registration.models import Frame, PairAlignment, Registration, Verdict
from registration.regions import slide_of
from registration.sections import disagreement, stated_section
from viewer.models import Slide

#: What a reason says that advises them; the same in static/js/sections.js.
_SET_LANDMARKS = re.compile(r"\bset\b.*\blandmarks\b")
_SIGNS = {"um": "µm", "px": "px"}
_BY_STRUCTURES = (
    "The alignment of the slides, refitted to the structures around the region: cells do not match"
)
_BY_STRUCTURES_RIGID = (
    "Turn, shift and uniform scale only, of the structures around the region: cells do not match"
)
_BY_FEW_CELLS = "Turn, shift and uniform scale only, fitted to the few cells that match"
#: The reason that says so.
_THIN = "rigid_only"
_ADVICE = {
    Verdict.GOOD: "Can be used. Keep an eye on the map of expected errors.",
    Verdict.CHECK: "Can be used once a person has looked at it: compare what is named here.",
    Verdict.REFUSED: "Not to be used: the two pictures may not show the same tissue.",
}


@dataclass(frozen=True)
class StageRow:
    """seconds, residual : with their units; residual is "" where the stage measures none."""

    name: str
    seconds: str
    residual: str


@dataclass(frozen=True)
class ResultFacts:
    """verdict : sign and word. advice : what it means. wants_landmarks : whether a reason advises them.
    numbers : label and value with unit, for the region.

    top : what the map's brightest colour stands for, "" where no map is shown: nothing vouches for that of a
    refused result. reasons : sentences. message, disagreement : of the sections. method : what was fitted.
    guided : landmarks and exclusions in words. box : x, y, width, height on the slide that carries the grid.
    """

    verdict: str
    advice: str
    wants_landmarks: bool
    numbers: tuple[tuple[str, str], ...]
    top: str
    reasons: tuple[str, ...]
    message: str
    disagreement: str
    method: str
    guided: str
    stages: tuple[StageRow, ...]
    total_seconds: float
    box: tuple[int, int, int, int]
    size_um: str


def result_facts(registration: Registration) -> ResultFacts:
    metrics, refused = registration.metrics, registration.verdict == Verdict.REFUSED
    box = metrics["box"]
    section = stated_section(registration.alignment)
    return ResultFacts(
        verdict=VERDICTS.get(registration.verdict, "No verdict"),
        advice=_ADVICE.get(Verdict(registration.verdict), ""),
        numbers=() if refused else _numbers(metrics),
        top="" if refused else _top(metrics.get("error_map")),
        wants_landmarks=any(_SET_LANDMARKS.search(reason["message"]) for reason in registration.reasons),
        reasons=tuple(in_print(reason["message"]) for reason in registration.reasons),
        message="" if section is None else in_print(section["message"]),
        disagreement=disagreement(section),
        method=_method(registration),
        guided=_guided(registration.alignment),
        stages=_stages(registration),
        total_seconds=sum(metrics.get("seconds", {}).values()),
        box=(box[0], box[1], box[2], box[3]),
        size_um=_size_um(registration, box[2], box[3]),
    )


def grid_slide(registration: Registration) -> Slide:
    """The slide that carries the patch grid: the pictures and the box are in its frame."""
    return slide_of(registration.region.pair, registration.grid)


def overlay_data(registration: Registration) -> dict[str, Any]:
    """What the browser needs to lay one stain over the other; sizes in level-0 px of the grid's slide."""
    slide, (_, _, width, height) = grid_slide(registration), registration.metrics["box"]
    mapped = registration.metrics.get("error_map") and registration.verdict != Verdict.REFUSED
    names = {"fixed": "fixed.jpg", "moving": "moving.jpg"}
    if registration.grid != Frame.HE:
        names = {"fixed": "moving.jpg", "moving": "fixed.jpg"}
    return {
        "name": "The registered region",
        "width": width,
        "height": height,
        "um_per_px": [slide.mpp_x, slide.mpp_y] if slide.mpp_x and slide.mpp_y else None,
        "he": _file(registration, names["fixed"]),
        "ihc": _file(registration, names["moving"]),
        "errors": _file(registration, PICTURE) if mapped else None,
    }


def _file(registration: Registration, name: str) -> str:
    return reverse("registration-file", args=[registration.pk, name])


def _numbers(metrics: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The error that the verdict is about, and the worst that the map states of a square."""
    error = _spread(metrics, "error")
    if error is None:
        return ()
    numbers = ("Median error", error["median"]), ("90 % below", error["p90"])
    expected = _spread(metrics, "expected_error")
    return numbers if expected is None else (*numbers, ("Worst square", expected["worst"]))


def _spread(metrics: dict[str, Any], name: str) -> dict[str, str] | None:
    """Figures with their unit: um where it is known, else px."""
    for unit, sign in _SIGNS.items():
        if spread := metrics.get(f"{name}_{unit}"):
            return {key: f"{_rounded(value)} {sign}" for key, value in spread.items()}
    return None


def _rounded(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _top(legend: dict[str, Any] | None) -> str:
    return "" if legend is None else f"{legend['top']:g} {_SIGNS[legend['unit']]}"


def _method(registration: Registration) -> str:
    """What was fitted, which is not always what the method would fit."""
    asked = METHODS.get(registration.method, "")
    codes = {reason["code"] for reason in registration.reasons}
    if registration.verdict == Verdict.REFUSED:
        return f"Tried, and not confirmed: {asked[:1].lower()}{asked[1:]}"
    if registration.method == "roialign":
        return asked
    if REGION_LEVEL in codes:
        return _BY_STRUCTURES_RIGID if registration.method == "rigid" else _BY_STRUCTURES
    return _BY_FEW_CELLS if _THIN in codes else asked


def _guided(alignment: PairAlignment) -> str:
    landmarks, cut = len(alignment.landmarks), len(alignment.exclude_he) + len(alignment.exclude_ihc)
    words = [f"{landmarks} landmark{'s' * (landmarks != 1)}"] if landmarks else []
    words += [f"{cut} region{'s' * (cut != 1)} left out"] if cut else []
    return ", ".join(words)


def _stages(registration: Registration) -> tuple[StageRow, ...]:
    metrics, slide = registration.metrics, grid_slide(registration)
    um = um_of((slide.mpp_x, slide.mpp_y)) if slide.mpp_x and slide.mpp_y else None
    residuals = metrics.get("residual_px", {})

    def residual(name: str) -> str:
        if name not in residuals:
            return ""
        return f"{_rounded(residuals[name] * (um or 1.0))} {'px' if um is None else 'µm'}"

    seconds = metrics.get("seconds", {})
    return tuple(StageRow(name, f"{value:.1f} s", residual(name)) for name, value in seconds.items())


def _size_um(registration: Registration, width: int, height: int) -> str:
    slide = grid_slide(registration)
    if not (slide.mpp_x and slide.mpp_y):
        return ""
    return f"{width * slide.mpp_x:.0f} × {height * slide.mpp_y:.0f} µm"
