"""Cleaned downsamples and the choice of a level."""

import pytest

from viewer.wsi.levels import clean_downsample, level_for, make_levels


@pytest.mark.parametrize(
    ("full", "size", "expected"),
    [
        ((1023, 777), (255, 194), (4, 4)),  # 4.0118 by width: the rest was dropped
        ((1023, 777), (256, 195), (4, 4)),  # 3.996: filled up
        ((4443, 3567), (2221, 1783), (2, 2)),
        ((46000, 32914), (2875, 2057), (16, 16)),
        ((175, 160), (10, 10), (16, 16)),  # so small that 17 and 18 explain it too
        ((3000, 2100), (1000, 700), (3, 3)),
        ((1000, 800), (300, 240), (1000 / 300, 800 / 240)),  # no whole number means this
        ((1000, 800), (1000, 800), (1, 1)),
    ],
)
def test_ratio_that_was_meant(
    full: tuple[int, int], size: tuple[int, int], expected: tuple[float, float]
) -> None:
    assert clean_downsample(full, size) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("downsample", "level"),
    [(0.5, 0), (1, 0), (3.9, 0), (4, 1), (4.0118, 1), (15.9, 1), (16.0008, 2), (500, 2)],
)
def test_coarsest_level_that_is_fine_enough(downsample: float, level: int) -> None:
    levels = make_levels([(40000, 30000), (10000, 7500), (2500, 1875)])
    assert level_for(levels, downsample) == level
