"""What an export is asked for and what it says in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from registration.artefacts import SlideInfo
from registration.engine.expected import ErrorMap
from registration.engine.geometry import Box
from registration.engine.transforms import Transform


@dataclass(frozen=True)
class ExportRequest:
    """fixed carries the patch grid (one of the two slides is "he", the other "ihc").

    box : level-0 px of the fixed slide. record : run_record of the registration. moving_box : where the user
    drew the region on the moving slide, level-0 px; None where it was drawn on the fixed one. expected : the
    error to be expected at each place, None where nothing is known of it.
    """

    fixed: SlideInfo
    moving: SlideInfo
    transform: Transform
    box: Box
    patch_size: int
    layout: str
    record: dict[str, Any]
    moving_box: Box | None = None
    expected: ErrorMap | None = None


@dataclass
class Outcome:
    """What a layout did. patches : pairs written. dropped : reason -> pairs. verdicts : verdict -> pairs
    written, {} for a layout that does not judge them.
    """

    patches: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
