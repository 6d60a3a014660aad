"""What the pages show of pairs, computed from the records, and the command that repeats a result."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from registration.constraints import NAMES, said_of
from registration.joblist import JobRow, job_row
from registration.models import Frame, JobStatus, PairAlignment, Registration
from viewer.models import SlidePair


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
    versions = PairAlignment.objects.filter(pair__in=pairs).defer("pieces", *NAMES)  # large, and not shown
    for alignment in versions.select_related("pair").order_by("version"):
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


def command_line(registration: Registration) -> str:
    """The same work without a server; empty for what the command can't repeat: a grid on the IHC, and an
    alignment with landmarks or regions left out, which it would take as files and boxes.
    """
    if registration.grid != Frame.HE or any(said_of(registration.alignment).values()):
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
