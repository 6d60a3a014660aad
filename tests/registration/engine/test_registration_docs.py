"""docs/registration.md against the code: reasons, methods, files of the engine."""

import re
from pathlib import Path

from registration.engine.config import METHODS

ROOT = Path(__file__).resolve().parents[3]
ENGINE = ROOT / "registration" / "engine"
DOCUMENT = (ROOT / "docs" / "registration.md").read_text()


def test_every_reason_is_explained() -> None:
    codes = set(re.findall(r'Reason\(\s*"(\w+)"', (ENGINE / "reasons.py").read_text()))
    assert len(codes) > 5
    assert {code for code in codes if f"`{code}`" not in DOCUMENT} == set()


def test_every_method_is_explained() -> None:
    assert {name for name in METHODS if f"`{name}`" not in DOCUMENT} == set()


def test_the_files_of_the_stages_exist() -> None:
    table = DOCUMENT.partition("### Stages")[2].partition("\n### ")[0]
    rows = re.findall(r"^\|.*\| ([a-z, ]+) \|$", table, re.MULTILINE)
    named = {name for row in rows for name in row.split(", ")} - {"files"}
    assert len(named) > 15
    assert {name for name in named if not (ENGINE / f"{name}.py").exists()} == set()
