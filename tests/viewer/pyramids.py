"""Writes small pyramids with known pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def noise(width: int, height: int, seed: int = 0) -> Image:
    """RGB noise: any px out of place shows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def block_means(image: Image, step: int) -> Image:
    """Means of step x step blocks; what is left over at the right and bottom is dropped, as scanners do."""
    rows, columns = image.shape[0] // step, image.shape[1] // step
    whole = image[: rows * step, : columns * step].astype(np.float64)
    means = whole.reshape(rows, step, columns, step, -1).mean(axis=(1, 3))
    result: Image = np.rint(means).astype(np.uint8).reshape(rows, columns, *image.shape[2:])
    return result


def write_pyramid(
    path: Path, levels: Sequence[Image], um_per_px: float | None = 0.25, tile: int = 256
) -> Path:
    """A lossless tiled TIFF of these levels that OpenSlide opens; gray where they are 2-D."""
    resolution: dict[str, Any] = (
        {} if um_per_px is None else {"resolution": (1e4 / um_per_px,) * 2, "resolutionunit": 3}
    )
    with tifffile.TiffWriter(path) as file:
        for number, level in enumerate(levels):
            file.write(
                level,
                tile=(tile, tile),
                photometric="rgb" if level.ndim == 3 else "minisblack",
                compression="deflate",
                subfiletype=1 if number else 0,
                metadata=None,
                **resolution,
            )
    return path


def area_reference(image: Image, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of `image` between successive borders x, y (px of `image`), by dense weights; float64."""
    across, down = _weights(x, image.shape[1]), _weights(y, image.shape[0])
    summed = np.einsum("ri,ijc,kj->rkc", down, image.astype(np.float64), across, optimize=True)
    areas = np.outer(down.sum(axis=1), across.sum(axis=1))
    result: NDArray[np.float64] = summed / areas[..., None]
    return result


def _weights(borders: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Overlap of each output px with each stored px, (outputs, size)."""
    left = np.arange(size)
    overlap = np.minimum(borders[1:, None], left + 1) - np.maximum(borders[:-1, None], left)
    weights: NDArray[np.float64] = np.maximum(overlap, 0)
    return weights
