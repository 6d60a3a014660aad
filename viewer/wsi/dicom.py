"""DICOM slides: one slide is a series, kept as several files in one folder."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_SERIES_INSTANCE_UID = (0x0020, 0x000E)
_ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_LONG_LENGTH = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_UNDEFINED = 0xFFFFFFFF


def is_dicom(path: Path) -> bool:
    """Whether the file can be read and starts as a DICOM file does."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def series_files(folder: Path) -> dict[str, list[Path]]:
    """The DICOM files right inside `folder` by series, in order of name."""
    series: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and is_dicom(path):
            series.setdefault(series_uid(path), []).append(path)
    return series


def series_uid(path: Path) -> str:
    """Series Instance UID of a DICOM file (explicit VR, little endian); '' where there is none."""
    with path.open("rb") as file:
        file.seek(132)
        while element := _element(file):
            tag, length = element
            if tag == _SERIES_INSTANCE_UID:
                return file.read(length).rstrip(b"\0 ").decode("ascii", "replace")
            if tag > _SERIES_INSTANCE_UID:
                return ""
            _skip(file, length)
    return ""


def _element(file: BinaryIO) -> tuple[tuple[int, int], int] | None:
    """Tag and value length of the element at the file's position, which moves on to the value."""
    head = file.read(8)
    if len(head) < 8:
        return None
    group, number = struct.unpack("<HH", head[:4])
    if group == 0xFFFE:
        return (group, number), struct.unpack("<I", head[4:])[0]
    if head[4:6] not in _LONG_LENGTH:
        return (group, number), struct.unpack("<H", head[6:])[0]
    long = file.read(4)
    return ((group, number), struct.unpack("<I", long)[0]) if len(long) == 4 else None


def _skip(file: BinaryIO, length: int) -> None:
    """Move past a value; one of undefined length holds elements, nested ones too, up to its end mark."""
    open_values = _enter(file, length)
    while open_values and (element := _element(file)):
        tag, length = element
        open_values += -1 if tag in (_ITEM_END, _SEQUENCE_END) else _enter(file, length)


def _enter(file: BinaryIO, length: int) -> int:
    """1 for a value of undefined length, whose elements come next; 0 where the value was passed over."""
    if length == _UNDEFINED:
        return 1
    file.seek(length, 1)
    return 0
