"""What a registration leaves on the disk: transform.json, field.npz, run.json, pictures of the region."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from registration import errormaps
from registration.engine.config import config_hash
from registration.engine.result import RegistrationResult, Section, Spread
from registration.engine.sections import CELLS_NEEDED, COARSEST_UM, section_of
from registration.engine.source import PixelSource
from registration.engine.transforms import save_transform
from registration.errormaps import figures
from registration.export.files import new_folder
from registration.export.pictures import jpeg, preview_pair

#: What run.json says beyond the --json line of the commands.
ONLY_IN_RUN = ("seed", "colour_policy", "alignment_version", "software")
COLOUR_POLICY = "stored colours; ICC profiles are not applied"
_PREVIEW_PX = 4096
_SOFTWARE = ("numpy", "opencv-python-headless", "openslide-bin", "tifffile")


@dataclass(frozen=True)
class SlideInfo:
    """reference : path, or the slide's id. stem : file name without ending. stain : "he" or "ihc".

    sha256 : of the slide's fingerprint.
    """

    reference: str | int
    stem: str
    stain: str
    sha256: str
    source: PixelSource

    def record(self) -> dict[str, Any]:
        um_per_px = self.source.um_per_px
        return {
            "path" if isinstance(self.reference, str) else "slide": self.reference,
            "sha256": self.sha256,
            "width": self.source.width,
            "height": self.source.height,
            "um_per_px": None if um_per_px is None else list(um_per_px),
        }


def run_record(
    result: RegistrationResult,
    fixed: SlideInfo,
    moving: SlideInfo,
    alignment_version: int | None = None,
    section: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of run.json, before anything is exported.

    alignment_version : None without a database. section : as stated_section gives it, where the slides were
    aligned before.
    """
    box = result.box
    return {
        "verdict": result.verdict.level.value,
        "reasons": [asdict(reason) for reason in result.verdict.reasons],
        "method": result.config.method,
        "transform": "transform.json",
        "error_px": spread_record(result.error_px),
        "error_um": spread_record(result.error_um),
        **figures(result.expected, box, fixed.source.um_per_px),
        "section": section or section_record(result.section or _section_of_region(result)),
        "seconds": seconds_by_stage(result),
        "residual_px": residual_by_stage(result),
        "engine_version": result.engine_version,
        "config": asdict(result.config),
        "config_hash": config_hash(result.config),
        "fixed": fixed.record(),
        "moving": moving.record(),
        "roi": None if box is None else [box.x, box.y, box.width, box.height],
        "patches": 0,
        "dropped": {},
        "patch_verdicts": {},
        "files": [],
        "seed": result.config.seed,
        "colour_policy": COLOUR_POLICY,
        "alignment_version": alignment_version,
        "software": {"python": platform.python_version()} | {name: version(name) for name in _SOFTWARE},
    }


def json_bytes(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=2, allow_nan=False) + "\n").encode()


def write_result(
    folder: Path,
    result: RegistrationResult,
    fixed: SlideInfo,
    moving: SlideInfo,
    alignment_version: int | None = None,
    section: dict[str, Any] | None = None,
) -> list[Path]:
    """Write transform.json, field.npz (where there is a field), expected.npz and expected.png (where there is
    a map of expected errors), run.json, fixed.jpg and moving.jpg.

    The pictures show the region (the whole fixed slide where there is none), both of the same size.
    folder : not there yet, or empty; it appears complete or not at all.
    Raises EngineError: destination_exists, disk_full, not_writable.
    """
    with new_folder(folder) as place:
        record = run_record(result, fixed, moving, alignment_version, section)
        names = write_record(place, result, record)
        box = result.box or result.transform.fixed.size.box
        pictures = preview_pair(fixed.source, moving.source, result.transform, box, _PREVIEW_PX)
        for name, picture in zip(("fixed.jpg", "moving.jpg"), pictures, strict=True):
            (place / name).write_bytes(jpeg(picture))
            names.append(name)
        if result.expected is not None:
            content = errormaps.picture(result.expected, box, fixed.source.um_per_px)
            (place / errormaps.PICTURE).write_bytes(content)
            names.append(errormaps.PICTURE)
    return [folder / name for name in names]


def write_record(place: Path, result: RegistrationResult, record: dict[str, Any]) -> list[str]:
    """transform.json, field.npz, expected.npz and run.json into a folder that exists; returns their names."""
    written = save_transform(
        place / "transform.json",
        result.transform,
        verdict=result.verdict.level.value,
        engine_version=result.engine_version,
    )
    names = [path.name for path in written]
    if result.expected is not None:
        (place / errormaps.FILE).write_bytes(errormaps.error_map_bytes(result.expected))
        names.append(errormaps.FILE)
    names.append("run.json")
    (place / "run.json").write_bytes(json_bytes(record | {"files": names}))
    return names


def seconds_by_stage(result: RegistrationResult) -> dict[str, float]:
    """Wall time; a stage that ran twice counts once, with both."""
    seconds: dict[str, float] = {}
    for stage in result.stages:
        seconds[stage.name] = round(seconds.get(stage.name, 0.0) + stage.seconds, 3)
    return seconds


def residual_by_stage(result: RegistrationResult) -> dict[str, float]:
    """Fixed level-0 px left after each stage that measured it; the last one where it ran twice."""
    return {
        stage.name: round(stage.residual_px, 3) for stage in result.stages if stage.residual_px is not None
    }


def section_record(section: Section | None) -> dict[str, Any] | None:
    """{"kind", "share", "message"}, as it is stored and printed."""
    if section is None:
        return None
    return {"kind": section.kind.value, "share": section.share, "message": section.message}


def _section_of_region(result: RegistrationResult) -> Section | None:
    """What the region's own cells say, where the slides were not looked at; None where there are too few, or
    where cells of other places may have been compared.
    """
    if result.refused:
        return None
    windows, um = (
        result.evidence.get("region_windows", 0.0),
        errormaps.um_of(result.transform.fixed.um_per_px),
    )
    if windows < CELLS_NEEDED or (um is not None and um > COARSEST_UM):
        return None
    return section_of([result.evidence["region_agreeing"]], um is not None)


def spread_record(spread: Spread | None) -> dict[str, float] | None:
    """{"median", "p90"}, as they are stored and printed."""
    return None if spread is None else asdict(spread)
