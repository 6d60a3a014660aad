"""Pyramid levels with cleaned downsamples, and the choice of a level for a scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_SLACK = 1.002  # a level this much coarser than asked for still counts as fine enough


@dataclass(frozen=True)
class Level:
    """One stored resolution. width, height : px of this level; downsample : level-0 px per px, (x, y)."""

    width: int
    height: int
    downsample: tuple[float, float]


def make_levels(sizes: Sequence[tuple[int, int]]) -> tuple[Level, ...]:
    """Levels of (width, height) `sizes`, the first one being level 0."""
    return tuple(Level(width, height, clean_downsample(sizes[0], (width, height))) for width, height in sizes)


def clean_downsample(full: tuple[int, int], size: tuple[int, int]) -> tuple[float, float]:
    """The level-0 px that one px of a level of `size` covers, (x, y).

    Writers drop or pad a fraction of a px, so that the ratio of sizes is 4.0118 where 4 is meant. A whole
    number that explains both sides to within one level px is taken instead, a power of two first.
    """
    ratios = full[0] / size[0], full[1] / size[1]
    power = 2 ** round(math.log2(math.sqrt(ratios[0] * ratios[1])))
    for whole in (power, round(ratios[0]), round(ratios[1])):
        if _explains(whole, full[0], size[0]) and _explains(whole, full[1], size[1]):
            return float(whole), float(whole)
    return ratios


def _explains(ratio: float, full: int, size: int) -> bool:
    return ratio >= 1 and abs(ratio * size - full) <= ratio


def level_for(levels: Sequence[Level], downsample: float) -> int:
    """Index of the coarsest level that is still at least as fine as `downsample`."""
    fine = [i for i, level in enumerate(levels) if max(level.downsample) <= downsample * _SLACK]
    return max(fine, key=lambda i: levels[i].downsample[0], default=0)
