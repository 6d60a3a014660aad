"""Figures on disk, one JSON object a line, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.case import Group
from benchmarks.digests import digest
from benchmarks.figures import Figures
from registration.engine.config import METHODS

#: Figures count as long as these files are what they were when the figures were taken.
_CASES = (
    "registration/engine/synthetic/*.py",
    "benchmarks/real.py",
    "benchmarks/made.py",
    "benchmarks/figures.py",
)
_OURS = (
    *_CASES,
    "registration/engine/**/*.py",
    "viewer/wsi/*.py",
    "benchmarks/coverage.py",
    "benchmarks/methods.py",
)
_PEERS = (*_CASES, "registration/engine/roialign.py", "benchmarks/peers.py", "benchmarks/elastix_peer.py")


class Store:
    """keep : also take figures of other code than today's, the newest ones."""

    def __init__(self, path: Path, *, keep: bool = False) -> None:
        self._path, self._keep = path, keep
        self._runs: dict[tuple[str, str, str, str], Figures] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                self._read(line)

    def get(self, group: Group, case: str, method: str) -> Figures | None:
        return self._runs.get((group.name, case, method, self._code(method)))

    def put(self, group: Group, case: str, method: str, figures: Figures) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        run = {"group": group.name, "case": case, "method": method, "code": code_of(method), **figures}
        with self._path.open("a") as file:
            file.write(json.dumps(run) + "\n")
        self._runs[group.name, case, method, self._code(method)] = figures

    def of(self, group: Group) -> dict[str, dict[str, Figures]]:
        """Method -> case -> figures, in the group's order; only what has been measured."""
        found: dict[str, dict[str, Figures]] = {method: {} for method in group.methods}
        for case, method in group.runs():
            figures = self.get(group, case, method)
            if figures is not None and "skipped" not in figures:
                found[method][case] = figures
        return {method: of_method for method, of_method in found.items() if of_method}

    def _code(self, method: str) -> str:
        return "" if self._keep else code_of(method)

    def _read(self, line: str) -> None:
        """A line that was cut off by a crash is no figure."""
        try:
            run = json.loads(line)
        except json.JSONDecodeError:
            return
        group, case, method, code = (run.pop(name) for name in ("group", "case", "method", "code"))
        self._runs[group, case, method, "" if self._keep else code] = run


def code_of(method: str) -> str:
    """Changes with the code that a method's figures depend on."""
    return digest(*(_OURS if method in METHODS else _PEERS))
