"""Whether a transform is a plausible deformation: does it fold, and do both directions agree?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from registration.engine.errors import EngineError
from registration.engine.geometry import Box, Points
from registration.engine.source import Mask
from registration.engine.transforms.base import Transform, check_frames


def jacobian(transform: Transform, box: Box, step: float) -> NDArray[np.float64]:
    """The change of area at the middles of a grid's cells: (rows, cols) float64, moving px^2 per fixed px^2.

    box : fixed level-0 px. step : the grid's, fixed level-0 px. By differences over whole cells; negative
    where the transform mirrors.
    """
    xs, ys = _grid(box, step)
    points = transform.on_grid(xs, ys)
    along_x = (points[:, 1:] - points[:, :-1]) / step
    along_y = (points[1:] - points[:-1]) / step
    along_x = (along_x[1:] + along_x[:-1]) / 2
    along_y = (along_y[:, 1:] + along_y[:, :-1]) / 2
    area: NDArray[np.float64] = along_x[..., 0] * along_y[..., 1] - along_x[..., 1] * along_y[..., 0]
    return area


def folding_share(transform: Transform, box: Box, step: float, tissue: Mask | None = None) -> float:
    """Share (0 to 1) of the cells that are folded: |J| <= 0, where a mirroring transform counts as upright.

    tissue : (rows, cols) as `jacobian` gives; only these cells count. Raises EngineError("no_tissue").
    """
    area = jacobian(transform, box, step)
    folded = area * _orientation(transform, box) <= 0
    return float(np.mean(_chosen(folded, tissue)))


def inverse_consistency(
    forward: Transform, backward: Transform, box: Box, step: float, tissue: Mask | None = None
) -> float:
    """95th percentile of |backward(forward(x)) - x| over the box, fixed level-0 px.

    backward : found on its own from moving to fixed, not by inverting. tissue : as in folding_share.
    """
    check_frames(backward, forward)
    points = cell_centres(box, step)
    there_and_back = backward(forward(points.reshape(-1, 2))).reshape(points.shape)
    distance = np.hypot(*np.moveaxis(there_and_back - points, -1, 0))
    return float(np.percentile(_chosen(distance, tissue), 95))


def cell_centres(box: Box, step: float) -> Points:
    """(rows, cols, 2) float64, xy, fixed level-0 px: where `jacobian`'s values lie."""
    xs, ys = _grid(box, step)
    return np.stack(np.meshgrid(xs[:-1] + step / 2, ys[:-1] + step / 2), axis=-1)


def _grid(box: Box, step: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    columns, rows = max(1, int(box.width / step)), max(1, int(box.height / step))
    x, y = np.arange(columns + 1, dtype=np.float64), np.arange(rows + 1, dtype=np.float64)
    return box.x + x * step, box.y + y * step


def _orientation(transform: Transform, box: Box) -> float:
    """1, or -1 if the box's corners come out in the other sense of rotation."""
    corners = transform(box.corners())
    first, second = corners[2] - corners[0], corners[3] - corners[1]
    return float(np.sign(first[0] * second[1] - first[1] * second[0]))


def _chosen(values: NDArray[Any], tissue: Mask | None) -> NDArray[Any]:
    chosen = values.ravel() if tissue is None else values[tissue]
    if chosen.size == 0:
        raise EngineError("no_tissue", "There is no tissue in the box to measure the field on.")
    return chosen
