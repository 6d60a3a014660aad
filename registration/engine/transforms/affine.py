"""Affine transforms: rotation, mirror, scale, shear and shift, in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from registration.engine.errors import EngineError
from registration.engine.geometry import Frame, Points
from registration.engine.transforms.base import Transform

#: Below this a 2 x 2 part squashes a slide to a line for all practical purposes.
SMALLEST_DETERMINANT = 1e-12


class AffineTransform(Transform):
    """moving = matrix @ (x, y, 1).

    matrix : (3, 3) float64, last row (0, 0, 1), invertible; kept as a read-only copy.
    Raises EngineError("bad_affine") for anything else.
    """

    def __init__(self, matrix: ArrayLike, fixed: Frame, moving: Frame) -> None:
        self.matrix = _checked(matrix)
        self._fixed = fixed
        self._moving = moving

    @classmethod
    def identity(cls, frame: Frame) -> AffineTransform:
        return cls(np.eye(3), frame, frame)

    @property
    def fixed(self) -> Frame:
        return self._fixed

    @property
    def moving(self) -> Frame:
        return self._moving

    @property
    def scale(self) -> float:
        """Moving px per fixed px: the square root of the change of area."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:2, :2]))))

    def inverse(self) -> AffineTransform:
        inverse = np.linalg.inv(self.matrix)
        inverse[2] = (0, 0, 1)
        return AffineTransform(inverse, self._moving, self._fixed)

    def _map(self, points: Points) -> Points:
        # Term by term, not through BLAS: the same point gives the same bits whatever it is batched with.
        x, y = points[:, 0], points[:, 1]
        (a, b, c), (d, e, f), _ = self.matrix.tolist()
        return np.stack((a * x + b * y + c, d * x + e * y + f), axis=-1)

    def _merged(self, inner: Transform) -> Transform | None:
        if not isinstance(inner, AffineTransform):
            return None
        return AffineTransform(self.matrix @ inner.matrix, inner.fixed, self._moving)


def _checked(matrix: ArrayLike) -> NDArray[np.float64]:
    checked = np.array(matrix, dtype=np.float64)
    if checked.shape != (3, 3) or not np.isfinite(checked).all():
        raise EngineError("bad_affine", "An affine matrix must be 3 x 3 finite numbers.")
    if not np.array_equal(checked[2], (0, 0, 1)):
        raise EngineError(
            "bad_affine", f"The last row of an affine matrix is 0 0 1, not {checked[2].tolist()}."
        )
    if abs(np.linalg.det(checked[:2, :2])) < SMALLEST_DETERMINANT:
        raise EngineError("bad_affine", "The affine matrix has no inverse.")
    checked.flags.writeable = False
    return checked
