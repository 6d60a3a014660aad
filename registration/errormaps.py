"""The map of expected errors as files and figures: expected.npz, expected.png, what run.json says of it."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.errors import EngineError
from registration.engine.expected import ErrorMap
from registration.engine.geometry import Box

FILE = "expected.npz"
PICTURE = "expected.png"
_KEYS = ("p90", "origin", "spacing")
_LONGEST_PX = 512
_STEPS = (1.0, 2.0, 5.0, 10.0)


def error_map_bytes(errors: ErrorMap) -> bytes:
    """npz with p90 (rows, cols) float32, origin (2,) and spacing () float64, all in fixed level-0 px; p90 is
    UNMEASURED_PX where nothing is known.
    """
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, p90=errors.p90, origin=np.array(errors.origin), spacing=np.array(errors.spacing)
    )
    return buffer.getvalue()


def load_error_map(path: Path) -> ErrorMap | None:
    """None where there is no such file. Raises EngineError("bad_error_map")."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            p90, origin, spacing = (stored[name] for name in _KEYS)
    except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
        message = f"{path.name} is not a map of expected errors: {error}."
        raise EngineError("bad_error_map", message) from error
    return ErrorMap(p90.astype(np.float32), (float(origin[0]), float(origin[1])), float(spacing))


def um_of(um_per_px: tuple[float, float] | None) -> float | None:
    """um per px, the geometric mean of both axes."""
    return None if um_per_px is None else math.sqrt(um_per_px[0] * um_per_px[1])


def figures(
    errors: ErrorMap | None, box: Box | None, um_per_px: tuple[float, float] | None
) -> dict[str, dict[str, float] | None]:
    """expected_error_px and expected_error_um: {median, p90, worst} over the map's squares in the box; None
    where there is no map, or no um/px.
    """
    values = np.empty(0) if errors is None or box is None else _known(errors, box)
    px = None
    if values.size:
        median, p90 = np.percentile(values, (50, 90))
        px = {"median": float(median), "p90": float(p90), "worst": float(values.max())}
    um = um_of(um_per_px)
    in_um = None if px is None or um is None else {name: value * um for name, value in px.items()}
    return {"expected_error_px": px, "expected_error_um": in_um}


def scale_top(errors: ErrorMap, box: Box, um_per_px: tuple[float, float] | None) -> float:
    """The value that the picture's brightest colour stands for, um (px where unknown): 1, 2 or 5 times a
    power of ten, with at least nineteen squares in twenty below it.
    """
    values = _known(errors, box)
    reach = float(np.percentile(values, 95)) * (um_of(um_per_px) or 1.0) if values.size else 0.0
    if reach <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(reach))
    return next(step * power for step in _STEPS if step * power >= reach * (1 - 1e-6))


def picture(errors: ErrorMap, box: Box, um_per_px: tuple[float, float] | None) -> bytes:
    """PNG of the box: cividis from 0 to `scale_top`, brighter where the error is larger, transparent where
    nothing is known.
    """
    scale = min(1.0, _LONGEST_PX / max(box.width, box.height))
    columns, rows = max(1, round(box.width * scale)), max(1, round(box.height * scale))
    xs = box.x + (np.arange(columns) + 0.5) * box.width / columns
    ys = box.y + (np.arange(rows) + 0.5) * box.height / rows
    row = _index(ys, errors.origin[1], errors.spacing, errors.p90.shape[0])
    column = _index(xs, errors.origin[0], errors.spacing, errors.p90.shape[1])
    values = errors.p90[row[:, None], column[None, :]]
    known = errors.measured[row[:, None], column[None, :]]
    share = np.where(known, values, 0) * (um_of(um_per_px) or 1.0) / scale_top(errors, box, um_per_px)
    grey = np.clip(share * 255, 0, 255).astype(np.uint8)
    colour = cv2.applyColorMap(grey, cv2.COLORMAP_CIVIDIS)
    done, content = cv2.imencode(".png", np.dstack((colour, known.astype(np.uint8) * 255)))
    if not done:
        raise ValueError(f"OpenCV can't encode {colour.shape} as PNG")
    return content.tobytes()


def legend(errors: ErrorMap, box: Box, um_per_px: tuple[float, float] | None) -> dict[str, Any]:
    return {"top": scale_top(errors, box, um_per_px), "unit": "px" if um_per_px is None else "um"}


def _known(errors: ErrorMap, box: Box) -> NDArray[np.float64]:
    """What is known of the squares that the box touches."""
    return errors.known(box).astype(np.float64)


def _index(position: NDArray[np.float64], origin: float, spacing: float, count: int) -> NDArray[np.intp]:
    return np.clip(np.floor((position - origin) / spacing), 0, count - 1).astype(np.intp)
