"""Reading transform.json and field.npz that may come from anywhere: every value is checked before use."""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from registration.engine.errors import EngineError
from registration.engine.geometry import Frame, Size

FORMAT = "slidepair-transform"
VERSION = 1
DIRECTION = "moving_from_fixed"
COORDINATES = "level-0 px, corner-based, x right, y down"
UNIT = "fixed level-0 px"
OUTSIDE = "edge"

LARGEST_JSON_BYTES = 1_000_000
LARGEST_SIDE_PX = 10_000_000
LARGEST_FIELD_NODES = 16_000_000
#: No affine or field of two slides needs larger numbers; beyond it arithmetic would overflow later.
LARGEST_NUMBER = 1e12


@dataclass(frozen=True)
class FieldRecord:
    """file : a name in the folder of transform.json. shape : (rows, cols)."""

    file: str
    origin: tuple[float, float]
    spacing: tuple[float, float]
    shape: tuple[int, int]


@dataclass(frozen=True)
class TransformRecord:
    affine: list[list[float]]
    field: FieldRecord | None
    fixed: Frame
    moving: Frame


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises EngineError("transform_unreadable")."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_JSON_BYTES + 1)
        if len(content) > LARGEST_JSON_BYTES:
            _unreadable(path, f"it is larger than {LARGEST_JSON_BYTES} bytes")
        record = json.loads(content, parse_constant=_no_constant)
    except OSError as error:
        _unreadable(path, error.strerror or "it can't be opened")
    except (ValueError, RecursionError):
        _unreadable(path, "it is not JSON")
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        _unreadable(path, f'it does not say "format": "{FORMAT}"')
    return record


def parse_record(record: dict[str, Any]) -> TransformRecord:
    """Raises EngineError: transform_unreadable (another version) or transform_malformed."""
    if record.get("version") != VERSION:
        raise EngineError(
            "transform_unreadable",
            f"The transform has version {record.get('version')!r}; this program reads version {VERSION}.",
        )
    _expect(record, "direction", DIRECTION)
    _expect(record, "coordinates", COORDINATES)
    field = record.get("field")
    return TransformRecord(
        affine=[_numbers(row, 3, "affine") for row in _list(record.get("affine"), 3, "affine")],
        field=None if field is None else _field(field),
        fixed=_frame(record, "fixed"),
        moving=_frame(record, "moving"),
    )


def read_field(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """(rows, cols, 2) float32 from key `field` of an npz.

    Nothing is unpickled and no more than the announced shape is read. Raises EngineError("field_unreadable").
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open("field.npy") as stream:
            return _read_npy(stream, shape)
    except OSError as error:
        _field_unreadable(path, error.strerror or "it can't be opened")
    except KeyError:
        _field_unreadable(path, "it has no array named field")
    except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        _field_unreadable(path, str(error))


def _read_npy(stream: Any, shape: tuple[int, int]) -> NDArray[np.float32]:
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("its array is of an unknown version")
    stored_shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    if stored_shape != (*shape, 2) or fortran_order or dtype != np.dtype("<f4"):
        raise ValueError(f"it holds {stored_shape} {dtype} where {(*shape, 2)} float32 is announced")
    content = stream.read(math.prod(stored_shape) * dtype.itemsize)
    values = np.frombuffer(content, dtype=dtype)
    return values.reshape(stored_shape)


def _field(record: Any) -> FieldRecord:
    if not isinstance(record, dict):
        _malformed("field", "it must be null or an object")
    _expect(record, "order", "xy")
    _expect(record, "unit", UNIT)
    _expect(record, "outside", OUTSIDE)
    rows, columns = (_count(side, "field shape") for side in _list(record.get("shape"), 2, "field shape"))
    if rows * columns > LARGEST_FIELD_NODES:
        _malformed("field shape", f"more than {LARGEST_FIELD_NODES} nodes")
    spacing = _pair(record.get("spacing"), "field spacing")
    if min(spacing) <= 0:
        _malformed("field spacing", "it must be above 0")
    return FieldRecord(
        _name(record.get("file")), _pair(record.get("origin"), "field origin"), spacing, (rows, columns)
    )


def _frame(record: dict[str, Any], name: str) -> Frame:
    frame = record.get(name)
    if not isinstance(frame, dict):
        _malformed(name, "it must be an object")
    size = Size(_count(frame.get("width"), f"{name} width"), _count(frame.get("height"), f"{name} height"))
    um_per_px = frame.get("um_per_px")
    if um_per_px is None:
        return Frame(name, size, None)
    pair = _pair(um_per_px, f"{name} um_per_px")
    if min(pair) <= 0:
        _malformed(f"{name} um_per_px", "it must be above 0")
    return Frame(name, size, pair)


def _name(value: Any) -> str:
    """A file's bare name: no folder, nothing hidden."""
    if not isinstance(value, str) or not value.endswith(".npz") or value.startswith("."):
        _malformed("field file", "it must name an .npz file")
    if any(sign in value for sign in "/\\:\0"):
        _malformed("field file", "it must lie in the same folder")
    return value


def _expect(record: dict[str, Any], key: str, value: str) -> None:
    if record.get(key) != value:
        _malformed(key, f'it must be "{value}"')


def _list(value: Any, length: int, what: str) -> list[Any]:
    if not isinstance(value, list) or len(value) != length:
        _malformed(what, f"a list of {length} is needed")
    return value


def _numbers(value: Any, length: int, what: str) -> list[float]:
    return [_number(item, what) for item in _list(value, length, what)]


def _pair(value: Any, what: str) -> tuple[float, float]:
    first, second = _numbers(value, 2, what)
    return first, second


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST_NUMBER:
        _malformed(what, f"finite numbers up to {LARGEST_NUMBER:g} are needed")
    return float(value)


def _count(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST_SIDE_PX:
        _malformed(what, f"a whole number from 1 to {LARGEST_SIDE_PX} is needed")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _malformed(what: str, why: str) -> NoReturn:
    raise EngineError("transform_malformed", f"The transform's {what} is wrong: {why}.")


def _unreadable(path: Path, why: str) -> NoReturn:
    raise EngineError("transform_unreadable", f"{path.name} is not a transform of this program: {why}.")


def _field_unreadable(path: Path, why: str) -> NoReturn:
    raise EngineError("field_unreadable", f"The displacement field {path.name} can't be read: {why}.")
