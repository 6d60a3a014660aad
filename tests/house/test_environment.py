"""Settings from the environment and the data folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import env
from tests.viewer.test_bad_files import without_privileges

NAME = "SLIDEPAIR_SECRET_FOR_THIS_TEST"


def test_a_secret_is_the_variable_or_what_the_file_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret_key"
    file.write_text("kept\n")
    assert env.secret(NAME, file) == "kept"
    monkeypatch.setenv(NAME, "stated")
    assert env.secret(NAME, file) == "stated"


def test_without_either_each_process_has_its_own(tmp_path: Path) -> None:
    """Also where the data folder is another user's: commands that need no server still run."""
    (tmp_path / "empty").write_text("")
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "secret_key").write_text("kept")
    closed.chmod(0)
    with without_privileges():
        files = [tmp_path / "none", tmp_path / "empty", closed / "secret_key", tmp_path / "empty" / "below"]
        found = {env.secret(NAME, file) for file in files}
    assert len(found) == len(files)
    assert all(len(secret) >= 50 for secret in found)
