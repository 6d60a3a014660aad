"""What is written down of one measurement: plain numbers, errors against the truth first."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.case import Case, Truth
from benchmarks.methods import Answer
from registration.engine.errors import EngineError
from registration.engine.evaluation.field import folding_share
from registration.engine.evaluation.landmarks import tre_px, unregistered
from registration.engine.expected import UNMEASURED_PX, ErrorMap
from registration.engine.geometry import Box
from registration.engine.inputs import frame
from registration.engine.transforms.base import Transform

Figures = dict[str, Any]
#: Cells of the grid on which folds are looked for, along a region's longer side; at most 16 px apart there.
FOLD_CELLS = 256
#: A square of the error map counts where this many points of truth lie in it.
POINTS_IN_SQUARE = 4


def of_answer(case: Case, answer: Answer, *, squares: bool = False) -> Figures:
    """squares : the error map against the truth too, square by square."""
    figures: Figures = {
        "seconds": answer.seconds,
        "without_reading": answer.seconds - answer.reading,
        "align_seconds": answer.align_seconds,
        "found": answer.found,
        "section": answer.section,
        "same_section": case.same_section,
    }
    if answer.result is not None:
        verdict = answer.result.verdict
        figures["verdict"] = verdict.level.value
        figures["reasons"] = [reason.code for reason in verdict.reasons]
    if case.truth is None:
        return figures
    figures |= _errors(answer.transform, case, case.truth)
    if squares and answer.result is not None and answer.result.expected is not None:
        figures["squares"] = stated_and_true(answer.result.expected, answer.transform, case.truth)
    return figures


def of_refusal(error: EngineError) -> Figures:
    """An input that the engine won't take is refused, with a reason and without a transform."""
    return {"verdict": "refused", "reasons": [error.code], "found": False}


def _errors(transform: Transform, case: Case, truth: Truth) -> Figures:
    errors = tre_px(transform, truth.fixed, truth.moving)
    errors = np.where(np.isfinite(errors), errors, truth.diagonal)
    before = unregistered(frame("fixed", case.fixed), frame("moving", case.moving))
    initial = tre_px(before, truth.fixed, truth.moving)
    return {
        "points": len(errors),
        "median": float(np.median(errors)),
        "p90": float(np.percentile(errors, 90)),
        "max": float(errors.max()),
        "mean": float(errors.mean()),
        "initial": float(np.median(initial)),
        "robust": float(np.mean(errors < initial)),
        "diagonal": truth.diagonal,
        "overlap": case.overlap,
        "folding": _folding(transform, truth),
    }


def _folding(transform: Transform, truth: Truth) -> float:
    """Share of the cells between the points of truth that are folded."""
    left, top = np.floor(truth.fixed.min(axis=0)).astype(int)
    right, bottom = np.ceil(truth.fixed.max(axis=0)).astype(int)
    box = Box(int(left), int(top), max(1, int(right - left)), max(1, int(bottom - top)))
    return folding_share(transform, box, max(1.0, min(16.0, max(box.width, box.height) / FOLD_CELLS)))


def stated_and_true(expected: ErrorMap, transform: Transform, truth: Truth) -> list[list[float]]:
    """A row for each square of the error map with enough truth in it: the p90 that is stated (fixed level-0
    px), the true p90, the number of points, and of those the ones whose error stays below what is stated.
    Points whose error is below the truth's own noise are left out.
    """
    errors = tre_px(transform, truth.fixed, truth.moving) / _scale(transform, truth)
    known = errors >= truth.noise
    rows, columns = expected.p90.shape
    column, row = ((truth.fixed - expected.origin) // expected.spacing).astype(int).T
    inside = known & (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    squares = row * columns + column
    found = []
    for square in np.unique(squares[inside]):
        here = errors[inside & (squares == square)]
        stated = float(expected.p90.ravel()[square])
        if len(here) >= POINTS_IN_SQUARE and stated < UNMEASURED_PX:
            below = int((here <= stated).sum())
            found.append([round(stated, 4), round(float(np.percentile(here, 90)), 4), len(here), below])
    return found


def _scale(transform: Transform, truth: Truth) -> float:
    """Moving px per fixed px, about the truth's middle."""
    middle: NDArray[np.float64] = truth.fixed.mean(axis=0)
    corners = transform(middle + 64.0 * np.array([(0, 0), (1, 0), (0, 1)]))
    along, down = (corners[1:] - corners[0]) / 64.0
    return math.sqrt(max(1e-6, abs(float(along[0] * down[1] - along[1] * down[0]))))
