"""Workers, their children and Redis are killed while twenty jobs run: every job ends exactly once."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django_rq.settings import QUEUES

from registration import services
from registration.engine.synthetic import Phantom
from registration.kinds import KINDS
from registration.models import LIVE, Archive, Job, JobStatus, PairAlignment, Registration
from registration.transitions import rows
from tests.processes import (
    ManagedProcess,
    command_of,
    descendants,
    free_port,
    is_alive,
    parent_of,
    wait_until,
    worker_environment,
)
from viewer.models import SlidePair
from viewer.services import add_slide, make_pair

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
LONG = 240.0  # seconds; for a machine that does much else
REGISTRATIONS = 9  # each brings its archive: with the two alignments, twenty jobs
HITS: tuple[tuple[str, type[Job]], ...] = (
    ("child", PairAlignment),
    ("worker", Registration),
    ("redis", Registration),
    ("child", Registration),
    ("worker", Archive),
    ("child", Archive),
    ("redis and its data", Archive),
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: it holds a socket."""
    made = Path(tempfile.mkdtemp(prefix="slidepair-kill-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def up(transactional_db: None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ManagedProcess]:
    """The whole installation on the test database, with two workers and a Redis of its own."""
    environment = worker_environment(
        SLIDEPAIR_DATA=str(folder), SLIDEPAIR_JOB_STALE="6", SLIDEPAIR_WORKERS="2"
    )
    environment.pop("REDIS_URL")
    for queue in QUEUES.values():
        monkeypatch.setitem(queue, "URL", f"unix://{folder}/run/redis.sock")
    process = ManagedProcess(
        [sys.executable, "-u", "manage.py", "up", "--no-demo", "--port", str(free_port())],
        folder / "up.log",
        environment,
    )
    try:
        process.wait_for_output("SlidePair is ready at")
        yield process
    finally:
        process.stop()
        print(process.text())


@pytest.fixture
def pairs(up: ManagedProcess, user: User, other_user: User, phantom_pair: Phantom) -> list[SlidePair]:
    """One for each user; their alignments start by themselves."""
    return [
        make_pair(add_slide(phantom_pair.he, owner), add_slide(phantom_pair.ihc, owner), owner)
        for owner in (user, other_user)
    ]


@pytest.mark.timeout(600)
def test_every_job_ends_exactly_once(up: ManagedProcess, pairs: list[SlidePair], folder: Path) -> None:
    """Registrations wait for their pair's alignment and are followed by their archive."""
    work = Work(pairs)
    work.request(REGISTRATIONS)
    hit = [_hit(up, folder, work, *each) for each in HITS]

    wait_until(work.has_ended, "all jobs", LONG)
    wait_until(lambda: not _children(up), "every child, also one that lost its job", LONG)
    for kind in KINDS:
        found = list(rows(kind.model))
        assert len(found) == work.expected[kind.model]
        assert [(row.status, row.error) for row in found] == [(JobStatus.SUCCEEDED, "")] * len(found)
        ends = Counter(int(pk) for pk in re.findall(rf"{kind.name}-(\d+)-\d+ ended:", up.text()))
        assert ends == Counter(row.pk for row in found)
    for model, pk in filter(None, hit):
        assert rows(model).get(pk=pk).attempt > 1, "a hit missed its job"
    _outputs_are_those_of_the_last_attempt(folder)


class Work:
    """What has been asked for; more of it where a fast machine has ended everything before a hit."""

    def __init__(self, pairs: list[SlidePair]) -> None:
        self.pairs = pairs
        self.expected: dict[type[Job], int] = {PairAlignment: len(pairs), Registration: 0, Archive: 0}

    def request(self, registrations: int) -> None:
        for _ in range(registrations):
            _request(self.pairs, self.expected[Registration])
            self.expected[Registration] += 1
            self.expected[Archive] += 1

    def keep_going(self) -> None:
        if self.has_ended():
            self.request(2)

    def has_ended(self) -> bool:
        counts = {model: rows(model).exclude(status__in=LIVE).count() for model in self.expected}
        return counts == self.expected


def _request(pairs: list[SlidePair], number: int) -> None:
    pair, place = pairs[number % 2], number % 9
    x, y = 320 + 60 * (place % 3), 320 + 60 * (place // 3)
    region = services.create_region(pair, pair.owner, frame="he", x=x, y=y, width=640, height=640)
    export = {"layout": "native", "patch_size": 24}
    services.request_registration(region, pair.owner, export_options=export)


def _children(up: ManagedProcess) -> list[int]:
    """The workers' children that still live."""
    workers = {pid for pid in descendants(up.pid) if "manage.py worker" in command_of(pid)}
    return [pid for pid in workers if parent_of(pid) in workers]


def _outputs_are_those_of_the_last_attempt(folder: Path) -> None:
    for registration in Registration.objects.all():
        assert _made(folder / "registrations" / str(registration.pk)) == [str(registration.attempt)]
        assert (folder / registration.folder / "transform.json").is_file()
    for archive in Archive.objects.all():
        assert _made(folder / "archives" / str(archive.pk)) == [str(archive.attempt)]
        file = folder / archive.file
        assert hashlib.sha256(file.read_bytes()).hexdigest() == archive.sha256
        with zipfile.ZipFile(file) as opened:
            assert opened.testzip() is None


def _made(folder: Path) -> list[str]:
    return [made.name for made in folder.iterdir()]


def _hit(
    up: ManagedProcess, folder: Path, work: Work, what: str, model: type[Job]
) -> tuple[type[Job], int] | None:
    """Strikes while a first attempt surely runs; the job that lost its process, or None for Redis."""
    while True:
        row, child = _running_first_attempt(work, model)
        with _frozen(child):
            row.refresh_from_db()
            victim = _victim(up, what, child)
            if row.status != JobStatus.RUNNING or row.attempt != 1 or victim not in descendants(up.pid):
                continue  # the job has just ended, or Redis is just coming back: look again
            if what == "redis and its data":
                shutil.rmtree(folder / "redis" / "appendonlydir")
            _send(victim, signal.SIGKILL)
        wait_until(partial(_is_gone, victim), f"the end of {what}")
        return None if what.startswith("redis") else (model, row.pk)


@contextmanager
def _frozen(child: int) -> Iterator[None]:
    """Stops the process that does the job, so that it can't end between the look and the strike."""
    _send(child, signal.SIGSTOP)
    try:
        yield
    finally:
        _send(child, signal.SIGCONT)


def _victim(up: ManagedProcess, what: str, child: int) -> int:
    if what.startswith("redis"):
        return next((pid for pid in descendants(up.pid) if "valkey-server" in command_of(pid)), 0)
    return parent_of(child) if what == "worker" else child


def _running_first_attempt(work: Work, model: type[Job]) -> tuple[Job, int]:
    """A row and the living process that holds it, the youngest."""
    found: list[tuple[Job, int]] = []

    def look() -> bool:
        work.keep_going()
        running = rows(model).filter(status=JobStatus.RUNNING, attempt=1).order_by("-started_at")
        held = [(row, int(row.worker.rsplit(":", 1)[1])) for row in running]
        found.extend((row, child) for row, child in held if is_alive(child))
        return bool(found)

    wait_until(look, f"a first {model.__name__} that runs", LONG)
    return found[0]


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has just ended by itself
        os.kill(pid, number)


def _is_gone(pid: int) -> bool:
    return not is_alive(pid)
