"""Slides on disk for tests of records and pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.viewer.pyramids import block_means, noise, write_pyramid


@pytest.fixture
def he_file(tmp_path: Path) -> Path:
    """600 x 500 px, two levels, .25 um/px."""
    pixels = noise(600, 500)
    return write_pyramid(tmp_path / "case7-HE.tif", [pixels, block_means(pixels, 2)])


@pytest.fixture
def ihc_file(tmp_path: Path) -> Path:
    return write_pyramid(tmp_path / "case7-Ki67.tif", [noise(640, 480, seed=1)])


@pytest.fixture
def no_mpp_file(tmp_path: Path) -> Path:
    """A slide that does not say its um/px."""
    return write_pyramid(tmp_path / "silent.tif", [noise(300, 300, seed=2)], um_per_px=None)
