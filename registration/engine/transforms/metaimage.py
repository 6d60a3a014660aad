"""MetaImage (.mha) files with a two-dimensional field of two numbers a node: written, and read with distrust.

The format is that of ITK's MetaIO: lines of "key = value", the last of which is "ElementDataFile = LOCAL",
then the binary values, x fastest.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from registration.engine.errors import EngineError
from registration.engine.transforms.parsing import LARGEST_FIELD_NODES, LARGEST_NUMBER

_LARGEST_HEADER = 16_384
_TYPES: Mapping[str, str] = {"MET_FLOAT": "f4", "MET_DOUBLE": "f8"}
#: Names that different programs give to the same thing.
_ORIGIN = ("Offset", "Position", "Origin")
_DIRECTION = ("TransformMatrix", "Rotation", "Orientation")
_SPACING = ("ElementSpacing", "ElementSize")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class MetaField:
    """values : (rows, cols, 2) float32, finite. origin, spacing : (x, y), physical units; axes not turned."""

    values: NDArray[np.float32]
    origin: tuple[float, float]
    spacing: tuple[float, float]


def encode(field: MetaField, comment: str = "") -> bytes:
    """The file's content, compressed; the same field gives the same bytes. comment : one line of ASCII."""
    packed = zlib.compress(np.ascontiguousarray(field.values, dtype="<f4").tobytes(), 6)
    rows, columns = field.values.shape[:2]
    header = {
        "ObjectType": "Image",
        "NDims": "2",
        **({"Comment": comment} if comment else {}),
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": str(len(packed)),
        "TransformMatrix": "1 0 0 1",
        "Offset": "{!r} {!r}".format(*field.origin),
        "CenterOfRotation": "0 0",
        "ElementSpacing": "{!r} {!r}".format(*field.spacing),
        "DimSize": f"{columns} {rows}",
        "ElementNumberOfChannels": "2",
        "ElementType": "MET_FLOAT",
        "ElementDataFile": "LOCAL",
    }
    lines = "".join(f"{key} = {value}\n" for key, value in header.items())
    return lines.encode("ascii") + packed


def decode(path: Path) -> MetaField:
    """Read a field of two numbers a node. Nothing but this file is opened, and no more is read or unpacked
    than the header announces. Raises EngineError("field_unreadable").
    """
    try:
        with path.open("rb") as file:
            header = _header(file, path)
            columns, rows = _size(header, path)
            dtype = _element(header, path)
            length = columns * rows * 2 * dtype.itemsize
            packed = _flag(header, "CompressedData", path)
            content = _unpacked(file, length, path) if packed else file.read(length)
    except OSError as error:
        _bad(path, error.strerror or "it can't be opened")
    if len(content) != length:
        _bad(path, f"it ends after {len(content)} of {length} bytes of values")
    values = np.frombuffer(content, dtype).reshape(rows, columns, 2).astype(np.float32)
    if not np.isfinite(values).all() or np.abs(values).max() > LARGEST_NUMBER:
        _bad(path, "it holds values that are not finite or absurdly large")
    return MetaField(values, _pair(header, _ORIGIN, path), _steps(header, path))


def _header(file: BinaryIO, path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    read = 0
    while "ElementDataFile" not in found:
        line = file.readline(_LARGEST_HEADER)
        read += len(line)
        key, equals, value = line.partition(b"=")
        if not equals or read > _LARGEST_HEADER or not line.isascii():
            _bad(path, "it is no MetaImage file with its values inside (.mha)")
        found[key.decode("ascii").strip()] = value.decode("ascii").strip()
    _check(found, path)
    return found


def _check(header: Mapping[str, str], path: Path) -> None:
    if header.get("NDims") != "2" or header.get("ElementNumberOfChannels") != "2":
        _bad(path, "it must have two dimensions and two numbers a node")
    if header["ElementDataFile"] != "LOCAL":
        _bad(path, "its values lie in another file; save it as .mha, with the values inside")
    if header.get("BinaryData", "").lower() != "true":
        _bad(path, "its values are not binary")
    direction = next((header[key] for key in _DIRECTION if key in header), "1 0 0 1")
    if _numbers(direction, 4, "direction", path) != [1, 0, 0, 1]:
        _bad(path, "its axes are turned; only a direction of 1 0 0 1 can be read")


def _size(header: Mapping[str, str], path: Path) -> tuple[int, int]:
    words = header.get("DimSize", "").split()
    if len(words) != 2 or not all(word.isdecimal() and len(word) < 10 for word in words):
        _bad(path, "its DimSize is not two whole numbers")
    columns, rows = map(int, words)
    if not 0 < columns * rows <= LARGEST_FIELD_NODES:
        _bad(path, f"it has {columns} x {rows} nodes; 1 to {LARGEST_FIELD_NODES} can be read")
    return columns, rows


def _element(header: Mapping[str, str], path: Path) -> np.dtype[np.floating]:
    kind = _TYPES.get(header.get("ElementType", ""))
    if kind is None:
        _bad(path, f"its ElementType is not one of {', '.join(_TYPES)}")
    most_first = "BinaryDataByteOrderMSB" in header and _flag(header, "BinaryDataByteOrderMSB", path)
    return np.dtype((">" if most_first else "<") + kind)


def _steps(header: Mapping[str, str], path: Path) -> tuple[float, float]:
    spacing = _pair(header, _SPACING, path)
    if min(spacing) <= 0:
        _bad(path, "its spacing must be above 0")
    return spacing


def _pair(header: Mapping[str, str], keys: tuple[str, ...], path: Path) -> tuple[float, float]:
    value = next((header[key] for key in keys if key in header), "")
    first, second = _numbers(value, 2, keys[0], path)
    return first, second


def _numbers(text: str, count: int, what: str, path: Path) -> list[float]:
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(abs(number) <= LARGEST_NUMBER for number in numbers):
        _bad(path, f"its {what} is not {count} finite numbers")
    return numbers


def _flag(header: Mapping[str, str], key: str, path: Path) -> bool:
    value = header.get(key, "False").lower()
    if value not in ("true", "false"):
        _bad(path, f"its {key} is neither True nor False")
    return value == "true"


def _unpacked(file: BinaryIO, length: int, path: Path) -> bytes:
    """At most `length` bytes and one more: a small file may announce little and unpack to a lot."""
    unpacker, parts, have = zlib.decompressobj(), [], 0
    try:
        while have <= length and not unpacker.eof and (chunk := file.read(_CHUNK)):
            while chunk and have <= length:
                parts.append(unpacker.decompress(chunk, length + 1 - have))
                have += len(parts[-1])
                chunk = unpacker.unconsumed_tail
    except zlib.error as error:
        _bad(path, f"its values can't be unpacked ({error})")
    if have > length:
        _bad(path, "it holds more values than it announces")
    return b"".join(parts)


def _bad(path: Path, why: str) -> NoReturn:
    raise EngineError("field_unreadable", f"The displacement field {path.name} can't be read: {why}.")
