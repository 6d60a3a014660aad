"""An independent judge of patch pairs: plain template matching, no code of the engine."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

BLOCK, SEARCH, STRIDE = 128, 12, 64
TEXTURE = 0.015  # standard deviation of the optical density of a block of bare glass stays below it

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Agreement:
    """Distances in px between where a block is and where it fits best, within +-SEARCH px."""

    distances: NDArray[np.float64]

    @property
    def median(self) -> float:
        return float(np.median(self.distances))

    @property
    def p90(self) -> float:
        return float(np.percentile(self.distances, 90))

    @property
    def holds(self) -> bool:
        return len(self.distances) >= 30 and self.median <= 1.0 and self.p90 <= 2.0


def agreement(he: Image, ihc: Image) -> Agreement:
    """he, ihc : (rows, cols, 3) uint8 RGB, said to show the same tissue at the same px."""
    a, b = nuclei(he), nuclei(ihc)
    rows, columns = a.shape
    distances = [
        _distance(a, b, row, column)
        for row in range(SEARCH, rows - BLOCK - SEARCH + 1, STRIDE)
        for column in range(SEARCH, columns - BLOCK - SEARCH + 1, STRIDE)
        if _has_texture(a, row, column) and _has_texture(b, row, column)
    ]
    return Agreement(np.array(distances))


def nuclei(rgb: Image) -> NDArray[np.float32]:
    """Optical density in red, which haematoxylin takes away and eosin hardly; lightly smoothed."""
    density = -np.log10(np.clip(rgb[..., 0].astype(np.float32), 1, 255) / 255)
    return cv2.GaussianBlur(density, (0, 0), 1.0).astype(np.float32)


def _has_texture(image: NDArray[np.float32], row: int, column: int) -> bool:
    return float(image[row : row + BLOCK, column : column + BLOCK].std()) > TEXTURE


def _distance(a: NDArray[np.float32], b: NDArray[np.float32], row: int, column: int) -> float:
    template = a[row : row + BLOCK, column : column + BLOCK]
    window = b[row - SEARCH : row + BLOCK + SEARCH, column - SEARCH : column + BLOCK + SEARCH]
    scores = np.asarray(cv2.matchTemplate(window, template, cv2.TM_CCOEFF_NORMED), np.float32)
    y, x = np.unravel_index(int(scores.argmax()), scores.shape)
    return float(np.hypot(_vertex(scores[:, x], int(y)) - SEARCH, _vertex(scores[y, :], int(x)) - SEARCH))


def _vertex(scores: NDArray[np.float32], peak: int) -> float:
    """The top of the parabola through the best score and its neighbours."""
    if peak in (0, len(scores) - 1):
        return float(peak)
    before, top, after = (float(value) for value in scores[peak - 1 : peak + 2])
    bend = before - 2 * top + after
    return peak + 0.5 * (before - after) / bend if bend else float(peak)


def mosaic(archive: Path, stain: str) -> tuple[Image, tuple[int, int]]:
    """All patches of a stain laid where their names say, white elsewhere; and the corner's x, y."""
    with zipfile.ZipFile(archive) as files:
        names = [name for name in files.namelist() if re.fullmatch(rf"{stain}/x\d+_y\d+\.png", name)]
        patches = {_position(name): _png(files.read(name)) for name in names}
    assert patches, f"no {stain} patches in {archive.name}"
    size = next(iter(patches.values())).shape[0]
    left, top = (min(position[axis] for position in patches) for axis in (0, 1))
    right, bottom = (max(position[axis] for position in patches) + size for axis in (0, 1))
    whole = np.full((bottom - top, right - left, 3), 255, np.uint8)
    for (x, y), patch in patches.items():
        whole[y - top : y - top + size, x - left : x - left + size] = patch
    return whole, (left, top)


def _position(name: str) -> tuple[int, int]:
    x, y = re.findall(r"\d+", Path(name).stem)
    return int(x), int(y)


def _png(data: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1]).astype(np.uint8)
