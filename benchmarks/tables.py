"""A group's figures as a table: one builder for each kind of group."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from benchmarks.figures import Figures
from benchmarks.methods import NOT_LOOKED_AT
from benchmarks.sums import (
    WRONG,
    Runs,
    amrtre,
    covered,
    largest,
    let_through,
    mean,
    median,
    missed,
    relative,
    right_refused,
    seen,
    spearman,
    squares_of,
    usable,
    wrong_with,
)

#: Method -> case -> figures.
Measured = Mapping[str, Runs]
Table = list[list[str]]
LEVELS = ("good", "check", "refused")
#: The method that the targets are about.
OURS = "accurate"
#: Regions whose cells match, those whose cells do not, and both.
_KINDS = {"same section": (True,), "consecutive sections": (False,), "all": (True, False, None)}
#: A square that states as much says that the fit is lost there.
LOST_PX = 100.0
#: Seconds are set beside these peers' on the same cases.
COMPARED = ("elastix", "roialign")


def table(kind: str, measured: Measured) -> Table:
    return _BUILDERS[kind](measured)


def sections(every: Mapping[str, Measured]) -> Table:
    """What was said of the two slides, of all groups' pairs of which it is known; of those not refused."""
    rows = [["the slides are", "pairs", "same", "consecutive", "unknown", "nothing said"]]
    for same, words in ((True, "one section stained twice"), (False, "consecutive sections")):
        runs = [
            run
            for measured in every.values()
            for run in measured.get(OURS, {}).values()
            if run.get("same_section") is same
            and run.get("verdict") != "refused"
            and run.get("section") != NOT_LOOKED_AT
        ]
        said = Counter(run.get("section") for run in runs)
        counts = [str(said[kind]) for kind in ("same", "consecutive", "unknown", None)]
        rows.append([words, str(len(runs)), *counts])
    return rows


def misses(kind: str, measured: Measured) -> list[str]:
    """The cases of a sweep or of wrong pairs that went wrong with the method under test, named."""
    failed = {"sweep": missed, "wrong": let_through}.get(kind)
    if failed is None:
        return []
    return [
        f"{case.partition(':')[0]} {run.get('label', '')}: {run.get('verdict', 'crashed')}"
        + (f", median error {100 * relative(run):.2f} %" if "median" in run else "")
        for case, run in measured.get(OURS, {}).items()
        if failed(run)
    ]


def markdown(rows: Table) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _consecutive(measured: Measured) -> Table:
    head = ["method", "cases", "AMrTRE %", "MMrTRE %", "worst pair %", "robust %", "folds %"]
    rows = [[*head, "seconds", "peak MB", "good / check / refused", "x faster than elastix / roialign"]]
    for method, runs in measured.items():
        good = usable(runs)
        medians = [100 * relative(run) for run in good]
        rows.append(
            [method, _count(runs, good)]
            + [_two(value) for value in (amrtre(runs), median(medians), largest(medians))]
            + [f"{100 * mean(run['robust'] for run in good):.1f}", _folds(good)]
            + [*_cost(runs), _levels(runs), _faster(measured, method)]
        )
    return rows


def _region(measured: Measured) -> Table:
    head = ["method", "cases", "median px", "p90 px", "max px", "folds %", "seconds", "peak MB"]
    rows = [[*head, "good / check / refused", "x faster than elastix / roialign"]]
    for method, runs in measured.items():
        good = usable(runs)
        rows.append(
            [method, _count(runs, good)]
            + [_two(_middle(good, key)) for key in ("median", "p90")]
            + [_two(largest(run["max"] for run in good)), _folds(good)]
            + [*_cost(runs), _levels(runs), _faster(measured, method)]
        )
    return rows


def _sweep(measured: Measured) -> Table:
    head = ["method", "cases", "solved (median <= 2 %)", "wrong, good", "wrong, check", "wrong, refused"]
    rows = [[*head, "right refused (overlap >= 40 %)", "median of the solved %", "seconds", "peak MB"]]
    for method, runs in measured.items():
        good = usable(runs)
        solved = [run for run in good if relative(run) <= WRONG]
        rows.append(
            [method, _count(runs, good), f"{len(solved)} ({_share(len(solved), len(good))})"]
            + [str(wrong_with(runs, level)) if _judges(runs) else "-" for level in LEVELS]
            + [str(right_refused(runs)) if _judges(runs) else "-"]
            + [_two(100 * median(relative(run) for run in solved)), *_cost(runs)]
        )
    return rows


