"""Small pictures of nuclei and fibres, drawn once and stamped at thousands of places."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Points
from registration.engine.synthetic.scene import EPITHELIAL, FIBRE, LYMPHOCYTE, SPINDLE, Bytes, Marks

#: Directions and individuals of each kind.
ANGLES = 36
VARIANTS = 4
#: Sprites are drawn for places 1 / PHASES px apart: a nucleus is at most 1/8 px off its place.
PHASES = {EPITHELIAL: 4, SPINDLE: 4, LYMPHOCYTE: 4, FIBRE: 2}

_BASE_SIZE = {EPITHELIAL: 44, SPINDLE: 52, LYMPHOCYTE: 32, FIBRE: 100}
_Grid = NDArray[np.float32]
_Linear = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class SpriteSheet:
    """A kind of thing as a linear map shows it. images : (angle, variant, phase_y, phase_x; side, side)."""

    side: int
    phases: int
    images: Bytes

    def stamps(self, marks: Marks, places: Points, order: NDArray[np.int64]) -> list[tuple[int, int, int]]:
        """(left, top, image) of marks at `places` (n, 2), px of the slide. order : (n,), chooses variants."""
        steps = np.rint(places * self.phases).astype(np.int64)
        whole, phase = steps // self.phases, steps % self.phases
        angle = np.rint(marks.angle / (2 * np.pi) * ANGLES).astype(np.int64) % ANGLES
        picture = angle * VARIANTS + order % VARIANTS
        image = (picture * self.phases + phase[:, 1]) * self.phases + phase[:, 0]
        corner = whole - self.side // 2
        return list(zip(corner[:, 0].tolist(), corner[:, 1].tolist(), image.tolist(), strict=True))


@lru_cache(maxsize=8)
def make_sheet(kind: int, linear: _Linear) -> SpriteSheet:
    """linear : 2 x 2, takes offsets on the fixed slide to offsets on the slide that is drawn."""
    scale = float(np.sqrt(abs(np.linalg.det(linear))))
    side = 2 * int(np.ceil(_BASE_SIZE[kind] * max(scale, 0.2) / 2))
    phases = PHASES[kind]
    offset = np.arange(side) + 0.5 - side // 2 - (np.arange(phases) / phases)[:, None]
    x = offset[None, :, None, :].astype(np.float32)
    y = offset[:, None, :, None].astype(np.float32)
    back = np.linalg.inv(linear)
    images = []
    for turn in range(ANGLES):
        angle = 2 * np.pi * turn / ANGLES
        turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) @ back
        (a, b), (c, d) = turned.tolist()
        along, across = a * x + b * y, c * x + d * y
        for variant in range(VARIANTS):
            rng = np.random.default_rng((kind, turn, variant))
            density = (
                _fibre(rng, along, across) if kind == FIBRE else _nucleus(rng, kind, along, across, scale)
            )
            images.append(np.clip(density, 0, 255).astype(np.uint8).reshape(-1, side, side))
    return SpriteSheet(side, phases, np.concatenate(images))


def _nucleus(rng: np.random.Generator, kind: int, along: _Grid, across: _Grid, scale: float) -> _Grid:
    """Stain density of a nucleus: an oval with a dented outline, a dark rim and grains of chromatin."""
    long, short, dark = _NUCLEI[kind]
    long, short = long * rng.uniform(0.88, 1.15), short * rng.uniform(0.85, 1.15)
    theta = np.arctan2(across / short, along / long)
    dents = (
        1
        + rng.uniform(0, 0.06) * np.cos(2 * theta + rng.uniform(0, 6))
        + 0.05 * np.cos(3 * theta + rng.uniform(0, 6))
    )
    reach = np.hypot(along / long, across / short) / dents
    softness = 0.75 / (short * max(scale, 0.5))
    body = 1 / (1 + np.exp((reach - 1) / softness))
    rim = 1 + 0.22 * np.exp(-(((reach - 0.86) / 0.16) ** 2))
    grains = np.zeros_like(reach)
    for _ in range(7):
        spot, turn = 0.75 * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        a, b = long * spot * np.cos(turn), short * spot * np.sin(turn)
        grains += rng.uniform(-0.2, 0.38) * np.exp(
            -((along - a) ** 2 + (across - b) ** 2) / (2 * rng.uniform(1.2, 3) ** 2)
        )
    density: _Grid = dark * rng.uniform(0.82, 1.1) * body * rim * (1 + grains)
    return density


#: Half axes (level-0 px of the fixed slide) and density of each kind of nucleus.
_NUCLEI = {EPITHELIAL: (15.0, 10.5, 150.0), SPINDLE: (19.0, 4.6, 165.0), LYMPHOCYTE: (10.5, 10.0, 195.0)}


def _fibre(rng: np.random.Generator, along: _Grid, across: _Grid) -> _Grid:
    """Stain density of a wavy strand that thins out at both ends."""
    length, width = rng.uniform(26, 44), rng.uniform(1.1, 2.6)
    bend = rng.uniform(2, 5) * np.sin(along / rng.uniform(9, 16) + rng.uniform(0, 6))
    strand = np.exp(-(((across - bend) / width) ** 2)) * np.clip(1 - (along / length) ** 2, 0, None)
    density: _Grid = rng.uniform(28, 62) * strand
    return density
