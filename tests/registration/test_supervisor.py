"""`manage.py up` as a user starts it: what it brings up, restarts, and leaves behind (nothing)."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import (
    DEADLINE_SECONDS,
    REPOSITORY,
    ManagedProcess,
    command_of,
    descendants,
    free_port,
    is_alive,
    parent_of,
    wait_until,
)

pytestmark = pytest.mark.slow


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        return None


def status_of(url: str) -> int:
    try:
        with urllib.request.build_opener(NoRedirect).open(url, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:  # refused, reset or too slow
        return 0


class Installation:
    """A data folder of its own, and `manage.py up` on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ours = ("REDIS_URL", "DATABASE_URL", "SLIDEPAIR_SECRET_KEY")
        self.environment = {name: value for name, value in os.environ.items() if name not in ours}
        self.environment |= {
            "SLIDEPAIR_DATA": str(folder / "var"),
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        self.environment["SLIDEPAIR_WORKERS"] = "1"

    def command(self, port: int) -> list[str]:
        return [sys.executable, "-u", "manage.py", "up", "--no-demo", "--port", str(port)]

    def start(self, port: int) -> ManagedProcess:
        process = ManagedProcess(self.command(port), self.folder / f"up-{port}.log", self.environment)
        process.wait_for_output("SlidePair is ready at")
        return process


def base_url(up: ManagedProcess) -> str:
    found = re.search(r"ready at (http://\S+)/", up.text())
    assert found
    return found[1]


def service(up: ManagedProcess, words: str) -> int:
    """The living process that `up` itself has started and whose command line holds `words`; 0 if none."""
    found = (pid for pid in descendants(up.pid) if words in command_of(pid) and parent_of(pid) == up.pid)
    return next(filter(is_alive, found), 0)


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    folder = Path(tempfile.mkdtemp(prefix="slidepair-up-"))  # a short path: it holds a socket
    yield Installation(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def up(installation: Installation) -> Iterator[ManagedProcess]:
    process = installation.start(free_port())
    yield process
    process.stop()


def test_it_is_healthy_when_it_says_that_it_is_ready(up: ManagedProcess) -> None:
    assert status_of(f"{base_url(up)}/health/") == 200


@pytest.mark.parametrize("name", ["js/workspace.js", "vendor/openseadragon/openseadragon.min.js"])
def test_it_serves_what_the_pages_load(up: ManagedProcess, name: str) -> None:
    """The other tests' servers look files up anew each time, see tests/settings.py; this one lists them."""
    assert status_of(f"{base_url(up)}/static/{name}") == 200


def test_its_secret_is_for_its_user_only(up: ManagedProcess, installation: Installation) -> None:
    var = installation.folder / "var"
    assert stat.S_IMODE((var / "secret_key").stat().st_mode) == 0o600
    assert stat.S_IMODE(var.stat().st_mode) == 0o700
    assert len((var / "secret_key").read_text()) >= 50


def test_its_login_link_works_once(up: ManagedProcess) -> None:
    found = re.search(r"(http://\S+/login/once/\S+)", up.text())
    assert found
    assert status_of(found[1]) == 302
    assert status_of(found[1]) == 403


def test_another_login_link_leads_to_the_port_it_runs_on(
    up: ManagedProcess, installation: Installation
) -> None:
    command = [sys.executable, "manage.py", "login_link"]
    link = subprocess.check_output(command, cwd=REPOSITORY, env=installation.environment, text=True)
    assert link.startswith(f"{base_url(up)}/login/once/")


def test_a_second_one_on_the_same_data_is_refused(up: ManagedProcess, installation: Installation) -> None:
    second = subprocess.run(
        installation.command(free_port()),
        cwd=REPOSITORY,
        env=installation.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert f"already runs on {installation.folder / 'var'} (process {up.pid})" in second.stderr
    assert status_of(f"{base_url(up)}/health/") == 200


@pytest.mark.parametrize("words", ["manage.py worker", "manage.py reaper", "valkey-server", "granian"])
def test_what_is_killed_is_started_again(up: ManagedProcess, words: str) -> None:
    victim = service(up, words)
    assert victim
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: not is_alive(victim), f"the end of {words}")
    wait_until(lambda: service(up, words) not in (0, victim), f"a new {words}")
    wait_until(lambda: status_of(f"{base_url(up)}/health/") == 200, "health")


def test_ctrl_c_stops_everything(up: ManagedProcess) -> None:
    family = descendants(up.pid)
    assert len(family) >= 5
    os.kill(up.pid, signal.SIGINT)
    assert up.popen.wait(DEADLINE_SECONDS) == 0
    wait_until(lambda: not any(map(is_alive, family)), "the end of every process")
    assert up.text().rstrip().endswith("Stopped.")


def test_killed_it_leaves_no_process_behind(installation: Installation) -> None:
    """Also: the second start keeps the secret, and a taken port is stepped over and said."""
    secret = (installation.folder / "var" / "secret_key").read_text()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        up = installation.start(port)
    try:
        assert f"Port {port} is taken" in up.text()
        assert not base_url(up).endswith(f":{port}")
        assert (installation.folder / "var" / "secret_key").read_text() == secret
        family = descendants(up.pid)
        assert len(family) >= 5
        up.kill()
        wait_until(lambda: not any(map(is_alive, family)), "the end of every process")
    finally:
        up.stop()


def test_a_socket_path_that_is_too_long_is_named(installation: Installation, tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 110)
    result = subprocess.run(
        installation.command(free_port()),
        cwd=REPOSITORY,
        env=installation.environment | {"SLIDEPAIR_DATA": str(deep)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "limit of 107" in result.stderr
    assert "SLIDEPAIR_DATA" in result.stderr
    assert "Traceback" not in result.stderr
