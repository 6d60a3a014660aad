"""Pairs whose true transform is known, at points: the demo phantom, and the real pair of the test data."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Box
from registration.engine.synthetic import write_phantom_pair
from registration.engine.transforms.io import load_transform

ROOT = Path(__file__).resolve().parent.parent
PHANTOM_FOLDER = ROOT / "bench-out" / "phantom"


@dataclass(frozen=True)
class Case:
    """fixed_points, moving_points : (N, 2), xy, corresponding level-0 px inside the box."""

    name: str
    he: Path
    ihc: Path
    box: Box
    fixed_points: NDArray[np.float64]
    moving_points: NDArray[np.float64]


def cases() -> Iterator[Case]:
    """The cases that can be run here; says which one can't."""
    yield phantom_case()
    folder = Path(os.environ.get("SLIDEPAIR_TEST_DATA") or ROOT / "../shared/data") / "restained"
    if folder.is_dir():
        yield restained_case(folder)
    else:
        print(f"The real pair is left out: there is no {folder} (set SLIDEPAIR_TEST_DATA).")


def phantom_case() -> Case:
    """4096 x 4096 px in the middle of the demo pair, its truth on a grid of 64 px."""
    names = ("phantom-he.tiff", "phantom-ihc.tiff", "truth.json")
    he, ihc, truth = (PHANTOM_FOLDER / name for name in names)
    if not truth.is_file():
        PHANTOM_FOLDER.mkdir(parents=True, exist_ok=True)
        write_phantom_pair(PHANTOM_FOLDER)
    box = Box(4096, 4096, 4096, 4096)
    xs = np.arange(box.x + 32.0, box.right, 64.0)
    points = np.stack(np.meshgrid(xs, xs), axis=-1).reshape(-1, 2)
    return Case("phantom, 4096 x 4096", he, ihc, box, points, load_transform(truth)(points))


def restained_case(folder: Path) -> Case:
    """The tissue of the real section that was stained twice, with its points of truth."""
    with (folder / "truth.csv").open(newline="") as file:
        rows = [[float(value) for value in row] for row in list(csv.reader(file))[1:]]
    points = np.array(rows, dtype=np.float64)
    box = Box(512, 512, 512, 3072)
    return Case(
        "restained, 512 x 3072", folder / "he.tiff", folder / "ihc.tiff", box, points[:, :2], points[:, 2:]
    )
