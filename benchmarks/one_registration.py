"""One registration in a process of its own, so that its time and peak memory are its own.

Prints one JSON object: errors against the truth (moving level-0 px), seconds, peak memory, verdict.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.cases import Case, cases
from registration.engine.config import preset
from registration.engine.evaluation.landmarks import tre_px
from registration.engine.pipeline import align_slides, register
from registration.engine.quality import spread
from registration.engine.result import RegistrationResult
from registration.engine.transforms.affine import AffineTransform
from viewer.wsi import open_slide

#: What the peer itself does; our check of its answer is not counted against it.
PEER_STAGES = ("reading the region", "reading the twin region", "matching keypoints")


def main(case_name: str, method: str) -> None:
    case = next(case for case in cases() if case.name == case_name)
    print(json.dumps(measured(case, method)))


def measured(case: Case, method: str) -> dict[str, object]:
    config = preset(method)
    with open_slide(case.he) as he, open_slide(case.ihc) as ihc:
        started = time.perf_counter()
        slides = align_slides(he, ihc, config).transform
        aligned = time.perf_counter()
        assert isinstance(slides, AffineTransform)
        result = register(he, ihc, case.box, config, initial=slides)
        ended = time.perf_counter()
    errors = tre_px(result.transform, case.fixed_points, case.moving_points)
    error = spread(errors)
    assert error is not None
    return {
        "median": error.median,
        "p90": error.p90,
        "max": float(errors.max()),
        "align_seconds": aligned - started,
        "seconds": _counted(result, ended - aligned),
        "peak_mb": _peak_mb(),
        "verdict": result.verdict.level.value,
    }


def _peak_mb() -> float:
    """This process's largest resident size since it began (what its parent held does not count)."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _counted(result: RegistrationResult, seconds: float) -> float:
    if result.config.method != "roialign":
        return seconds
    return sum(stage.seconds for stage in result.stages if stage.name in PEER_STAGES)


if __name__ == "__main__":
    main(*sys.argv[1:])
