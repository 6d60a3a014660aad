"""transform.json with field.npz beside it: written atomically, read with distrust."""

from __future__ import annotations

import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from registration.engine.errors import EngineError
from registration.engine.geometry import Frame
from registration.engine.transforms.affine import AffineTransform
from registration.engine.transforms.base import Transform
from registration.engine.transforms.displacement import DisplacementField
from registration.engine.transforms.parsing import (
    COORDINATES,
    DIRECTION,
    FORMAT,
    OUTSIDE,
    UNIT,
    VERSION,
    parse_record,
    read_field,
    read_json,
)
from registration.engine.transforms.sampled import split


def save_transform(path: Path, transform: Transform, *, verdict: str, engine_version: str) -> list[Path]:
    """Write `transform` (an affine, or affine @ field) from frame "fixed" to frame "moving".

    Returns the files written, transform.json first. The field goes into field.npz (for another file name
    than transform.json into <stem>.field.npz). The same transform gives the same bytes.
    Raises EngineError("transform_not_storable") and OSError.
    """
    affine, field = affine_and_field(transform)
    record: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "direction": DIRECTION,
        "coordinates": COORDINATES,
        "affine": affine.matrix.tolist(),
        "field": None,
        "fixed": _frame_record(transform.fixed),
        "moving": _frame_record(transform.moving),
        "verdict": verdict,
        "engine_version": engine_version,
    }
    written = [path]
    if field is not None:
        field_path = path.with_name(field_name(path))
        record["field"] = _field_record(field, field_path.name)
        _write_atomically(field_path, _npz(field))
        written.append(field_path)
    _write_atomically(path, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())
    return written


def load_transform(path: Path) -> Transform:
    """Read what save_transform wrote: an AffineTransform, or affine @ field, from "fixed" to "moving".

    Raises EngineError: transform_unreadable (no such file, not ours, unknown version), transform_malformed
    (a value missing, of the wrong kind, not finite or absurdly large), field_unreadable (npz missing or bad).
    """
    record = parse_record(read_json(path))
    affine = AffineTransform(record.affine, record.fixed, record.moving)
    if record.field is None:
        return affine
    values = read_field(path.with_name(record.field.file), record.field.shape)
    return affine @ DisplacementField(values, record.field.origin, record.field.spacing, record.fixed)


def affine_and_field(transform: Transform) -> tuple[AffineTransform, DisplacementField | None]:
    """The two parts of a transform that can be stored. Raises EngineError("transform_not_storable")."""
    if (transform.fixed.name, transform.moving.name) == ("fixed", "moving"):
        return split(transform)
    raise EngineError(
        "transform_not_storable",
        "Only an affine, or an affine after a field, from the fixed to the moving slide can be stored.",
    )


def field_name(path: Path) -> str:
    return "field.npz" if path.name == "transform.json" else f"{path.stem}.field.npz"


def _frame_record(frame: Frame) -> dict[str, Any]:
    um_per_px = None if frame.um_per_px is None else list(frame.um_per_px)
    return {"width": frame.size.width, "height": frame.size.height, "um_per_px": um_per_px}


def _field_record(field: DisplacementField, file: str) -> dict[str, Any]:
    return {
        "file": file,
        "origin": list(field.origin),
        "spacing": list(field.spacing),
        "shape": list(field.values.shape[:2]),
        "order": "xy",
        "unit": UNIT,
        "outside": OUTSIDE,
    }


def _npz(field: DisplacementField) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, field=field.values)
    return buffer.getvalue()


def _write_atomically(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
