"""What the pages say of a result."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path

import pytest

from registration.engine import reasons
from registration.engine.result import Reason
from registration.management.commands.align import Command
from registration.models import Registration
from registration.pages import command_line
from registration.results import result_facts


def test_the_command_shown_is_one_that_align_takes(queued: Registration) -> None:
    """With a region of the other slide, and um/px that a person stated for each axis."""
    region, slide = queued.region, queued.region.pair.fixed
    region.frame, region.x, region.y, region.width, region.height = "ihc", 11, 22, 333, 444
    slide.mpp_x, slide.mpp_y, slide.mpp_stated = 0.25, 0.26, True
    slide.path = "/slides/case 7's/h&e.svs"
    queued.export_options = [{"layout": "roialign", "patch_size": 64}]
    words = shlex.split(command_line(queued))
    assert words[:3] == [".venv/bin/python", "manage.py", "align"]
    asked = vars(Command().create_parser("manage.py", "align").parse_args(words[3:]))
    assert (asked["he"], asked["fixed_mpp"], asked["moving_mpp"]) == (Path(slide.path), (0.25, 0.26), None)
    assert [asked[name] for name in ("frame", "x", "y", "width", "height")] == ["ihc", 11, 22, 333, 444]
    assert [asked[name] for name in ("layout", "patch_size", "method")] == ["roialign", 64, "accurate"]


def test_a_grid_on_the_ihc_has_no_command(queued: Registration) -> None:
    queued.grid = "ihc"
    assert command_line(queued) == ""


def test_what_the_command_cannot_be_told_is_not_shown_as_one(queued: Registration) -> None:
    queued.alignment.landmarks = [{"he": [1.0, 2.0], "ihc": [3.0, 4.0], "weight": 1.0}]
    assert command_line(queued) == ""


@pytest.mark.parametrize(
    ("verdict", "reason", "method", "words", "advised"),
    [
        ("good", None, "accurate", "fitted to the nuclei", False),
        ("check", reasons.region_level_accuracy(), "accurate", "cells do not match", False),
        ("check", reasons.region_level_accuracy(), "rigid", "Turn, shift and uniform scale only, of", False),
        ("check", reasons.region_level_accuracy(), "roialign", "ORB", False),
        ("check", reasons.rigid_only(), "fast", "the few cells that match", False),
        ("check", reasons.landmarks_left_out(1, 3), "accurate", "fitted to the nuclei", False),
        ("refused", reasons.no_agreement(), "accurate", "Tried, and not confirmed: affine", True),
        ("refused", reasons.not_the_same_tissue(0.1, 40), "accurate", "Tried", True),
        ("refused", reasons.not_reproducible(0.1, 0.02), "accurate", "Tried", True),
    ],
)
def test_what_was_done_and_landmarks_are_told(
    queued: Registration, verdict: str, reason: Reason | None, method: str, words: str, advised: bool
) -> None:
    queued.verdict, queued.method, queued.metrics = verdict, method, {"box": [0, 0, 64, 64]}
    queued.reasons = [] if reason is None else [asdict(reason)]
    facts = result_facts(queued)
    assert words in facts.method
    assert facts.wants_landmarks == advised
