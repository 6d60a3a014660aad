"""What `manage.py up` needs of the machine: the data folder for itself, a secret, a free port."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from config import env
from viewer import atomic

PORTS_TRIED = 20
#: Held while `up` runs; its process and, once it is ready, its address are in it.
_LOCK = "up.lock"


class CannotStart(Exception):
    """The message says why and what to do."""


@contextmanager
def only_one(run_folder: Path) -> Iterator[Callable[[str], None]]:
    """Holds the data folder: the kernel frees it when the process ends, however it ends.

    Yields what tells `running_at` the address.
    """
    with (run_folder / _LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            process = next(iter(file.read().split()), "unknown")
            raise CannotStart(
                f"SlidePair already runs on {run_folder.parent} (process {process}). "
                "Stop that one first, or set SLIDEPAIR_DATA to another folder."
            ) from error
        file.truncate(0)

        def tell(line: object) -> None:
            file.write(f"{line}\n")
            file.flush()

        tell(os.getpid())
        yield tell


def running_at(run_folder: Path) -> str | None:
    """The address of the server that holds the data folder; None where none does, or it is not ready yet."""
    try:
        with (run_folder / _LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return next(iter((run_folder / _LOCK).read_text().split()[1:]), None)
    return None


def make_folders() -> Path:
    """DATA_DIR, for this user alone, and the folder for sockets and locks in it."""
    run_folder = Path(settings.DATA_DIR) / "run"
    try:
        Path(settings.DATA_DIR).mkdir(mode=0o700, parents=True, exist_ok=True)
        run_folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise CannotStart(
            f"The data folder {settings.DATA_DIR} can't be written: {error.strerror}. Set SLIDEPAIR_DATA."
        ) from error
    return run_folder


def keep_secret_key() -> None:
    """Writes this process' key to <DATA_DIR>/secret_key (0600), for its children and for later runs."""
    if not env.text("SLIDEPAIR_SECRET_KEY") and not settings.SECRET_FILE.is_file():
        atomic.write_bytes(settings.SECRET_FILE, settings.SECRET_KEY.encode())


def free_port(host: str, wanted: int) -> int:
    """`wanted`, or the next port that nobody listens on. Raises CannotStart."""
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        if _can_bind(host, port):
            return port
    raise CannotStart(f"No port from {wanted} to {wanted + PORTS_TRIED - 1} is free on {host}. Use --port.")


def _can_bind(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise CannotStart(f"Can't listen on {host}:{port}: {error.strerror}.") from error
    return True


def healthy(base_url: str) -> bool:
    """Whether the web process, the database, Redis and a worker all answer."""
    try:
        with urllib.request.urlopen(f"{base_url}/health/", timeout=2) as answer:  # noqa: S310  (our own http URL)
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
