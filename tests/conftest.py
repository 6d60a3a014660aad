"""Fixtures for everybody: real slides, a real Redis, a real worker, users, a phantom pair."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings

from tests.processes import ManagedProcess, manage, start_redis

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from registration.engine.synthetic import Phantom

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of tests that share a node id, several processes would run one and leave out the others."""
    twice = [name for name, count in Counter(item.nodeid for item in items).items() if count > 1]
    if twice:
        raise pytest.UsageError(f"These node ids stand for more than one test: {', '.join(twice)}")


def pytest_sessionfinish() -> None:
    shutil.rmtree(settings.DATA_DIR, ignore_errors=True)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real slides; missing is a failure where SLIDEPAIR_TEST_DATA or CI_DATA_REQUIRED is set."""
    stated = os.environ.get("SLIDEPAIR_TEST_DATA", "")
    folder = Path(stated) if stated else REPOSITORY.parent / "shared" / "data"
    if (folder / "restained" / "he.tiff").is_file():
        return folder
    message = (
        f"No test slides in {folder}: set SLIDEPAIR_TEST_DATA to the folder that holds restained/he.tiff."
    )
    if stated or os.environ.get("CI_DATA_REQUIRED"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def user(db: None) -> User:
    return _account("pathologist")


@pytest.fixture
def other_user(db: None) -> User:
    return _account("somebody-else")


@pytest.fixture
def admin_user(db: None) -> User:
    return _account("admin", is_staff=True, is_superuser=True)


def _account(name: str, **fields: Any) -> User:
    from django.contrib.auth.models import User

    return User.objects.create_user(name, password="tissue-and-glass", **fields)


@pytest.fixture(scope="session")
def _redis_process() -> Iterator[ManagedProcess]:
    with start_redis(settings.REDIS_URL, Path(settings.DATA_DIR) / "redis") as server:
        yield server


@pytest.fixture
def redis_server(_redis_process: ManagedProcess) -> ManagedProcess:
    """A real, empty Valkey where the settings' queues look for it."""
    import redis

    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushall()
    return _redis_process


@pytest.fixture
def worker(transactional_db: None, redis_server: ManagedProcess) -> Iterator[ManagedProcess]:
    """A real worker process on the test database and the test Redis; `.log` is what it wrote."""
    with manage("worker") as process:
        process.wait_for_output("waits for jobs")
        yield process


@pytest.fixture(scope="session")
def phantom_pair(tmp_path_factory: pytest.TempPathFactory) -> Phantom:
    """Two synthetic slides of 1400 x 1400 px, the larger the slower, and the true transform between them."""
    from registration.engine.synthetic import write_phantom_pair

    return write_phantom_pair(tmp_path_factory.mktemp("phantom"), size=1400)
