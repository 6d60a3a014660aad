"""What the engine needs of a slide; viewer.wsi's readers fit it without knowing of it."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class PixelSource(Protocol):
    """Level-0 size, um per px, and pixels of any box at any scale.

    width, height : level-0 px. um_per_px : (x, y), or None where unknown.
    """

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def um_per_px(self) -> tuple[float, float] | None: ...

    def read(self, x: float, y: float, columns: int, rows: int, downsample: float) -> tuple[Rgb, Mask]:
        """RGB uint8 (rows, columns, 3) on white and validity (rows, columns).

        Output pixel [r, c] covers the level-0 square [x + c*d, x + (c+1)*d) x [y + r*d, y + (r+1)*d),
        corner-based; x, y, d may be fractional. Outside the slide: white and invalid.
        """
        ...
