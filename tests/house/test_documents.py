"""Documents: links lead somewhere, commands exist, every setting is described."""

import re
import subprocess
from pathlib import Path

import pytest
from django.core.management import get_commands

from tests.house.tree import ROOT, text_of, tracked

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<img[^>]+src=\"([^\"]+)\"")
DOCUMENTS = [name for name in tracked() if name.suffix == ".md"]


def _links(document: Path) -> list[str]:
    return [first or second for first, second in LINK.findall(text_of(document))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    local = [link.split("#")[0] for link in _links(document) if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in local if not (ROOT / document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_commands_exist(document: Path) -> None:
    text = text_of(document)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|[`$] ?)make ([a-z-]+)", text, re.MULTILINE)) <= targets
    assert set(re.findall(r"manage\.py ([a-z_]+)", text)) <= get_commands().keys()


def test_the_port_is_said_to_make() -> None:
    shown = subprocess.run(
        ["make", "--dry-run", "run", "PORT=8123"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "manage.py up --port 8123" in shown.stdout
    assert "make run PORT=8123" in (ROOT / "README.md").read_text()


def test_readme_starts_with_a_picture_and_the_two_commands() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:30])
    assert "docs/images/workspace.png" in first_screen
    assert "make run" in first_screen
    assert "make test" in first_screen


def test_every_setting_is_described_and_every_described_one_exists() -> None:
    settings = (ROOT / "config" / "settings.py").read_text()
    read = set(re.findall(r"env\.\w+\(\s*\"([A-Z_]+)\"", settings))
    described = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert read == described
