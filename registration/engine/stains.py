"""Optical density, by 256-entry tables, and the stains' directions in it.

Stain vectors (optical density of R, G, B for hematoxylin, eosin and DAB): Ruifrok and Johnston 2001,
"Quantification of histochemical staining by color deconvolution".
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.source import Rgb

Channel = NDArray[np.uint8]
Density = NDArray[np.float32]

_HED = np.array([(0.650, 0.704, 0.286), (0.072, 0.990, 0.105), (0.268, 0.570, 0.776)])
#: (3, 3) rows of length 1: hematoxylin, eosin, DAB.
STAIN_VECTORS = _HED / np.sqrt((_HED**2).sum(axis=1, keepdims=True))
#: Optical density that fills the uint8 range of a hematoxylin image.
HEMATOXYLIN_FULL_SCALE = 1.5


def density_table() -> Density:
    """(256,): -log10 of the transmitted share for each grey level; level 0 counts as half a grey level."""
    levels = np.arange(256, dtype=np.float64)
    return (-np.log10(np.maximum(levels, 0.5) / 255)).astype(np.float32)


_MEAN_TABLE: Density = np.repeat(density_table()[:, None] / np.float32(3), 3, axis=1)


def density(rgb: Rgb) -> Density:
    """rgb : (rows, cols, 3) uint8. Returns (rows, cols) float32: mean optical density of the channels."""
    return table_sum(rgb, _MEAN_TABLE)


def table_sum(rgb: Rgb, table: Density) -> Density:
    """rgb : (rows, cols, 3) uint8. table : (256, 3). Returns (rows, cols): the sum of table[value, channel]
    over the channels.
    """
    looked_up = cv2.LUT(np.ascontiguousarray(rgb), table.reshape(1, 256, 3))
    return np.asarray(cv2.transform(looked_up, np.ones((1, 3), np.float32)), np.float32)
