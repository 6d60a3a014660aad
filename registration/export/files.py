"""Folders and files that appear complete or not at all, and what to say when the disk refuses."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registration.engine.errors import EngineError

#: No space, over the quota, over the file size limit: for the user all the same.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def workplace(destination: Path) -> Iterator[Path]:
    """An empty temporary folder beside `destination`; gone, with all that is in it, when the block ends.

    The parent of `destination` is created if it is missing (one level only) and removed again on an error.
    Raises EngineError: disk_full, not_writable.
    """
    destination = destination.absolute()
    with _explained(destination):
        created_parent = _make_parent(destination.parent)
        folder = destination.with_name(f".{destination.name}.{secrets.token_hex(4)}.partial")
        done = False
        try:
            folder.mkdir()
            yield folder
            done = True
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if created_parent and not done:
                destination.parent.rmdir()


@contextmanager
def new_folder(destination: Path) -> Iterator[Path]:
    """A temporary folder that becomes `destination` when the block ends well; else nothing is left.

    `destination` must not exist yet, or be an empty folder; the temporary one lies in a temporary folder too.
    Raises EngineError: destination_exists, disk_full, not_writable.
    """
    with _explained(destination):
        _check_free(destination)
    with workplace(destination) as place:
        folder = place / destination.absolute().name
        folder.mkdir()
        yield folder
        sync(folder)
        folder.replace(destination)
        _sync_one(destination.absolute().parent)


def _check_free(destination: Path) -> None:
    """Raises EngineError("destination_exists") unless there is nothing, or an empty folder."""
    if destination.is_dir() and not destination.is_symlink() and not any(destination.iterdir()):
        return
    if destination.exists() or destination.is_symlink():
        raise EngineError(
            "destination_exists",
            f"{destination} exists and is not an empty folder; choose another.",
            field="out",
        )


def sync(folder: Path) -> None:
    """Everything in `folder` is on the disk when this returns."""
    for path in sorted(folder.rglob("*")):
        _sync_one(path)
    _sync_one(folder)


def move_into_place(file: Path, destination: Path) -> None:
    """Replace `destination` by `file` (same file system) in one step."""
    _sync_one(file)
    file.replace(destination)
    _sync_one(destination.absolute().parent)


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make_parent(parent: Path) -> bool:
    if parent.is_dir():
        return False
    if not parent.parent.is_dir():
        raise EngineError(
            "not_writable", f"Neither {parent} nor {parent.parent} is a folder; create it first.", field="out"
        )
    parent.mkdir()
    return True


@contextmanager
def _explained(destination: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _as_engine_error(error, destination) from error


def _as_engine_error(error: OSError, destination: Path) -> EngineError:
    if error.errno in _FULL:
        message = (
            f"The disk (or quota) that holds {destination.parent} is full; free some space and try again."
        )
        return EngineError("disk_full", message, permanent=False, field="out")
    why = error.strerror or str(error)
    return EngineError("not_writable", f"{destination} can't be written: {why}.", field="out")
