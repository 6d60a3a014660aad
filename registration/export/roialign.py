"""The layout of the ROIAlign script: every patch of the region, and the region itself in four TIFFs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from registration.artefacts import SlideInfo
from registration.engine.geometry import Box
from registration.engine.patches import Patch, PatchGrid
from registration.engine.resample import warp_region
from registration.engine.result import OnProgress
from registration.engine.source import PixelSource, Rgb
from registration.engine.transforms import Transform
from registration.export.blocks import blocks, cut, in_order
from registration.export.pictures import png, write_tiff
from registration.export.request import ExportRequest, Outcome
from registration.export.sinks import Sink, safe_name
from registration.twin import twin_box

_PATCHES_SHARE = 60  # per cent of the work

#: Pixels of a box given in level-0 px.
Read = Callable[[Box], Rgb]


@dataclass(frozen=True)
class _Region:
    """The region on both slides, whichever was the registration's fixed one. transform : H&E to IHC."""

    he: SlideInfo
    ihc: SlideInfo
    he_box: Box
    ihc_box: Box
    transform: Transform


def write_roialign(sink: Sink, request: ExportRequest, on_progress: OnProgress, place: Path) -> Outcome:
    """Everything but transform.json, field.npz, run.json and SHA256SUMS, which all layouts share.

    place : a temporary folder on the sink's file system.
    """
    region = _region(request)
    drawn = request.moving_box or request.box
    root = f"{safe_name(region.ihc.stem)}_region_{drawn.x}_{drawn.y}"
    grid = PatchGrid(region.he_box, request.patch_size)
    groups = list(blocks(grid))
    made = in_order(lambda group: _patches(region, *group), groups)
    for done, files in enumerate(made, start=1):
        for name, content in files:
            sink.write(f"{root}/{name}", content)
        on_progress("export", _PATCHES_SHARE * done // len(groups))
    for done, (name, picture) in enumerate(_pictures(region).items(), start=1):
        write_tiff(place / name, *picture)
        sink.move(f"{root}/{name}", place / name)
        on_progress("export", _PATCHES_SHARE + (100 - _PATCHES_SHARE) * done // 4)
    return Outcome(patches=grid.columns * grid.rows)


def _region(request: ExportRequest) -> _Region:
    moving_box = request.moving_box or twin_box(request.box, request.transform)
    if request.fixed.stain == "he":
        return _Region(request.fixed, request.moving, request.box, moving_box, request.transform)
    return _Region(request.moving, request.fixed, moving_box, request.box, request.transform.inverse())


def _patches(region: _Region, block: Box, patches: tuple[Patch, ...]) -> list[tuple[str, bytes]]:
    he = _own(region.he.source)(block)
    ihc = _warped(region.ihc.source, region.transform)(block)
    files = []
    for box in (patch.box for patch in patches):
        x, y = box.x - region.he_box.x, box.y - region.he_box.y
        files.append((f"patches_he/patch_{box.x}_{box.y}.png", png(cut(he, block, box))))
        files.append((f"patches_ihc/patch_{x}_{y}.png", png(cut(ihc, block, box))))
    return files


def _pictures(region: _Region) -> dict[str, tuple[Box, tuple[float, float] | None, Read]]:
    he, ihc = region.he.source, region.ihc.source
    return {
        "he_ROI.tiff": (region.he_box, he.um_per_px, _own(he)),
        "ihc_ROI.tiff": (region.ihc_box, ihc.um_per_px, _own(ihc)),
        "registered_X.tiff": (region.ihc_box, ihc.um_per_px, _warped(he, region.transform.inverse())),
        "shifted_target.tiff": (region.he_box, he.um_per_px, _warped(ihc, region.transform)),
    }


def _own(source: PixelSource) -> Read:
    return lambda box: source.read(box.x, box.y, box.width, box.height, 1.0)[0]


def _warped(source: PixelSource, transform: Transform) -> Read:
    return lambda box: warp_region(source, transform, box)[0]
