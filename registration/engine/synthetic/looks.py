"""Other stains for pixels that exist already: unmix, change each stain's strength, colour anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registration.engine.source import Rgb

_Three = tuple[float, float, float]
_Rows = tuple[_Three, _Three, _Three]

#: Optical density of R, G, B: Ruifrok and Johnston 2001.
_HEMATOXYLIN, _EOSIN, _DAB = (0.650, 0.704, 0.286), (0.072, 0.990, 0.105), (0.268, 0.570, 0.776)
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Look:
    """How the amounts of hematoxylin, eosin and DAB (optical density 1 = 1) are shown.

    gain, gamma : an amount a is shown as gain * a ** gamma; monotone, per stain. colours : (r, g, b) optical
    density of each. glass : the colour of what is empty. pixels outside of any stain model stay monotone too:
    negative amounts count as none.
    """

    name: str
    gain: _Three
    gamma: _Three = (1.0, 1.0, 1.0)
    colours: _Rows = (_HEMATOXYLIN, _EOSIN, _DAB)
    glass: _Three = (250.0, 250.0, 250.0)

    def __call__(self, rgb: Rgb) -> Rgb:
        """rgb : (rows, cols, 3) uint8. Returns a new array of the same kind."""
        shown = np.empty_like(rgb)
        for top in range(0, len(rgb), _ROWS_AT_ONCE):
            shown[top : top + _ROWS_AT_ONCE] = self._strip(rgb[top : top + _ROWS_AT_ONCE])
        return shown

    def _strip(self, rgb: Rgb) -> Rgb:
        amounts = np.maximum((_DENSITY[rgb] - _GLASS) @ _UNMIX, 0)
        amounts **= np.array(self.gamma, np.float32)
        mixing = (np.array(self.gain)[:, None] * _unit(self.colours)).astype(np.float32)
        light = np.array(self.glass, np.float32) * np.exp(-_LN10 * (amounts @ mixing))
        return np.asarray(np.rint(light), np.uint8)


def _unit(colours: _Rows) -> NDArray[np.float64]:
    vectors = np.array(colours)
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


_LN10 = np.float32(np.log(10))
_DENSITY = (-np.log10(np.maximum(np.arange(256), 0.5) / 255)).astype(np.float32)
#: Density of the glass of usual slides.
_GLASS = np.float32(0.02)
_UNMIX = np.linalg.inv(_unit((_HEMATOXYLIN, _EOSIN, _DAB))).astype(np.float32)

#: H&E seen as a blue counterstain with brown where eosin was dense; an IHC keeps its brown.
BROWN = Look("brown", (0.75, 1.3, 1.1), (0.9, 1.8, 1.2), (_HEMATOXYLIN, _DAB, _DAB), (246, 246, 243))
#: An IHC seen in pink and purple; H&E becomes redder.
PINK = Look("pink", (1.1, 1.0, 1.0), (1.2, 0.8, 0.9), (_HEMATOXYLIN, _EOSIN, _EOSIN), (244, 240, 246))
#: Hardly anything but the nuclei.
NUCLEI = Look("nuclei", (1.2, 0.15, 0.3), (1.3, 1.0, 1.0), glass=(248, 249, 250))
FAINT = Look("faint", (0.5, 0.45, 0.5), (1.1, 1.1, 1.1))
DARK = Look("dark", (1.5, 1.5, 1.5), (0.8, 0.85, 0.8), glass=(228, 226, 232))
#: Nuclei in red, as with an alkaline-phosphatase chromogen.
RED = Look("red", (0.9, 0.6, 1.0), (1.4, 0.7, 1.0), ((0.2, 0.95, 0.6), (0.6, 0.7, 0.4), _DAB))

LOOKS = (BROWN, PINK, NUCLEI, FAINT, DARK, RED)
