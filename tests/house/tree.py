"""The repository as the house tests see it: what is tracked, or, outside git, what a checkout would hold."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MADE = {".venv", "node_modules", "var", "bench-out", "__pycache__", ".git"}
MADE |= {".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache"}


@cache
def tracked() -> tuple[Path, ...]:
    """Paths relative to ROOT, sorted."""
    names = _from_git() if (ROOT / ".git").exists() else _from_disk(ROOT)
    return tuple(sorted(name for name in names if (ROOT / name).is_file()))


def _from_git() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [Path(name) for name in listing.stdout.split("\0") if name]


def _from_disk(folder: Path) -> list[Path]:
    found: list[Path] = []
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in MADE:
            found += _from_disk(entry)
        elif entry.is_file():
            found.append(entry.relative_to(ROOT))
    return found


def text_of(name: Path) -> str:
    """The file's text; empty for a binary file."""
    content = (ROOT / name).read_bytes()
    return "" if b"\0" in content else content.decode()
