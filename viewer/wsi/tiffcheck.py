"""Whether a TIFF file holds all the data that its directories speak of."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from viewer.wsi.errors import SlideError

_DATA_TAGS = {273: 279, 324: 325}  # strip and tile offsets -> their byte counts
_TYPES = {3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_MAX_DIRECTORIES = 1000


@dataclass(frozen=True)
class _Dialect:
    """Byte order and field widths: classic TIFF or BigTIFF (Adobe TIFF 6.0; BigTIFF by Aware Systems)."""

    order: str
    big: bool

    @property
    def offset(self) -> str:
        return self.order + ("u8" if self.big else "u4")

    @property
    def count(self) -> str:
        return self.order + ("u8" if self.big else "u2")

    @property
    def entry(self) -> np.dtype[np.void]:
        width = 8 if self.big else 4
        length = "u8" if self.big else "u4"
        return np.dtype(
            [
                ("tag", self.order + "u2"),
                ("type", self.order + "u2"),
                ("count", self.order + length),
                ("value", f"V{width}"),
            ]
        )


def check_complete(path: Path) -> None:
    """SlideError truncated if `path` is a TIFF that ends before its directories or pixels do.

    Other files pass, and so does NDPI, which keeps the high half of its offsets elsewhere.
    """
    if path.suffix.lower() == ".ndpi":
        return
    with path.open("rb") as file:
        dialect = _dialect(file.read(4))
        size = os.fstat(file.fileno()).st_size
        needed = _end(file, dialect, size) if dialect else 0
    if needed > size:
        raise SlideError(
            "truncated",
            f"{path.name} is cut off: it has {size:,} bytes and needs at least {needed:,}. "
            "Copy it again from its source.",
        )


def _dialect(magic: bytes) -> _Dialect | None:
    for mark, order in ((b"II", "<"), (b"MM", ">")):
        for version in (42, 43):
            if magic == mark + version.to_bytes(2, "little" if order == "<" else "big"):
                return _Dialect(order, big=version == 43)
    return None


def _end(file: BinaryIO, dialect: _Dialect, size: int) -> int:
    """The furthest byte that the directories speak of, as far as they can be read."""
    end = 0
    file.seek(8 if dialect.big else 4)
    for _ in range(_MAX_DIRECTORIES):
        start = _number(file, dialect.offset)
        if start is None:
            return size + 1
        if start == 0 or start >= size:
            return max(end, start + 1 if start else 0)
        file.seek(start)
        entries = _entries(file, dialect)
        if entries is None:
            return size + 1
        following = file.tell()
        end = max(end, _data_end(file, dialect, entries, size))
        file.seek(following)
    return end


def _number(file: BinaryIO, kind: str) -> int | None:
    values = _array(file, np.dtype(kind), 1)
    return None if values is None else int(values[0])


def _entries(file: BinaryIO, dialect: _Dialect) -> NDArray[Any] | None:
    count = _number(file, dialect.count)
    return None if count is None else _array(file, dialect.entry, min(count, 2**16))


def _array(file: BinaryIO, kind: np.dtype[Any], count: int) -> NDArray[Any] | None:
    data = file.read(kind.itemsize * count)
    return np.frombuffer(data, kind) if len(data) == kind.itemsize * count else None


def _data_end(file: BinaryIO, dialect: _Dialect, entries: NDArray[Any], size: int) -> int:
    """The furthest byte of one directory's strips and tiles; beyond the file where their list is."""
    by_tag = {int(entry["tag"]): entry for entry in entries}
    end = 0
    for offsets_tag, counts_tag in _DATA_TAGS.items():
        if offsets_tag in by_tag and counts_tag in by_tag:
            offsets = _values(file, dialect, by_tag[offsets_tag], size)
            counts = _values(file, dialect, by_tag[counts_tag], size)
            if offsets is None or counts is None:
                return size + 1
            if offsets.shape == counts.shape and offsets.size:
                end = max(end, int((offsets + counts).max()))
    return end


def _values(file: BinaryIO, dialect: _Dialect, entry: np.void, size: int) -> NDArray[np.uint64] | None:
    kind = np.dtype(dialect.order + _TYPES.get(int(entry["type"]), "u4"))
    count = int(entry["count"])
    inline = bytes(entry["value"])
    if kind.itemsize * count <= len(inline):
        return np.frombuffer(inline, kind, count).astype(np.uint64)
    if kind.itemsize * count > size:
        return None
    start = int(np.frombuffer(inline, dialect.offset)[0])
    if start >= size:
        return None
    file.seek(start)
    values = _array(file, kind, count)
    return None if values is None else values.astype(np.uint64)
