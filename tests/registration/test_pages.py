"""What the pages say of a result."""

from __future__ import annotations

import shlex
from pathlib import Path

from registration.management.commands.align import Command
from registration.models import Registration
from registration.pages import command_line


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
