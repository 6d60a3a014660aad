"""What one measurement is about: two images, where to look, and the truth."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Box, Points
from registration.engine.source import PixelSource
from registration.engine.transforms.base import Transform

ROOT = Path(__file__).resolve().parent.parent
#: Everything that the benchmark makes; ignored by git.
OUT = ROOT / "bench-out"
DATA = Path(os.environ.get("SLIDEPAIR_TEST_DATA") or ROOT / "../shared/data")


@dataclass(frozen=True, eq=False)
class Truth:
    """fixed, moving : (N, 2), xy, corresponding level-0 px. diagonal : what rTRE is divided by, moving px.

    noise : the truth's own error, fixed level-0 px; smaller errors say nothing.
    """

    fixed: Points
    moving: Points
    diagonal: float
    noise: float = 0.0


@dataclass(frozen=True, eq=False)
class Case:
    """box : the region, fixed level-0 px; None: the slides as a whole. truth : None where the two images do
    not show the same tissue. overlap : the share of the fixed tissue that the moving image shows too.

    start : given to the region's registration instead of the slides' alignment, where it is not None.
    same_section : whether cells match one to one, None where that is not known. label : what was drawn, where
    that was left to chance.
    """

    fixed: PixelSource
    moving: PixelSource
    box: Box | None
    truth: Truth | None
    overlap: float = 1.0
    start: Transform | None = None
    same_section: bool | None = None
    label: str = ""


@dataclass(frozen=True)
class Group:
    """names : of its cases, cheap to list. make : the case of a name. kind : which table, see tables.py.

    methods : each with the step of the cases it runs on (1: all). alone : nothing else may run meanwhile,
    because seconds count. quick : how many of its cases a quick run takes. needs : a folder of DATA without
    which the group is left out.
    """

    name: str
    title: str
    kind: str
    names: tuple[str, ...]
    make: Callable[[str], Case]
    methods: Mapping[str, int]
    alone: bool = True
    quick: int = 1
    needs: str = ""

    def runs(self, cases: int | None = None) -> list[tuple[str, str]]:
        """(case, method), in the order in which they are measured; of the first `cases` if that is given."""
        names = self.names[:cases]
        return [
            (name, method)
            for number, name in enumerate(names)
            for method, step in self.methods.items()
            if number % step == 0
        ]


def grid(box: Box, step: float) -> NDArray[np.float64]:
    """(N, 2), xy: the middles of the squares of `step` px that lie in the box."""
    xs = np.arange(box.x + step / 2, box.right, step)
    ys = np.arange(box.y + step / 2, box.bottom, step)
    return np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
