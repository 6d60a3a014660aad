"""What a registration gives back: values only, the same for every method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registration.engine.config import RegistrationConfig
    from registration.engine.expected import ErrorMap
    from registration.engine.geometry import Box
    from registration.engine.transforms.base import Transform

#: Called with the stage's name and the per cent of the whole; may raise Cancelled.
OnProgress = Callable[[str, int], None]


def no_progress(stage: str, percent: int) -> None:
    """The default: nobody is watching."""


class Level(StrEnum):
    GOOD = "good"
    CHECK = "check"
    REFUSED = "refused"


@dataclass(frozen=True)
class Reason:
    """code : short, stable. message : one sentence for a pathologist."""

    code: str
    message: str


@dataclass(frozen=True)
class Verdict:
    level: Level
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Spread:
    """Median and 90th percentile of an error: of whole slides the distances at held-out matches, of a region
    what is expected.
    """

    median: float
    p90: float


class SectionKind(StrEnum):
    SAME = "same"
    CONSECUTIVE = "consecutive"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Section:
    """What the evidence says about the two slides: one section stained twice, or two of a stack.

    share : of the cells looked at whose free match agrees, 0 to 1; None where none could be looked at.
    message : one sentence with the accuracy that is possible, for a pathologist.
    """

    kind: SectionKind
    share: float | None
    message: str


@dataclass(frozen=True)
class StageReport:
    """seconds : wall time. residual_px : level-0 px of the fixed slide left after the stage, if measured."""

    name: str
    seconds: float
    residual_px: float | None = None


@dataclass(frozen=True)
class RegistrationResult:
    """transform : moving_from_fixed, level-0 px. error_um : None if um/px is unknown. box : fixed frame.

    expected : of a region; None for whole slides. section : of whole slides that are not refused; None for a
    region.
    """

    transform: Transform
    verdict: Verdict
    error_px: Spread | None
    error_um: Spread | None
    box: Box | None
    config: RegistrationConfig
    engine_version: str
    stages: tuple[StageReport, ...] = ()
    evidence: dict[str, float] = field(default_factory=dict)
    expected: ErrorMap | None = None
    section: Section | None = None

    @property
    def refused(self) -> bool:
        return self.verdict.level is Level.REFUSED
