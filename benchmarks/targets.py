"""What was asked for beside what was measured: misses are shown, not hidden, and stop nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.sums import (
    Runs,
    amrtre,
    covered,
    crashed,
    largest,
    mean,
    median,
    relative,
    right_refused,
    seen,
    spearman,
    squares_of,
    usable,
    wrong_with,
)
from benchmarks.tables import OURS, Measured


@dataclass(frozen=True)
class Target:
    """met : None where it was not measured."""

    what: str
    wanted: str
    measured: str
    met: bool | None

    @property
    def row(self) -> list[str]:
        words = {True: "met", False: "MISSED", None: "not measured"}
        return [self.what, self.wanted, self.measured, words[self.met]]


HEAD = ["what", "target", "measured", ""]


def targets(measured: Mapping[str, Measured]) -> list[list[str]]:
    """measured : group -> method -> case -> figures. Returns table rows, the head first."""
    rows = [HEAD]
    for find in (_landmarks, _turned, _restained, _warped, _sweep, _wrong, _expected, _lost, _large):
        rows += [target.row for target in find(measured)]
    return rows


def _landmarks(measured: Mapping[str, Measured]) -> Iterator[Target]:
    ours, elastix = _of(measured, "landmarks"), _of(measured, "landmarks", "elastix")
    name = "landmarks, all ordered pairs"
    yield _below(f"{name}: AMrTRE", amrtre(ours), 0.60, "%")
    yield _above(f"{name}: robustness", 100 * mean(run["robust"] for run in usable(ours)), 97, "%")
    gaps = [
        100 * (relative(ours[case]) - relative(elastix[case]))
        for case in ours.keys() & elastix.keys()
        if "median" in ours[case] and "median" in elastix[case]
    ]
    yield _below(f"{name}: each pair, beyond elastix", largest(gaps), 0.02, "%")


def _turned(measured: Mapping[str, Measured]) -> Iterator[Target]:
    turned, upright = _of(measured, "turned"), _of(measured, "landmarks")
    yield _below("turned and mirrored: worst pair", 100 * largest(map(relative, usable(turned))), 2.0, "%")
    ratio = amrtre(turned) / amrtre(upright) if upright else math.nan
    yield _below("turned and mirrored: AMrTRE, times the unturned", ratio, 1.10, "")


def _restained(measured: Mapping[str, Measured]) -> Iterator[Target]:
    runs = _of(measured, "restained")
    for key, limit in (("median", 0.35), ("p90", 0.75), ("max", 2.5)):
        yield _below(f"restained region: {key}", largest(run[key] for run in usable(runs)), limit, "px")


def _warped(measured: Mapping[str, Measured]) -> Iterator[Target]:
    for shift in (10, 30):
        runs = {
            case: run
            for case, run in _of(measured, "warped").items()
            if case.startswith(f"{shift} px") and "median" in run
        }
        name = f"known warps of {shift} px, worst of them"
        yield _below(f"{name}: median", largest(run["median"] for run in runs.values()), 0.8, "px")
        yield _below(f"{name}: p90", largest(run["p90"] for run in runs.values()), 2.0, "px")
        yield _below(f"{name}: folds", 100 * largest(run["folding"] for run in runs.values()), 0, "%")


def _sweep(measured: Mapping[str, Measured]) -> Iterator[Target]:
    runs = _of(measured, "sweep")
    count = len(runs) or math.nan
    yield _above("sweep: cases", len(runs) or math.nan, 200, "")
    yield _below("sweep: wrong with verdict good", wrong_with(runs, "good") * count / count, 0, "")
    yield _below("sweep: wrong with verdict check", 100 * wrong_with(runs, "check") / count, 1, "%")
    yield _below("sweep: right pairs refused", 100 * right_refused(runs) / count, 1, "%")
    yield _below("sweep: crashed", crashed(runs) * count / count, 0, "")


def _wrong(measured: Mapping[str, Measured]) -> Iterator[Target]:
    runs = _of(measured, "wrong")
    refused = sum(run.get("verdict") == "refused" for run in runs.values())
    share = 100 * refused / len(runs) if runs else math.nan
    yield _above("wrong pairs refused", share, 100, "%")


def _expected(measured: Mapping[str, Measured]) -> Iterator[Target]:
    squares = squares_of(_of(measured, "expected"))
    share = 100 * covered(squares)
    met = None if math.isnan(share) else 85 <= share <= 95
    yield Target("stated p90 covers", "85 to 95 %", _number(share, "%"), met)
    yield _above("stated against true p90: Spearman", spearman(squares), 0.6, "")


def _lost(measured: Mapping[str, Measured]) -> Iterator[Target]:
    runs = _of(measured, "lost")
    share = 100 * mean(float(seen(run)) for run in runs.values())
    yield _above("lost fits found again or seen as lost", share, 100, "%")


def _large(measured: Mapping[str, Measured]) -> Iterator[Target]:
    region, slides = usable(_of(measured, "large")), usable(_of(measured, "slides"))
    for name, runs, seconds, peak in (
        ("8192 x 8192 region", region, 15, 700),
        ("whole slides", slides, 5, 300),
    ):
        yield _below(f"{name}: without reading", median(r["without_reading"] for r in runs), seconds, "s")
        yield _below(f"{name}: peak", largest(r["peak_mb"] for r in runs), peak, "MB")


def _of(measured: Mapping[str, Measured], group: str, method: str = OURS) -> Runs:
    return measured.get(group, {}).get(method, {})


def _below(what: str, value: float, limit: float, unit: str) -> Target:
    return _compared(what, value, limit, unit, "<=", value <= limit)


def _above(what: str, value: float, limit: float, unit: str) -> Target:
    return _compared(what, value, limit, unit, ">=", value >= limit)


def _compared(what: str, value: float, limit: float, unit: str, sign: str, met: bool) -> Target:
    return Target(
        what, f"{sign} {limit:g} {unit}".strip(), _number(value, unit), None if math.isnan(value) else met
    )


def _number(value: float, unit: str) -> str:
    return "-" if math.isnan(value) else f"{round(value, 2):g} {unit}".strip()
