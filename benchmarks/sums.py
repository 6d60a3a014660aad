"""Sums over a group's figures that tables and targets share."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.figures import Figures

Runs = Mapping[str, Figures]
#: Stated p90, true p90, points, points below what is stated.
Squares = Sequence[Sequence[float]]
NOTHING = float("nan")
#: A fit whose median error is above this share of the diagonal is wrong.
WRONG = 0.02
#: A lost fit is found again where its median error is no more than this, px ...
FOUND_AGAIN_PX = 2.0
#: ... and seen where what is stated is at least this share of the truth.
SEEN_SHARE = 0.5
SMALLEST_OVERLAP = 0.4


def usable(runs: Runs) -> list[Figures]:
    """Those that have errors: a crash has none, nor has an input that was not taken."""
    return [run for run in runs.values() if "median" in run]


def crashed(runs: Runs) -> int:
    return sum("crashed" in run for run in runs.values())


def relative(run: Figures) -> float:
    """Median rTRE."""
    return float(run["median"]) / float(run["diagonal"])


def mean(values: Iterable[float]) -> float:
    found = list(values)
    return statistics.fmean(found) if found else NOTHING


def median(values: Iterable[float]) -> float:
    found = list(values)
    return statistics.median(found) if found else NOTHING


def largest(values: Iterable[float]) -> float:
    return max(values, default=NOTHING)


def amrtre(runs: Runs) -> float:
    """Mean over the pairs of the median rTRE, per cent."""
    return 100 * mean(relative(run) for run in usable(runs))


def wrong_with(runs: Runs, level: str) -> int:
    return sum(relative(run) > WRONG and run.get("verdict") == level for run in usable(runs))


def right_refused(runs: Runs) -> int:
    """Pairs of the same tissue that overlap enough, but are refused."""
    return sum(
        run.get("verdict") == "refused" and run.get("overlap", 1.0) >= SMALLEST_OVERLAP
        for run in runs.values()
    )


def missed(run: Figures) -> bool:
    """A right pair that was refused, or whose fit is wrong and not refused, or a crash."""
    refused = run.get("verdict") == "refused"
    if "median" not in run or refused:
        return not refused or bool(run.get("overlap", 1.0) >= SMALLEST_OVERLAP)
    return relative(run) > WRONG


def let_through(run: Figures) -> bool:
    """A wrong pair that was not refused."""
    return run.get("verdict") != "refused"


def squares_of(runs: Runs) -> list[list[float]]:
    """Of the regions that were not refused."""
    return [
        square
        for run in runs.values()
        if run.get("verdict") != "refused"
        for square in run.get("squares", [])
    ]


def covered(squares: Squares) -> float:
    """Share of the points of truth whose error stays below the p90 that is stated for their square."""
    points = sum(square[2] for square in squares)
    return sum(square[3] for square in squares) / points if points else NOTHING


def spearman(squares: Squares) -> float:
    """Rank correlation of the stated and the true p90."""
    if len(squares) < 3:
        return NOTHING
    stated, true = ([square[column] for square in squares] for column in (0, 1))
    if min(len(set(stated)), len(set(true))) < 2:
        return NOTHING
    return statistics.correlation(_ranks(stated), _ranks(true))


def seen(run: Figures) -> bool:
    """A lost fit was found again, or is refused, or states an error of at least half of what it is."""
    if run.get("verdict") == "refused" or run.get("median", float("inf")) <= FOUND_AGAIN_PX:
        return True
    stated = [square[0] for square in run.get("squares", [])]
    return bool(stated) and statistics.median(stated) >= SEEN_SHARE * float(run["p90"])


def _ranks(values: Sequence[float]) -> list[float]:
    """Ties share the middle of their places."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks, start = [0.0] * len(values), 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for place in order[start:end]:
            ranks[place] = (start + end - 1) / 2
        start = end
    return ranks
