"""The re-stained pair, which several tests of the engine register."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from registration.engine.geometry import Points
from tests.registration.engine.tables import table
from viewer.wsi import SlideReader, open_slide


@pytest.fixture(scope="module")
def he(data_dir: Path) -> Iterator[SlideReader]:
    with open_slide(data_dir / "restained" / "he.tiff") as slide:
        yield slide


@pytest.fixture(scope="module")
def ihc(data_dir: Path) -> Iterator[SlideReader]:
    with open_slide(data_dir / "restained" / "ihc.tiff") as slide:
        yield slide


@pytest.fixture(scope="module")
def truth(data_dir: Path) -> tuple[Points, Points]:
    points = table(data_dir / "restained" / "truth.csv")
    return points[:, :2], points[:, 2:]
