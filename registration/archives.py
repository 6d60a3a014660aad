"""Aligned patch pairs as a zip or a folder: streamed, the same bytes every time, complete or not there."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from registration import errormaps
from registration.artefacts import json_bytes
from registration.engine.errors import EngineError
from registration.engine.patches import PatchGrid
from registration.engine.result import OnProgress, no_progress
from registration.engine.transforms import save_transform
from registration.export.files import move_into_place, new_folder, workplace
from registration.export.native import LEAST_TISSUE, write_native
from registration.export.request import ExportRequest, Outcome
from registration.export.roialign import write_roialign
from registration.export.sinks import FolderSink, Sink, ZipSink

__all__ = ["LAYOUTS", "ExportReport", "ExportRequest", "export", "export_into"]

LAYOUTS = ("native", "roialign")


@dataclass(frozen=True)
class ExportReport:
    """patches : pairs written. dropped : reason -> pairs. files : names inside, in the order written.

    size_bytes, sha256 : of the zip; of a folder the sum of its files and "" (SHA256SUMS lists them).
    record : what run.json holds.
    """

    patches: int
    dropped: dict[str, int]
    files: tuple[str, ...]
    size_bytes: int
    sha256: str
    record: dict[str, Any]


def export(destination: Path, request: ExportRequest, on_progress: OnProgress = no_progress) -> ExportReport:
    """Write the pairs of `request` to `destination`.

    destination : a zip (replaced if it is there) where it ends in .zip, else a folder, new or empty.
    Memory does not grow with the region. on_progress may raise Cancelled; then, as after any error, nothing
    is left. Raises EngineError: unknown_layout, patch_larger_than_region, destination_exists, disk_full,
    not_writable.
    """
    check_request(request)
    if destination.suffix.lower() == ".zip":
        return _export_zip(destination, request, on_progress)
    with new_folder(destination) as folder:
        sink = FolderSink(folder)
        record = export_into(sink, folder.parent, request, on_progress)
        size = sum((folder / name).stat().st_size for name in sink.sha256)
    return _report(record, size, "")


def check_request(request: ExportRequest) -> None:
    """Raises EngineError: unknown_layout (field layout), or PatchGrid's (field patch_size)."""
    if request.layout not in LAYOUTS:
        raise EngineError(
            "unknown_layout",
            f"There is no layout {request.layout!r}; choose one of {', '.join(LAYOUTS)}.",
            field="layout",
        )
    PatchGrid(request.box, request.patch_size)


def _export_zip(destination: Path, request: ExportRequest, on_progress: OnProgress) -> ExportReport:
    with workplace(destination) as place:
        file = place / "archive.zip"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            record = export_into(ZipSink(archive), place, request, on_progress)
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = file.stat().st_size
        move_into_place(file, destination)
    return _report(record, size, digest)


def _report(record: dict[str, Any], size_bytes: int, sha256: str) -> ExportReport:
    return ExportReport(
        record["patches"], record["dropped"], tuple(record["files"]), size_bytes, sha256, record
    )


def export_into(sink: Sink, place: Path, request: ExportRequest, on_progress: OnProgress) -> dict[str, Any]:
    """Write all files of a layout; returns what run.json holds.

    place : a folder on the sink's file system, in which large files are made before the sink takes them.
    """
    with TemporaryDirectory(dir=place) as name:
        scratch = Path(name)
        if request.layout == "roialign":
            outcome = write_roialign(sink, request, on_progress, scratch)
        else:
            outcome = write_native(sink, request, on_progress)
        _write_transform(sink, request, scratch)
    record = _final_record(sink, request, outcome)
    sink.write("run.json", json_bytes(record))
    sink.write("SHA256SUMS", sink.checksums())
    return record


def _write_transform(sink: Sink, request: ExportRequest, scratch: Path) -> None:
    files = save_transform(
        scratch / "transform.json",
        request.transform,
        verdict=request.record["verdict"],
        engine_version=request.record["engine_version"],
    )
    for file in files:
        sink.move(file.name, file)
    if request.expected is not None:
        sink.write(errormaps.FILE, errormaps.error_map_bytes(request.expected))


def _final_record(sink: Sink, request: ExportRequest, outcome: Outcome) -> dict[str, Any]:
    settings: dict[str, Any] = {"layout": request.layout, "patch_size": request.patch_size}
    if request.layout == "native":
        settings["least_tissue_fraction"] = LEAST_TISSUE
    return request.record | {
        "transform": "transform.json",
        "config": request.record["config"] | {"export": settings},
        "patches": outcome.patches,
        "dropped": dict(sorted(outcome.dropped.items())),
        "patch_verdicts": outcome.verdicts,
        "files": [*sink.sha256, "run.json", "SHA256SUMS"],
    }
