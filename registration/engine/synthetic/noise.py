"""Smooth random fields, from a seed."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


def smooth_noise(rng: np.random.Generator, side: int, cells: int) -> Plane:
    """(side, side) float32 of about unit spread whose features are about side / cells wide."""
    grid = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    return np.asarray(cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def octave_noise(rng: np.random.Generator, side: int, cells: int, octaves: int) -> Plane:
    """Noise of several widths: each octave half as wide and half as strong as the one before."""
    total = smooth_noise(rng, side, cells)
    for octave in range(1, octaves):
        finer = min(cells << octave, side)
        total += smooth_noise(rng, side, finer) * np.float32(0.5**octave)
    return total


def wavy_radius(rng: np.random.Generator, angles: NDArray[np.float64], waves: int) -> NDArray[np.float64]:
    """A closed curve's relative deviation from a circle: `waves` harmonics, wave k about k ** -1.3 strong."""
    order = np.arange(1, waves + 1)
    strength = rng.normal(0, 1, waves) / order**1.3
    phase = rng.uniform(0, 2 * np.pi, waves)
    deviation: NDArray[np.float64] = np.cos(angles[:, None] * order + phase) @ strength
    return deviation


def steepest(values: NDArray[np.floating[Any]], spacing: float) -> float:
    """The largest change of a field (rows, cols, 2) over its distance: below 1 it can't fold."""
    across = np.linalg.norm(np.diff(values, axis=1), axis=-1).max(initial=0)
    down = np.linalg.norm(np.diff(values, axis=0), axis=-1).max(initial=0)
    return math.hypot(across, down) / spacing
