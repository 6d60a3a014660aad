"""The native layout: he/ and ihc/ with the same names, a manifest, and what is needed to understand them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from registration.artefacts import SlideInfo
from registration.engine.expected import UNMEASURED_PX, patch_verdict
from registration.engine.geometry import Box
from registration.engine.patches import Patch, PatchGrid
from registration.engine.resample import warp_region
from registration.engine.result import Level, OnProgress
from registration.engine.tissue import tissue_fraction
from registration.errormaps import um_of
from registration.export.blocks import blocks, cut, in_order
from registration.export.manifest import Row, Trust, manifest_csv, manifest_row, verdict_counts
from registration.export.pictures import jpeg, png, preview_pair, side_by_side
from registration.export.request import ExportRequest, Outcome
from registration.export.sinks import Sink

#: A pair with less tissue than this on the fixed slide is left out.
LEAST_TISSUE = 0.05
OUTSIDE = "outside_moving"
EMPTY = "no_tissue"
_OVERVIEW_PX = 1024
#: The reason that says that single cells were not matched.
REGION_LEVEL = "region_level_accuracy"


@dataclass(frozen=True)
class _Pair:
    """reason : why the pair is left out, or "". fixed, moving : PNG bytes."""

    reason: str
    fixed: bytes = b""
    moving: bytes = b""
    stem: str = ""
    row: Row = ()


def write_native(sink: Sink, request: ExportRequest, on_progress: OnProgress) -> Outcome:
    """Everything but transform.json, field.npz, run.json and SHA256SUMS, which all layouts share."""
    outcome = Outcome()
    rows: list[Row] = []
    groups = list(blocks(PatchGrid(request.box, request.patch_size)))
    made = in_order(lambda group: list(_pairs(request, *group)), groups)
    for done, pairs in enumerate(made, start=1):
        for pair in pairs:
            _store(sink, request, pair, outcome, rows)
        on_progress("export", 100 * done // len(groups))
    outcome.patches = len(rows)
    outcome.verdicts = verdict_counts(rows)
    sink.write("manifest.csv", manifest_csv(rows, request.fixed.source.um_per_px))
    sink.write("roi.geojson", roi_geojson(request))
    pictures = preview_pair(
        request.fixed.source, request.moving.source, request.transform, request.box, _OVERVIEW_PX
    )
    sink.write("overview.jpg", jpeg(side_by_side(*pictures)))
    sink.write("README.txt", _readme(request, outcome))
    return outcome


def _store(sink: Sink, request: ExportRequest, pair: _Pair, outcome: Outcome, rows: list[Row]) -> None:
    if pair.reason:
        outcome.drop(pair.reason)
        return
    sink.write(f"{request.fixed.stain}/{pair.stem}.png", pair.fixed)
    sink.write(f"{request.moving.stain}/{pair.stem}.png", pair.moving)
    rows.append(pair.row)


def _pairs(request: ExportRequest, block: Box, patches: tuple[Patch, ...]) -> Iterator[_Pair]:
    fixed, fixed_valid = request.fixed.source.read(block.x, block.y, block.width, block.height, 1.0)
    moving, moving_valid = warp_region(request.moving.source, request.transform, block)
    for patch in patches:
        if not cut(moving_valid, block, patch.box).all():
            yield _Pair(OUTSIDE)
            continue
        rgb = cut(fixed, block, patch.box)
        tissue = tissue_fraction(rgb, cut(fixed_valid, block, patch.box))
        if tissue < LEAST_TISSUE:
            yield _Pair(EMPTY)
            continue
        corners = request.transform(patch.box.corners())
        row = manifest_row(patch, corners, request.fixed.source.um_per_px, tissue, _trust(request, patch.box))
        yield _Pair("", png(rgb), png(cut(moving, block, patch.box)), patch.stem, row)


def _trust(request: ExportRequest, box: Box) -> Trust:
    """The region's verdict where there is no map, refused where the map is blank. Of a refused region no
    error is stated: nothing vouches for it.
    """
    region: str = request.record["verdict"]
    if request.expected is None or region == Level.REFUSED:
        return Trust(None, region)
    expected = request.expected.over(box)
    if expected >= UNMEASURED_PX:
        return Trust(None, Level.REFUSED)
    um = um_of(request.fixed.source.um_per_px)
    verdict = patch_verdict(expected * (um or 1.0), um is not None, cells_match=_cells_match(request))
    return Trust(expected, verdict)


def _cells_match(request: ExportRequest) -> bool:
    return all(reason["code"] != REGION_LEVEL for reason in request.record["reasons"])


def roi_geojson(request: ExportRequest) -> bytes:
    """The region on both slides as QuPath reads it: closed rings in level-0 px of the slide in `name`."""
    box = request.box.corners()
    features = [
        _feature(request.fixed, box.tolist()),
        _feature(request.moving, request.transform(box).round(3).tolist()),
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}, indent=2).encode() + b"\n"


def _feature(slide: SlideInfo, ring: list[list[float]]) -> dict[str, Any]:
    stain = "H&E" if slide.stain == "he" else "IHC"
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "properties": {
            "objectType": "annotation",
            "name": f"ROI on the {stain} slide ({slide.stem})",
            "classification": {
                "name": stain,
                "color": [204, 121, 167] if slide.stain == "he" else [213, 94, 0],
            },
        },
    }


def _claim(request: ExportRequest) -> str:
    """What the pairs are, as far as the verdict allows to say it."""
    files = f"{request.fixed.stain}/<stem>.png and {request.moving.stain}/<stem>.png"
    if request.record["verdict"] == Level.REFUSED:
        return (
            f"REFUSED: {files} may not show the same tissue.\n"
            "The registration was refused and is not to be used; the patches were asked for all the same."
        )
    if not _cells_match(request):
        return f"{files} show the same region; single cells do not match."
    return f"{files} show the same tissue, pixel for pixel."


def _readme(request: ExportRequest, outcome: Outcome) -> bytes:
    fixed, moving = request.fixed, request.moving
    box = request.box
    dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(outcome.dropped.items())) or "none"
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in outcome.verdicts.items()) or "none"
    return f"""Aligned patch pairs

{_claim(request)}
The patches of {fixed.stain}/ are the slide's own pixels; those of {moving.stain}/ were resampled
through transform.json.

Region    x {box.x}, y {box.y}, {box.width} x {box.height} level-0 px of the {fixed.stain} slide
Patches   {outcome.patches} of {request.patch_size} px ({verdicts}); left out: {dropped}
Verdict   {request.record["verdict"]} (reasons and error figures are in run.json)

manifest.csv    one row a pair: its place on both slides (level-0 px, corner-based);
                fixed is the {fixed.stain} slide, moving the {moving.stain} slide;
                nine places in ten of a pair are off by less than its expected error
run.json        how the pairs were made
transform.json  moving_from_fixed; where it names a field, that is in field.npz
expected.npz    where there is one: the map of expected errors, level-0 px of {fixed.stain}
roi.geojson     the region on both slides, for QuPath
overview.jpg    the region on both slides, side by side
SHA256SUMS      check with: sha256sum -c SHA256SUMS

Left out: {OUTSIDE} = the pair reaches beyond the other slide;
          {EMPTY} = less than {LEAST_TISSUE:.0%} tissue.
""".encode()
