"""Real processes for tests: started with the test run's places, stopped for sure."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from registration import redis_server
from registration.orphans import die_with_parent

REPOSITORY = Path(__file__).resolve().parent.parent
DEADLINE_SECONDS = 120.0  # for a machine that does much else


class ManagedProcess:
    """A child in its own process group, started in `folder`, whose output goes to `log`.

    It dies with the test run, also with one that is killed.
    """

    def __init__(
        self,
        command: list[str],
        log: Path,
        environment: dict[str, str] | None = None,
        folder: Path = REPOSITORY,
    ) -> None:
        self.log, parent = log, os.getpid()
        self._output = log.open("ab")
        self.popen = subprocess.Popen(
            command,
            cwd=folder,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=environment or dict(os.environ),
            process_group=0,
            preexec_fn=lambda: die_with_parent(parent),
        )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_output(self, text: str) -> None:
        wait_until(lambda: text in self.text() or self.popen.poll() is not None, f"{text!r} in {self.log}")
        assert text in self.text(), f"exit status {self.popen.poll()}:\n{self.text()}"

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory runs out."""
        self.popen.kill()
        self.popen.wait()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL to the whole group."""
        self.popen.terminate()
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _kill_group(self.popen.pid)
            self.popen.wait()
            self._output.close()


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_until(condition: Any, what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Polls `condition`; AssertionError naming `what` when it stays false."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.05)


def descendants(pid: int) -> list[int]:
    """All processes that `pid` has started, and those they have started, now."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        child, _, parent = _identity(stat)
        children.setdefault(parent, []).append(child)
    found, queue = [], [pid]
    while queue:
        new = children.get(queue.pop(), [])
        found += new
        queue += new
    return found


def parent_of(pid: int) -> int:
    return _identity(Path(f"/proc/{pid}/stat"))[2]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Neither gone nor a zombie that waits for its parent."""
    return _identity(Path(f"/proc/{pid}/stat"))[1] not in ("", "Z")


def _identity(stat: Path) -> tuple[int, str, int]:
    """Process id, state, parent; state "" if it is gone."""
    try:
        pid, rest = stat.read_text().split(" (", 1)
    except OSError:
        return 0, "", 0
    state, parent = rest.rsplit(") ", 1)[1].split()[:2]
    return int(pid), state, int(parent)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def worker_environment(**extra: str) -> dict[str, str]:
    """The environment in which `manage.py` uses the test run's database, Redis and data folder."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": _database_url(),
        **extra,
    }


def _database_url() -> str:
    """Of the test run's database; on PostgreSQL that of DATABASE_URL, with the test database's name."""
    from django.db import connection

    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite://{database['NAME']}"
    parts = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    options = {option: database[key] for option, key in parts.items() if database[key]}
    return f"postgresql://?{urlencode(options, quote_via=quote)}"


@contextmanager
def manage(*arguments: str, **environment: str) -> Iterator[ManagedProcess]:
    """`manage.py <arguments>` as a process, on the test database."""
    with tempfile.TemporaryDirectory(prefix="slidepair-log-") as folder:
        process = ManagedProcess(
            [sys.executable, "-u", "manage.py", *arguments],
            Path(folder) / f"{arguments[0]}.log",
            worker_environment(**environment),
        )
        try:
            yield process
        finally:
            process.stop()
            print(process.text())  # pytest shows it beside a failure


@contextmanager
def start_redis(url: str, folder: Path) -> Iterator[ManagedProcess]:
    """A Valkey at a unix:// url with its files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(url.removeprefix("unix://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    process = ManagedProcess(redis_server.server_command(path, folder), folder / "output.log")
    try:
        wait_until(lambda: redis_server.answers(url), f"Redis at {url}")
        yield process
    finally:
        process.stop()
