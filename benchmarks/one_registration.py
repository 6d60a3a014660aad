"""One measurement in a process of its own, so that its seconds and its peak memory are its own.

    python -m benchmarks.one_registration GROUP CASE METHOD

Prints one JSON object.
"""

from __future__ import annotations

import json
import sys

from benchmarks.clock import forget_peak, peak_mb
from benchmarks.figures import Figures, of_answer, of_refusal
from benchmarks.groups import groups
from benchmarks.methods import answer
from registration.engine.errors import EngineError

#: Kinds of groups whose tables need the error map.
WITH_SQUARES = ("expected", "lost")


def main(group_name: str, case_name: str, method: str) -> None:
    group = next(group for group in groups() if group.name == group_name)
    try:
        case = group.make(case_name)
    except LookupError as missing:
        print(json.dumps({"skipped": str(missing)}))
        return
    forget_peak()
    try:
        given = answer(method, case)
    except EngineError as error:
        figures: Figures = of_refusal(error)
    else:
        peak = peak_mb() if given.peak_mb is None else given.peak_mb
        figures = {"peak_mb": peak} | of_answer(case, given, squares=group.kind in WITH_SQUARES)
    print(json.dumps(figures | {"label": case.label}))


if __name__ == "__main__":
    main(*sys.argv[1:])
