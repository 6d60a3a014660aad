"""Runs a command of manage.py as a user does: another folder, no environment, no database within reach."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import execute_from_command_line

from tests.processes import REPOSITORY

#: Nothing listens there: a command that touched the database would fail.
NO_DATABASE = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", "REDIS_URL": "redis://127.0.0.1:9"}

Done = subprocess.CompletedProcess[str]


def run(
    *arguments: str | Path | int, folder: Path | None = None, environment: dict[str, str] | None = None
) -> Done:
    """In a process of its own."""
    command = [sys.executable, str(REPOSITORY / "manage.py"), *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=folder,
        env=NO_DATABASE if environment is None else environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run_here(capsys: pytest.CaptureFixture[str], *arguments: str | Path | int) -> Done:
    """In this process: quick, and pytest refuses access to the database to tests that do not ask for it."""
    capsys.readouterr()
    command = ["manage.py", *map(str, arguments)]
    status = 0
    try:
        execute_from_command_line(command)
    except SystemExit as stop:
        status = int(stop.code or 0)
    output = capsys.readouterr()
    return Done(command, status, output.out, output.err)


def last_json(done: Done) -> dict[str, Any]:
    record = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(record, dict)
    return record


def assert_refuses_input(done: Done, *words: str) -> None:
    """Status 2, one line on stderr that holds `words`, nothing on stdout."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ")
    for word in words:
        assert word in done.stderr
