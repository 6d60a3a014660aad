"""One method on one case: ours through the engine's two entry points, a peer through its own."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.case import Case
from benchmarks.clock import Clock, TimedSource, forget_peak
from benchmarks.peers import crops, in_slides, peer
from registration.engine.config import METHODS, RegistrationConfig, preset
from registration.engine.evaluation.landmarks import unregistered
from registration.engine.inputs import frame
from registration.engine.pipeline import align_slides, register
from registration.engine.result import RegistrationResult
from registration.engine.transforms.base import Transform

IDENTITY = "identity"
#: Of the slides of a region that starts from a given transform.
NOT_LOOKED_AT = "not looked at"
PEERS = ("sift", "elastix", "roialign")
#: The peer's own stages; our check of its answer is not counted against it.
PEER_STAGES = ("reading the region", "reading the twin region", "matching keypoints")


@dataclass(frozen=True, eq=False)
class Answer:
    """seconds : of what is measured: a region's registration from its slides' alignment on, or the slides'
    alignment. reading : how much of them was spent in the slides' readers. align_seconds : of the alignment
    before a region's registration. peak_mb : where the method ran in a process of its own. section : "same",
    "consecutive" or "unknown", of the slides.
    """

    transform: Transform
    seconds: float
    result: RegistrationResult | None = None
    found: bool = True
    reading: float = 0.0
    align_seconds: float = 0.0
    peak_mb: float | None = None
    section: str | None = None


def answer(method: str, case: Case) -> Answer:
    """Raises EngineError as the engine does."""
    if method == IDENTITY:
        nothing = unregistered(frame("fixed", case.fixed), frame("moving", case.moving))
        return Answer(nothing, 0.0)
    if _by_peer(method, case):
        return _peers(method, case)
    return _region(case, preset(method)) if case.box else _slides(case, preset(method))


def _by_peer(method: str, case: Case) -> bool:
    """The `roialign` preset is for regions; whole slides are given to ORB directly."""
    return method in PEERS and not (method in METHODS and case.box is not None)


def _peers(method: str, case: Case) -> Answer:
    started = time.perf_counter()
    fixed, moving = crops(case)
    found = peer(method)(fixed, moving)
    seconds = time.perf_counter() - started if found.seconds is None else found.seconds
    transform = in_slides(found.crop_to_crop, fixed, moving)
    return Answer(transform, seconds, None, found.crop_to_crop is not None, peak_mb=found.peak_mb)


def _slides(case: Case, config: RegistrationConfig) -> Answer:
    clock = Clock()
    fixed, moving = TimedSource(case.fixed, clock), TimedSource(case.moving, clock)
    started = time.perf_counter()
    result = align_slides(fixed, moving, config)
    seconds = time.perf_counter() - started
    return Answer(result.transform, seconds, result, reading=clock.seconds, section=_section(result))


def _region(case: Case, config: RegistrationConfig) -> Answer:
    assert case.box is not None
    clock = Clock()
    fixed, moving = TimedSource(case.fixed, clock), TimedSource(case.moving, clock)
    started = time.perf_counter()
    slides = None if case.start else align_slides(fixed, moving, config)
    start = slides.transform if slides else case.start
    align_seconds = time.perf_counter() - started
    forget_peak()
    aligned, read = time.perf_counter(), clock.seconds  # the alignment's memory does not count
    result = register(fixed, moving, case.box, config, initial=start)
    seconds = time.perf_counter() - aligned
    if config.method == "roialign":
        seconds = sum(stage.seconds for stage in result.stages if stage.name in PEER_STAGES)
    section = NOT_LOOKED_AT if slides is None else _section(slides)
    reading = clock.seconds - read
    return Answer(
        result.transform, seconds, result, reading=reading, align_seconds=align_seconds, section=section
    )


def _section(result: RegistrationResult) -> str | None:
    return None if result.section is None else result.section.kind.value
