"""What the pages show of pairs and results, computed from the records."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from registration.joblist import VERDICTS, JobRow, job_row
from registration.models import Frame, JobStatus, PairAlignment, Registration
from registration.regions import slide_of
from viewer.models import Slide, SlidePair

_UNIT = {"error_um": "µm", "error_px": "px"}


@dataclass(frozen=True)
class PairCard:
    """A pair of the gallery. turn : SVG matrix that lays the IHC slide over the H&E, empty while unknown."""

    pair: SlidePair
    row: JobRow | None
    turn: str


def pair_cards(pairs: Iterable[SlidePair]) -> list[PairCard]:
    pairs = list(pairs)
    newest: dict[int, PairAlignment] = {}
    usable: dict[int, PairAlignment] = {}
    for alignment in PairAlignment.objects.filter(pair__in=pairs).select_related("pair").order_by("version"):
        newest[alignment.pair_id] = alignment
        if alignment.status == JobStatus.SUCCEEDED:
            usable[alignment.pair_id] = alignment
    return [_card(pair, newest.get(pair.pk), usable.get(pair.pk)) for pair in pairs]


def _card(pair: SlidePair, newest: PairAlignment | None, usable: PairAlignment | None) -> PairCard:
    turn = _svg_matrix(usable.affine) if usable and usable.affine else ""
    return PairCard(pair, job_row(newest) if newest else None, turn)


def _svg_matrix(affine: list[list[float]]) -> str:
    """matrix(...) that maps moving to fixed px: the inverse of moving_from_fixed."""
    (a, c, e), (b, d, f), _ = affine
    size = a * d - b * c
    inverse = (d, -b, -c, a, c * f - d * e, b * e - a * f)
    return f"matrix({' '.join(f'{value / size:.8g}' for value in inverse)})"


@dataclass(frozen=True)
class ResultFacts:
    """verdict : sign and word. median, p90 : with unit, or "–". seconds : per stage.

    box : x, y, width, height on the slide that carries the grid.
    """

    verdict: str
    median: str
    p90: str
    seconds: dict[str, float]
    total_seconds: float
    box: tuple[int, int, int, int]
    size_um: str


def result_facts(registration: Registration) -> ResultFacts:
    metrics = registration.metrics
    seconds = metrics.get("seconds", {})
    box = metrics["box"]
    return ResultFacts(
        verdict=VERDICTS.get(registration.verdict, "No verdict"),
        median=_error(registration, "median"),
        p90=_error(registration, "p90"),
        seconds=seconds,
        total_seconds=sum(seconds.values()),
        box=(box[0], box[1], box[2], box[3]),
        size_um=_size_um(registration, box[2], box[3]),
    )


def _error(registration: Registration, name: str) -> str:
    """In um where um/px is known, else in px."""
    for key, unit in _UNIT.items():
        spread = registration.metrics.get(key)
        if spread:
            return f"{spread[name]:.2f} {unit}"
    return "–"


def _size_um(registration: Registration, width: int, height: int) -> str:
    slide = grid_slide(registration)
    if not (slide.mpp_x and slide.mpp_y):
        return ""
    return f"{width * slide.mpp_x:.0f} × {height * slide.mpp_y:.0f} µm"


def grid_slide(registration: Registration) -> Slide:
    """The slide that carries the patch grid: the pictures and the box are in its frame."""
    return slide_of(registration.region.pair, registration.grid)


def overlay_data(registration: Registration) -> dict[str, Any]:
    """What the browser needs to lay one stain over the other; sizes in level-0 px of the grid's slide."""
    slide, (_, _, width, height) = grid_slide(registration), registration.metrics["box"]
    names = {"fixed": "fixed.jpg", "moving": "moving.jpg"}
    if registration.grid != Frame.HE:
        names = {"fixed": "moving.jpg", "moving": "fixed.jpg"}
    return {
        "name": "The registered region",
        "width": width,
        "height": height,
        "um_per_px": [slide.mpp_x, slide.mpp_y] if slide.mpp_x and slide.mpp_y else None,
        "he": reverse("registration-file", args=[registration.pk, names["fixed"]]),
        "ihc": reverse("registration-file", args=[registration.pk, names["moving"]]),
    }


def command_line(registration: Registration) -> str:
    """The same work without a server; empty for a grid on the IHC, which the command does not offer."""
    if registration.grid != Frame.HE:
        return ""
    region, pair = registration.region, registration.region.pair
    export = (registration.export_options or [{}])[0]
    options: list[tuple[str, object]] = [
        ("--he", pair.fixed.path),
        ("--ihc", pair.moving.path),
        ("--x", region.x),
        ("--y", region.y),
        ("--width", region.width),
        ("--height", region.height),
        ("--patch-size", export.get("patch_size", 256)),
        ("--layout", export.get("layout", "native")),
        ("--frame", region.frame),
        ("--method", registration.method),
        ("--out", f"registration-{registration.pk}"),
    ]
    for flag, slide in (("--fixed-mpp", pair.fixed), ("--moving-mpp", pair.moving)):
        if slide.mpp_stated:
            options.append((flag, f"{slide.mpp_x},{slide.mpp_y}"))
    words = [word for flag, value in options for word in (flag, str(value))]
    return shlex.join([".venv/bin/python", "manage.py", "align", *words])
