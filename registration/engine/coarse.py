"""Stage B: where one small image may lie on the other, over every turn, mirroring and (if unknown) scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np

from registration.engine.config.slides import SlideConfig
from registration.engine.correlate import Plane, Planes, Spectra, fft_shape, masked_ncc, spectra
from registration.engine.features import Overview, texture_energy
from registration.engine.geometry import Size
from registration.engine.matrices import Matrix, corners_apart, scaling, shift, turn
from registration.engine.resample import warp_quick
from registration.engine.source import Mask
from registration.engine.stages import Tick, no_tick

#: Standard deviation of the feature below which an image shows nothing to search for.
FLAT = 1e-3
#: Beyond this a correlation counts for no more: two images of one section are no better than that.
_LARGEST_CORRELATION = 0.98
_THREADS = 2
_DEFAULT = SlideConfig()


@dataclass(frozen=True)
class Pose:
    """One turn, mirroring and scale of the moving image."""

    degrees: float
    mirrored: bool
    scale: float


@dataclass(frozen=True)
class Candidate:
    """matrix : moving_from_fixed, px of the two small images. cue : which images were correlated.

    score : how far their agreement is from chance, up to a factor.
    """

    matrix: Matrix
    score: float
    cue: str


@dataclass(frozen=True)
class _Turned:
    matrix: Matrix
    size: Size


@dataclass(frozen=True)
class _Scaled:
    spectra: Spectra
    shape: tuple[int, int]


def candidates(
    fixed: Overview,
    moving: Overview,
    scales: Sequence[float],
    config: SlideConfig = _DEFAULT,
    tick: Tick = no_tick,
) -> list[Candidate]:
    """The best few poses of each cue, best first within a cue; the same place is not listed twice.

    fixed, moving : of about 61 px (square root of the area), at the same um/px where scales == (1,).
    """
    if min(image.feature[image.mask].std() if image.mask.any() else 0 for image in (fixed, moving)) < FLAT:
        return [_centred(fixed, moving)]
    turns = np.arange(0, 360, config.step_degrees).tolist()
    poses = [
        Pose(float(degrees), mirrored, scale)
        for scale, mirrored, degrees in product(scales, (False, True), turns)
    ]
    choices = _mask_choices(fixed, moving)
    found: list[list[dict[str, Candidate]]] = [[] for _ in choices]
    with ThreadPoolExecutor(_THREADS) as pool:
        for number, masked in enumerate(choices):
            search = _Search(fixed, moving, masked, scales, config.smallest_overlap)
            for hit in pool.map(search, poses):
                found[number].append(hit)
                tick((number + len(found[number]) / len(poses)) / len(choices))
    listed: list[Candidate] = []
    for cue in ("density", "texture", "both"):
        for hits in found:
            ranked = sorted((hit[cue] for hit in hits), key=lambda hit: -hit.score)
            listed += _different(ranked, fixed, config.candidates_per_cue)
    return _different(listed, fixed, len(listed))


def _centred(fixed: Overview, moving: Overview) -> Candidate:
    """Centre on centre: what is left where there is nothing to see."""
    (rows_f, columns_f), (rows_m, columns_m) = fixed.shape, moving.shape
    matrix = shift((columns_m - columns_f) / 2, (rows_m - rows_f) / 2)
    return Candidate(matrix, 0.0, "none")


def _mask_choices(fixed: Overview, moving: Overview) -> tuple[bool, ...]:
    """With and without the mask of constant filling; once where there is no filling to speak of."""
    filled = [1 - image.mask.sum() / max(1, image.inside.sum()) for image in (fixed, moving)]
    return (True, False) if max(filled) > 0.01 else (False,)


class _Search:
    """Called with a pose, gives its best shift for each cue."""

    def __init__(
        self, fixed: Overview, moving: Overview, masked: bool, scales: Sequence[float], overlap: float
    ) -> None:
        self._overlap = overlap
        mask = moving.mask if masked else moving.inside
        self._moving = moving
        planes = (moving.feature, texture_energy(moving.feature), mask.astype(np.float32))
        self._planes = cv2.merge([np.ascontiguousarray(plane) for plane in planes])
        mask = fixed.mask if masked else fixed.inside
        self._fixed = {scale: _scaled(fixed.feature, mask, moving, scale) for scale in scales}

    def __call__(self, pose: Pose) -> dict[str, Candidate]:
        turned = _turned(self._moving, pose)
        planes = warp_quick(self._planes, turned.matrix, turned.size, outside="zero")
        density, texture, mask = cv2.split(planes)
        fixed = self._fixed[pose.scale]
        moving = spectra(np.stack((density, texture)), np.asarray(mask) > 0.5, fixed.shape)
        density, texture = _evidence(*masked_ncc(fixed.spectra, moving, self._overlap))
        cues = {"density": density, "texture": texture, "both": density + texture}
        return {cue: _best(scores, turned, pose, cue) for cue, scores in cues.items()}


def _scaled(feature: Plane, mask: Mask, moving: Overview, scale: float) -> _Scaled:
    """The fixed image ready for poses of this scale: made smaller where the moving one shows less detail."""
    factor = min(1.0, scale)
    rows, columns = (max(1, round(side * factor)) for side in feature.shape)
    smaller = np.asarray(cv2.resize(feature, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
    weight = cv2.resize(mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    diagonal = math.ceil(math.hypot(*moving.shape) / max(1.0, scale)) + 1
    shape = fft_shape((rows, columns), (diagonal, diagonal))
    features = np.stack((smaller, texture_energy(smaller)))
    return _Scaled(spectra(features, np.asarray(weight) > 0.5, shape), shape)


def _evidence(correlation: Planes, count: Plane) -> Planes:
    """How far each correlation is from chance, up to a factor: Fisher's transform by the root of the px.

    A correlation of .9 is nothing special where few px are compared, as at small scales and overlaps.
    """
    bounded = np.clip(correlation, -_LARGEST_CORRELATION, _LARGEST_CORRELATION)
    return np.asarray(np.arctanh(bounded) * np.sqrt(count), np.float32)


def _best(scores: Plane, turned: _Turned, pose: Pose, cue: str) -> Candidate:
    row, column = (int(index) for index in np.unravel_index(int(np.argmax(scores)), scores.shape))
    x = _unwrapped(column, scores.shape[1], turned.size.width)
    y = _unwrapped(row, scores.shape[0], turned.size.height)
    matrix = turned.matrix @ shift(-x, -y) @ scaling(min(1.0, pose.scale))
    return Candidate(matrix, float(scores[row, column]), cue)


def _unwrapped(index: int, period: int, moving_length: int) -> int:
    """The shift behind an FFT index: from 1 - moving_length up."""
    return index - period if index > period - moving_length else index


def _turned(moving: Overview, pose: Pose) -> _Turned:
    """The canvas that holds the turned moving image, and the way back from it to the moving image."""
    rows, columns = moving.shape
    linear = turn(pose.degrees, pose.mirrored)
    linear[:2, :2] *= max(1.0, pose.scale)
    extent = np.abs(np.linalg.inv(linear)[:2, :2]) @ (columns, rows)
    size = Size(math.ceil(extent[0]), math.ceil(extent[1]))
    matrix = shift(columns / 2, rows / 2) @ linear @ shift(-size.width / 2, -size.height / 2)
    return _Turned(matrix, size)


def _different(ranked: Iterable[Candidate], fixed: Overview, limit: int) -> list[Candidate]:
    """The first `limit` that move the fixed image's corners to different places."""
    apart = 0.1 * math.hypot(*fixed.shape)
    kept: list[Candidate] = []
    for candidate in ranked:
        if len(kept) == limit:
            break
        if all(corners_apart(candidate.matrix, other.matrix, fixed.shape) > apart for other in kept):
            kept.append(candidate)
    return kept
