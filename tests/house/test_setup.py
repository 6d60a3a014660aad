"""scripts/setup on a machine where things are missing, and after it was interrupted or moved."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

TOOLS = ("bash", "dirname", "cat", "cut", "grep", "sha256sum", "flock", "rm", "touch", "ln", "find", "id")
BASE_PYTHON = Path(sys.base_prefix) / "bin" / "python3"


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH with a shell's everyday tools and nothing else: no Python, no Node, no browser."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        if found:
            (folder / tool).symlink_to(found)
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that needs no package, so that only the script's own work takes time."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    for name in ("requirements.lock", "requirements-node.lock", "package.json", "package-lock.json"):
        (folder / name).touch()
    _pretend_front_end(folder)
    return folder


def _pretend_front_end(folder: Path) -> None:
    script = 'cat package.json package-lock.json | sha256sum | cut -c1-32 > "$0"'
    (folder / "node_modules").mkdir()
    subprocess.run(["bash", "-c", script, "node_modules/.made"], cwd=folder, check=True)


def _setup(checkout: Path, path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(path), "HOME": os.environ.get("HOME", "/"), **variables}
    command = ["bash", "scripts/setup", *arguments]
    return subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def _executable(file: Path, script: str) -> None:
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_missing_python_is_named_with_the_command_that_installs_it(checkout: Path, bare_path: Path) -> None:
    result = _setup(checkout, bare_path)
    assert result.returncode == 1
    assert "python3 is: missing" in result.stderr
    assert "apt-get install python3 python3-venv" in result.stderr
    assert not (checkout / ".venv").exists()


def test_an_old_python_is_not_taken(checkout: Path, bare_path: Path) -> None:
    _executable(bare_path / "python3", '[ "$1" = --version ] && echo "Python 3.9.2" || exit 1')
    result = _setup(checkout, bare_path)
    assert result.returncode == 1
    assert "3.11 or newer is needed; python3 is: Python 3.9.2" in result.stderr


def test_missing_venv_module_is_named_with_the_command_that_installs_it(
    checkout: Path, bare_path: Path
) -> None:
    refuse = 'case "$*" in *ensurepip*) exit 1 ;; esac'
    _executable(bare_path / "python3", f'{refuse}\nexec {BASE_PYTHON} "$@"')
    result = _setup(checkout, bare_path)
    assert result.returncode == 1
    assert "apt-get install python3-venv" in result.stderr
    assert not (checkout / ".venv").exists()


def test_unknown_option_is_refused(checkout: Path, bare_path: Path) -> None:
    (bare_path / "python3").symlink_to(BASE_PYTHON)
    result = _setup(checkout, bare_path, "--everything")
    assert result.returncode == 1
    assert "unknown option --everything" in result.stderr
    assert not (checkout / ".venv").exists()


def test_second_run_has_nothing_to_do_and_an_unsound_environment_is_made_again(
    checkout: Path, bare_path: Path
) -> None:
    """Unsound: left by pip when the package index could not be reached, or moved."""
    (bare_path / "python3").symlink_to(BASE_PYTHON)
    assert "making .venv" in _setup(checkout, bare_path).stdout
    again = _setup(checkout, bare_path)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")

    lock, stamp = checkout / "requirements.lock", checkout / ".venv/.requirements.lock"
    lock.write_text("no-such-package==1.0 --hash=sha256:" + "0" * 64 + "\n")
    stamp_before = stamp.read_text()
    failed = _setup(checkout, bare_path, PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull)
    assert failed.returncode == 1
    assert "pip could not install requirements.lock" in failed.stderr
    assert stamp.read_text() == stamp_before

    lock.write_text("")
    (checkout / ".venv/half-written").touch()
    assert "making .venv" in _setup(checkout, bare_path).stdout
    assert not (checkout / ".venv/half-written").exists()
    assert _setup(checkout, bare_path).stdout == ""

    moved = checkout.rename(checkout.with_name("moved"))  # scripts in .venv/bin hold the old path
    assert "making .venv" in _setup(moved, bare_path).stdout