def _wrong(measured: Measured) -> Table:
    rows = [["method", "pairs", "refused", "check", "good", "seconds", "peak MB"]]
    for method, runs in measured.items():
        levels = Counter(run.get("verdict", "crashed") for run in runs.values())
        counts = [str(levels[level]) for level in reversed(LEVELS)]
        rows.append([method, _count(runs, list(runs.values())), *counts, *_cost(runs)])
    return rows


def _lost(measured: Measured) -> Table:
    """Named one by one: what was stated beside what was true."""
    rows = [
        ["case", "median px", "p90 px", "stated p90 px (median square)", "verdict", "found again or seen"]
    ]
    for runs in measured.values():
        for case, run in runs.items():
            stated = median(square[0] for square in run.get("squares", []))
            errors = [_two(run.get(key, float("nan"))) for key in ("median", "p90")]
            level = str(run.get("verdict", "crashed"))
            rows.append([case, *errors, _two(stated), level, "yes" if seen(run) else "NO"])
    return rows


def _expected(measured: Measured) -> Table:
    head = ["regions", "cases", "squares", "of them stated as lost %", "stated p90 covers %", "Spearman"]
    rows = [[*head, "true p90 px (5 to 95 %)", "good / check / refused"]]
    runs = measured.get(OURS, {})
    for words, kinds in _KINDS.items():
        chosen = {case: run for case, run in runs.items() if run.get("same_section") in kinds}
        squares = squares_of(chosen)
        true = sorted(square[1] for square in squares)
        span = f"{_two(true[len(true) // 20])} to {_two(true[-1 - len(true) // 20])}" if true else "-"
        lost = 100 * mean(float(square[0] >= LOST_PX) for square in squares)
        shares = [f"{lost:.1f}", f"{100 * covered(squares):.1f}", _two(spearman(squares))]
        rows.append([words, str(len(chosen)), str(len(squares)), *shares, span, _levels(chosen)])
    return rows


def _large(measured: Measured) -> Table:
    rows = [["method", "seconds", "of them without reading", "peak MB", "median px", "p90 px", "verdict"]]
    for method, runs in measured.items():
        good = usable(runs)
        middle = [f"{_middle(good, key):.1f}" for key in ("seconds", "without_reading")]
        errors = [_two(_middle(good, key)) for key in ("median", "p90")]
        rows.append([method, *middle, _cost(runs)[1], *errors, _levels(runs)])
    return rows


_BUILDERS: Mapping[str, Callable[[Measured], Table]] = {
    "consecutive": _consecutive,
    "region": _region,
    "sweep": _sweep,
    "wrong": _wrong,
    "lost": _lost,
    "expected": _expected,
    "large": _large,
}


def _judges(runs: Runs) -> bool:
    return any("verdict" in run for run in runs.values())


def _count(runs: Runs, good: Sequence[Figures]) -> str:
    nothing = sum(not run.get("found", False) for run in runs.values())
    words = [str(len(runs))]
    if len(runs) > len(good):
        words.append(f"{len(runs) - len(good)} crashed")
    if nothing > len(runs) - len(good):
        words.append(f"{nothing} found nothing")
    return ", ".join(words)


def _cost(runs: Runs) -> list[str]:
    seconds = [run["seconds"] for run in runs.values() if "seconds" in run]
    peaks = [run["peak_mb"] for run in runs.values() if "peak_mb" in run]
    return [f"{median(seconds):.1f}", f"{max(peaks):.0f}" if peaks else "-"]


def _faster(measured: Measured, method: str) -> str:
    """Median of the ratios on the cases that both ran on."""
    if method == "identity":
        return ""
    ratios = []
    for peer in COMPARED:
        both = measured.get(peer, {}).keys() & measured[method].keys()
        pairs = [
            (measured[peer][case].get("seconds"), measured[method][case].get("seconds")) for case in both
        ]
        known = [one / other for one, other in pairs if one and other]
        ratios.append(f"{median(known):.1f}" if known and peer != method else "-")
    return " / ".join(ratios)


def _levels(runs: Runs) -> str:
    levels = Counter(run.get("verdict") for run in runs.values())
    return " / ".join(str(levels[level]) for level in LEVELS) if _judges(runs) else "no verdict"


def _folds(runs: Sequence[Figures]) -> str:
    return f"{100 * largest(run['folding'] for run in runs):.3f}".rstrip("0").rstrip(".")


def _middle(runs: Sequence[Figures], key: str) -> float:
    return median(run[key] for run in runs)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _two(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
