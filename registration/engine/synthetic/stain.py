"""Colours of H&E and of IHC with DAB: absorption of each stain, after Beer and Lambert."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from registration.engine.source import Rgb
from registration.engine.synthetic.scene import FIBRE, Bytes

#: Layers of density as they come from a scene.
EOSIN, HEMATOXYLIN, DAB = range(3)

_Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Stain:
    """absorption : optical density (r, g, b) of each layer at density 255; layers without one are unseen.

    glass : colour of the empty slide. blur : sigma in px. noise : sigma in grey values. dab : whether marks
    said to be positive are brown.
    """

    number: int
    absorption: tuple[_Colour, ...]
    glass: _Colour
    blur: float
    noise: float
    dab: bool

    def layer_of(self, kind: int, positive: bool) -> int:
        if kind == FIBRE:
            return EOSIN
        return DAB if self.dab and positive else HEMATOXYLIN

    def colour(self, layers: list[Bytes]) -> Rgb:
        """layers : three (rows, cols) of density. Returns (rows, cols, 3): light that passes all of them."""
        passed = self._light(0, layers[0])
        for number in range(1, len(self.absorption)):
            passed = np.asarray(
                cv2.multiply(passed, self._light(number, layers[number]), scale=1 / 255), np.uint8
            )
        return passed

    def _light(self, number: int, density: Bytes) -> Rgb:
        table = 255 * np.exp(-np.arange(256)[:, None] / 255 * np.array(self.absorption[number]))
        lookup = np.rint(table).astype(np.uint8)[None]
        return np.asarray(cv2.LUT(cv2.merge((density, density, density)), lookup), dtype=np.uint8)


HE = Stain(
    number=1,
    absorption=((0.10, 0.86, 0.36), (1.55, 1.75, 0.78)),
    glass=(246, 243, 247),
    blur=0.7,
    noise=2.2,
    dab=False,
)
IHC = Stain(
    number=2,
    absorption=((0.24, 0.20, 0.12), (1.25, 0.92, 0.52), (0.75, 1.55, 2.2)),
    glass=(243, 244, 246),
    blur=0.85,
    noise=2.8,
    dab=True,
)
