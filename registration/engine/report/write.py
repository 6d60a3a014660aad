"""The folder of a debug report: index.html, which holds everything, and each picture as a file."""

from __future__ import annotations

import re
from pathlib import Path

from registration.engine.errors import EngineError
from registration.engine.report.page import page
from registration.engine.report.recorder import Pictures, Shot
from registration.engine.result import RegistrationResult
from registration.engine.source import PixelSource


def write_report(
    folder: Path,
    recorder: Pictures,
    result: RegistrationResult,
    fixed: PixelSource | None = None,
    moving: PixelSource | None = None,
    *,
    title: str = "Registration report",
) -> list[Path]:
    """Write the report of one registration; returns the files, index.html first.

    folder : is created (its parent must be there), or is an empty one. fixed, moving : the slides, for
    pictures of the result itself; left out where they are None. title : may hold file names; it is escaped.
    Raises EngineError("destination_exists", field="report") and OSError.
    """
    folder.mkdir(exist_ok=True)
    if any(folder.iterdir()):
        raise EngineError(
            "destination_exists", f"{folder} is not empty; choose another folder.", field="report"
        )
    if fixed is not None and moving is not None:
        from registration.engine.report.outcome import draw_outcome

        draw_outcome(recorder, fixed, moving, result)
    written = []
    for name, shot in named(recorder.shots):
        (folder / name).write_bytes(shot.png)
        written.append(folder / name)
    index = folder / "index.html"
    index.write_text(page(title, result, recorder.shots), encoding="utf-8")
    return [index, *written]


def named(shots: tuple[Shot, ...]) -> list[tuple[str, Shot]]:
    """File names in the pictures' order: letters, digits and dashes only."""
    return [(f"{number:02d}-{_plain(shot.name)}.png", shot) for number, shot in enumerate(shots, start=1)]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "picture"
