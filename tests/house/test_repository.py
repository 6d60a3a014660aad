"""What every tracked file must keep to, whoever writes it."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from tests.house.tree import ROOT, text_of, tracked

MAX_LINES = 300
TOP_LEVEL = "manage.py config viewer registration templates static tests Dockerfile README.md benchmarks docs"
ROOT_FILES = (
    "pyproject.toml requirements.lock requirements-test.lock requirements-node.lock "
    "package.json package-lock.json Makefile compose.yaml "
    "CHANGELOG.md CONTRIBUTING.md LICENSE .ci/run .pre-commit-config.yaml scripts/setup"
)
THIS = Path(__file__).resolve().relative_to(ROOT)
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root|farm|Users|home/[a-z]\w*)/")
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.org|yarnpkg\.com|npmmirror|deb\.debian\.org", re.IGNORECASE
)
DOWNLOAD = re.compile(r"https?://[^\s)\"']+\.(?:whl|tgz|tar\.gz|zip|deb|exe)\b")


def _offences(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}: {match.group()}"
        for name in tracked()
        if name != THIS
        for match in pattern.finditer(text_of(name))
    ]


@pytest.mark.parametrize(
    "pattern", [MACHINE_PATH, REGISTRY, DOWNLOAD], ids=["paths", "registries", "downloads"]
)
def test_no_file_names_a_machine_a_registry_or_a_download(pattern: re.Pattern[str]) -> None:
    assert _offences(pattern) == []


def test_the_patterns_above_do_find_what_they_look_for() -> None:
    assert MACHINE_PATH.search("open('/root/slides/a.svs')")
    assert not MACHINE_PATH.search("ROOT/root/x ~/work/x static/work/x")
    assert REGISTRY.search("index-url = https://PyPI.org/simple")
    assert DOWNLOAD.search('"resolved": "https://example.org/a/-/a-1.0.tgz"')


def test_source_files_stay_small() -> None:
    lines = {
        str(name): len(text_of(name).splitlines()) for name in tracked() if name.suffix in {".py", ".js"}
    }
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


def test_the_house_has_its_rooms() -> None:
    missing = [name for name in f"{TOP_LEVEL} {ROOT_FILES}".split() if not (ROOT / name).exists()]
    assert missing == []


def test_scripts_can_be_executed() -> None:
    scripts = [name for name in tracked() if text_of(name).startswith("#!") and name.suffix != ".py"]
    assert Path("scripts/setup") in scripts
    assert [str(name) for name in scripts if not (ROOT / name).stat().st_mode & 0o100] == []


def test_nothing_made_is_tracked() -> None:
    assert [str(name) for name in tracked() if {"node_modules", ".venv", "var"} & set(name.parts)] == []


def test_npm_lock_has_integrity_but_no_addresses() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    installed = {name: package for name, package in packages.items() if name}
    assert installed
    assert [name for name, package in installed.items() if "resolved" in package] == []
    assert [name for name, package in installed.items() if "integrity" not in package] == []


def _pins(lock: str) -> dict[str, str]:
    """Name -> version of a hashed lock; every entry must have at least one hash."""
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    pins = {}
    for entry in entries:
        match = re.match(r"([\w.-]+)(?:\[[\w,-]+\])?==(\S+)", entry)
        assert match, entry
        assert "--hash=sha256:" in entry, entry
        pins[_normal(match[1])] = match[2]
    return pins


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _names(requirements: list[str]) -> set[str]:
    return {_normal(re.split(r"[\[<>=~!; ]", requirement)[0]) for requirement in requirements}


def test_locks_hold_what_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    base, test = _pins("requirements.lock"), _pins("requirements-test.lock")
    assert _names(project["dependencies"]) - base.keys() == set()
    assert _names(extras["test"] + extras["lint"]) - test.keys() == set()
    assert _pins("requirements-node.lock").keys() == _names(extras["node"])
    assert base.items() <= test.items(), "the tests must run what users run"
