"""Files and folders that are slides, and what identifies a slide's content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from viewer.wsi.dicom import is_dicom, series_files, series_uid
from viewer.wsi.errors import SlideError

_SCANNER_SUFFIXES = {".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide", ".zvi", ".czi"}
SUFFIXES = _SCANNER_SUFFIXES | {".tif", ".tiff", ".png", ".jpg", ".jpeg"}
_SAMPLES = 32
_SAMPLE_BYTES = 64 * 1024


def find_slides(path: Path) -> list[Path]:
    """Slides at `path`: a file itself, or everything in a folder and below that looks like a slide.

    A folder that holds one DICOM series and nothing else is one slide; otherwise a series is named by its
    first file. Folders below that can't be read are listed too, so that adding them says why; hidden
    entries and links to folders are passed over. SlideError not_found, unreadable.
    """
    check_readable(path)
    if not path.is_dir():
        return [path]
    found = [slide for entry in sorted(path.iterdir()) for slide in _slides_in(entry)]
    series = list(series_files(path).values())
    if len(series) == 1 and not found:
        return [path]
    return found + [files[0] for files in series]


def _slides_in(entry: Path) -> list[Path]:
    """Slides that an entry of a folder stands for, DICOM files aside."""
    if entry.name.startswith("."):
        return []
    if entry.is_dir():
        return [] if entry.is_symlink() else _slides_below(entry)
    return [entry] if entry.suffix.lower() in SUFFIXES else []


def _slides_below(folder: Path) -> list[Path]:
    try:
        return find_slides(folder)
    except SlideError:
        return [folder]


def check_readable(path: Path) -> None:
    """SlideError not_found or unreadable unless `path` is a file or folder that can be read."""
    try:
        if path.is_dir():
            next(path.iterdir(), None)
        elif path.is_file() or not path.exists():
            path.open("rb").close()
        else:
            raise SlideError("unreadable", f"{path} is neither a file nor a folder.")
    except FileNotFoundError as error:
        raise SlideError("not_found", f"There is no file or folder {path}.") from error
    except OSError as error:
        raise SlideError(
            "unreadable", f"{path} can't be read: {error.strerror}. Check its permissions."
        ) from error


def parts(path: Path) -> list[Path]:
    """All files that belong to the slide at `path`, the one to open first.

    SlideError as `check_readable`; not_a_slide, several_slides for a folder that is not one DICOM series.
    """
    check_readable(path)
    if path.is_dir():
        return _only_series(path)
    if is_dicom(path):
        return series_files(path.parent)[series_uid(path)]
    if path.suffix.lower() == ".mrxs" and path.with_suffix("").is_dir():
        return [path, *sorted(file for file in path.with_suffix("").iterdir() if file.is_file())]
    return [path]


def _only_series(folder: Path) -> list[Path]:
    series = list(series_files(folder).values())
    if not series:
        raise SlideError(
            "not_a_slide", f"The folder {folder.name} holds no DICOM slide; name a slide file in it."
        )
    if len(series) > 1:
        names = ", ".join(files[0].name for files in series)
        raise SlideError(
            "several_slides",
            f"The folder {folder.name} holds {len(series)} DICOM slides; name one of {names}.",
        )
    return series[0]


def fingerprint(path: Path) -> str:
    """SHA-256 (hex) over the size and 32 evenly spread samples of 64 KB of each file of the slide.

    The same content gives the same fingerprint wherever it lies and whatever it is called; files of up to
    2 MB are covered completely. SlideError as `parts`.
    """
    digest = hashlib.sha256(b"slidepair fingerprint 1")
    for part in parts(path):
        digest.update(_sampled(part))
    return digest.hexdigest()


def _sampled(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(size.to_bytes(8, "little"))
        spare = max(0, size - _SAMPLE_BYTES)
        for i in range(_SAMPLES):
            file.seek(spare * i // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.digest()


def size_bytes(path: Path) -> int:
    return sum(part.stat().st_size for part in parts(path))


def stamp(path: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Changes when a file of the slide is replaced or written to. SlideError as `check_readable`."""
    check_readable(path)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    states = [(file.name, file.stat()) for file in files]
    return tuple((name, state.st_mtime_ns, state.st_size, state.st_ino) for name, state in states)
