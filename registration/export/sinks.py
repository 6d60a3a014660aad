"""Where an export writes to: a folder or a zip. Names are relative, with slashes; each sha256 is kept."""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
import zipfile
from abc import ABC, abstractmethod
from pathlib import Path

#: The same moment for every file in every archive, so that the same content gives the same bytes.
_MOMENT = (1980, 1, 1, 0, 0, 0)
_LONGEST_NAME = 200  # bytes
_HARMFUL = re.compile(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff<>:"/\\|?*]+')


class Sink(ABC):
    """sha256 : name -> hex digest, in the order written."""

    def __init__(self) -> None:
        self.sha256: dict[str, str] = {}

    def write(self, name: str, content: bytes) -> None:
        self.sha256[name] = hashlib.sha256(content).hexdigest()
        self._write(name, content)

    def move(self, name: str, file: Path) -> None:
        """Take over `file`, which lies on the same file system and is gone afterwards."""
        with file.open("rb") as stream:
            self.sha256[name] = hashlib.file_digest(stream, "sha256").hexdigest()
        self._move(name, file)

    def checksums(self) -> bytes:
        """As the sha256sum command reads them."""
        return "".join(f"{digest}  {name}\n" for name, digest in self.sha256.items()).encode()

    @abstractmethod
    def _write(self, name: str, content: bytes) -> None: ...

    @abstractmethod
    def _move(self, name: str, file: Path) -> None: ...


class FolderSink(Sink):
    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

    def _write(self, name: str, content: bytes) -> None:
        self._place(name).write_bytes(content)

    def _move(self, name: str, file: Path) -> None:
        file.replace(self._place(name))

    def _place(self, name: str) -> Path:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class ZipSink(Sink):
    """Stored, not deflated: PNG and TIFF content is compressed already."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        super().__init__()
        self._archive = archive

    def _write(self, name: str, content: bytes) -> None:
        self._archive.writestr(_entry(name), content)

    def _move(self, name: str, file: Path) -> None:
        entry = _entry(name)
        entry.file_size = file.stat().st_size
        with file.open("rb") as source, self._archive.open(entry, "w") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        file.unlink()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _MOMENT)
    entry.create_system = 3  # Unix, on every machine
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry


def safe_name(stem: str) -> str:
    """A slide's name as a harmless part of a path: itself, but for what no zip or file system should hold."""
    name = _HARMFUL.sub("_", stem).strip(". ").encode()[:_LONGEST_NAME].decode(errors="ignore")
    return name.rstrip(". ") or "slide"
