"""The report: targets first, then a table for each group; on the terminal and in docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from benchmarks.case import ROOT, Group
from benchmarks.store import Store
from benchmarks.tables import markdown, misses, sections, table
from benchmarks.targets import targets
from registration.engine import ENGINE_VERSION

DOCUMENT = ROOT / "docs" / "benchmarks.md"
#: So many are named.
MOST_MISSES = 40
START, END = "<!-- made by the command: start -->", "<!-- made by the command: end -->"


def report(groups: Sequence[Group], store: Store) -> str:
    """Markdown. Only what has been measured."""
    measured = {group.name: store.of(group) for group in groups}
    parts = [_machine(), "### Targets", markdown(targets(measured))]
    for group in groups:
        if measured[group.name]:
            parts += [f"### {group.title}", markdown(table(group.kind, measured[group.name]))]
            failed = misses(group.kind, measured[group.name])
            if failed:
                parts.append(
                    "\n".join(["What went wrong:", "", *(f"- {line}" for line in failed[:MOST_MISSES])])
                )
            missing = len(group.runs()) - sum(len(runs) for runs in measured[group.name].values())
            if missing > 0:
                parts.append(f"{missing} of {len(group.runs())} measurements are not in this table.")
    parts += ["### Same section or consecutive ones, as told from the slides", markdown(sections(measured))]
    return "\n\n".join(parts)


def write_document(groups: Sequence[Group], store: Store) -> None:
    """Between the two marks; the rest of the document is written by hand."""
    text = DOCUMENT.read_text()
    pattern = re.compile(f"{re.escape(START)}.*{re.escape(END)}", re.DOTALL)
    made = f"{START}\n\n{report(groups, store)}\n\n{END}"
    DOCUMENT.write_text(pattern.sub(lambda _: made, text))
    print(f"Written: {DOCUMENT.relative_to(ROOT)}")


def _machine() -> str:
    libraries = ", ".join(f"{name} {_version(name)}" for name in ("opencv-python-headless", "numpy"))
    return (
        f"Engine {ENGINE_VERSION}, Python {platform.python_version()}, {libraries}, "
        f"{os.cpu_count()} cores ({platform.machine()})."
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
