"""The installation on PostgreSQL, as compose.yaml runs it: a server is started here where there is one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from registration.engine.synthetic import Phantom
from tests.processes import REPOSITORY, ManagedProcess, free_port, wait_until

pytestmark = pytest.mark.slow
NOBODY = 65534  # PostgreSQL does not run as root
ON_EVERY_DATABASE = (
    "tests/registration/test_jobs_lifecycle.py",
    "tests/registration/test_jobs_recovery.py",
    "tests/registration/test_jobs_requests.py",
    "tests/api/test_errors.py",
)


class Server:
    """An empty cluster in `folder`, on a unix socket there and nowhere else."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries, self.folder = binaries, folder
        self.url = f"postgresql://slidepair@/postgres?host={folder}"
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
            ids = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
            self._as_user = ["setpriv", "--pdeathsig=QUIT", *ids]
        self._call(
            "initdb", "--username=slidepair", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"
        )
        self.start()

    def start(self) -> None:
        settings = {"listen_addresses": "", "unix_socket_directories": self.folder, "fsync": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._process = ManagedProcess(self._command("postgres", *options), self.folder / "log")
        wait_until(self._answers, f"PostgreSQL in {self.folder}")

    def stop(self) -> None:
        """At once: sessions that are open are cut off."""
        self._process.popen.send_signal(signal.SIGINT)
        self._process.popen.wait()
        self._process.stop()

    def one(self, query: str) -> tuple[object, ...]:
        """The only row of a query's answer."""
        with psycopg.connect(self.url) as connection:
            (row,) = connection.execute(query.encode()).fetchall()
        return tuple(row)

    def _answers(self) -> bool:
        try:
            return self.one("SELECT 1") == (1,)
        except psycopg.OperationalError:
            return False

    def _call(self, name: str, *options: str) -> None:
        subprocess.run(self._command(name, *options), check=True, stdout=subprocess.DEVNULL)

    def _command(self, name: str, *options: str) -> list[str]:
        return [*self._as_user, str(self.binaries / name), "-D", str(self.folder / "cluster"), *options]


def binaries() -> Path | None:
    """The folder of initdb and postgres; Debian keeps it off PATH."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    return versions[-1].parent if versions else None


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = binaries()
    if found is None:
        message = "No PostgreSQL server is installed (Debian: apt-get install postgresql)."
        if os.environ.get("SLIDEPAIR_REQUIRE_POSTGRESQL"):
            pytest.fail(message)
        pytest.skip(message)
    folder = Path(tempfile.mkdtemp(prefix="slidepair-pg-"))  # a short path: it holds sockets
    started = Server(found, folder)
    yield started
    started.stop()
    shutil.rmtree(folder)


@pytest.fixture
def environment(server: Server) -> Iterator[dict[str, str]]:
    """Of an installation with a data folder of its own on that server."""
    folder = tempfile.mkdtemp(prefix="slidepair-")
    kept = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    places = {"DATABASE_URL": server.url, "SLIDEPAIR_DATA": folder}
    size = {"SLIDEPAIR_WORKERS": "1", "SLIDEPAIR_JOB_THREADS": "1"}
    yield {**kept, **places, **size, "DJANGO_SETTINGS_MODULE": "config.settings"}
    shutil.rmtree(folder, ignore_errors=True)


def test_a_job_runs_to_its_end_although_the_database_is_restarted(
    server: Server, environment: dict[str, str], phantom_pair: Phantom, tmp_path: Path
) -> None:
    """Tables, slides and pair made by the commands; the job's process sleeps while the server is away."""
    command = [sys.executable, "-u", "manage.py"]
    up = ManagedProcess(
        [*command, "up", "--no-demo", "--port", str(free_port())], tmp_path / "log", environment
    )
    try:
        up.wait_for_output("SlidePair is ready at")
        pair = ("add_pair", "--he", str(phantom_pair.he), "--ihc", str(phantom_pair.ihc))
        subprocess.run([*command, *pair], cwd=REPOSITORY, env=environment, check=True)
        wait_until(lambda: stage(server) not in ("", "starting"), "the engine to be at work")
        child = int(str(server.one("SELECT worker FROM registration_pairalignment")[0]).rsplit(":", 1)[1])
        os.kill(child, signal.SIGSTOP)
        assert alignment(server) == ("running", 1)
        server.stop()
        server.start()
        os.kill(child, signal.SIGCONT)
        wait_until(lambda: alignment(server)[0] not in ("queued", "running"), "the alignment")
        assert alignment(server) == ("succeeded", 1)
    finally:
        up.stop()
        print(up.text())


def stage(server: Server) -> object:
    return server.one("SELECT stage FROM registration_pairalignment")[0]


def alignment(server: Server) -> tuple[object, ...]:
    """Status and attempt of the only one."""
    return server.one("SELECT status, attempt FROM registration_pairalignment")


@pytest.mark.timeout(600)
def test_jobs_and_bad_input_behave_as_on_sqlite(environment: dict[str, str]) -> None:
    """Those tests again, on this server: claims, ends, recovery, unique rows, ids and texts it can't hold."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ON_EVERY_DATABASE],
        cwd=REPOSITORY,
        env=environment | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(run.stdout, run.stderr)
    assert run.returncode == 0
