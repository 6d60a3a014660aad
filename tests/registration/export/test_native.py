"""The native layout: what is in it, and that pixels, manifest and figures agree with an independent look."""

from __future__ import annotations

import csv
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from registration.archives import ExportReport, export
from registration.artefacts import SlideInfo
from registration.engine.expected import PATCH_GOOD_UM, UNMEASURED_PX
from registration.engine.geometry import Box
from registration.engine.patches import PatchGrid
from registration.engine.tissue import tissue_fraction
from registration.engine.transforms import load_transform
from registration.errormaps import load_error_map
from registration.export.native import REGION_LEVEL
from tests.registration.export.pairs import BOX, error_map, naive_warp, phantom, request, slide

PLACE = ["stem", "col", "row", "fixed_x", "fixed_y", "fixed_width", "fixed_height"]
CORNERS = [f"moving_{axis}{corner}" for corner in (1, 2, 3, 4) for axis in "xy"]
MANIFEST = [*PLACE, *CORNERS, "um_per_px", "tissue_fraction", "expected_error_um", "verdict"]
JSON = ["verdict", "reasons", "method", "transform", "error_px", "error_um", "expected_error_px"]
JSON += ["expected_error_um", "section", "seconds", "residual_px", "engine_version"]
JSON += ["config", "config_hash", "fixed", "moving", "roi", "patches", "dropped", "patch_verdicts", "files"]
RUN = [*JSON, "seed", "colour_policy", "alignment_version", "software"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportReport]:
    folder = tmp_path_factory.mktemp("native") / "out"
    return folder, export(folder, request())


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        found = list(reader)
    px = [name.replace("expected_error_um", "expected_error_px") for name in MANIFEST]
    assert reader.fieldnames in (MANIFEST, px)
    return found


def rgb(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), dtype=np.uint8)


def box_of(row: dict[str, str]) -> Box:
    x, y, width, height = (int(row[f"fixed_{name}"]) for name in ("x", "y", "width", "height"))
    return Box(x, y, width, height)


def test_files_are_those_of_the_layout(exported: tuple[Path, ExportReport]) -> None:
    folder, report = exported
    stems = [row["stem"] for row in rows(folder)]
    expected = {f"{stain}/{stem}.png" for stain in ("he", "ihc") for stem in stems}
    expected |= {"manifest.csv", "run.json", "transform.json", "field.npz", "roi.geojson", "overview.jpg"}
    expected |= {"README.txt", "SHA256SUMS", "expected.npz"}
    on_disk = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert on_disk == expected == set(report.files)
    assert report.patches == len(stems) > 5


def test_every_patch_equals_a_naive_derivation(exported: tuple[Path, ExportReport]) -> None:
    folder, _ = exported
    for row in rows(folder):
        box = box_of(row)
        he = rgb(folder / "he" / f"{row['stem']}.png")
        assert np.array_equal(he, phantom().he.rgb[box.y : box.bottom, box.x : box.right])
        expected, inside = naive_warp(phantom().ihc.rgb, box)
        difference = np.abs(rgb(folder / "ihc" / f"{row['stem']}.png") - expected)
        assert inside.all()
        assert difference.mean() < 0.5  # grey levels; OpenCV rounds positions to 1/32 px
        assert difference.max() < 8


def test_which_patches_are_left_out_and_why(exported: tuple[Path, ExportReport]) -> None:
    folder, report = exported
    kept = {row["stem"] for row in rows(folder)}
    dropped = {"outside_moving": 0, "no_tissue": 0}
    for patch in PatchGrid(BOX, 128).patches():
        box = patch.box
        pixels = phantom().he.rgb[box.y : box.bottom, box.x : box.right]
        if not naive_warp(phantom().ihc.rgb, box)[1].all():
            dropped["outside_moving"] += 1
        elif tissue_fraction(pixels, np.ones(pixels.shape[:2], np.bool_)) < 0.05:
            dropped["no_tissue"] += 1
        else:
            assert patch.stem in kept
    assert report.dropped == {reason: count for reason, count in dropped.items() if count}
    assert min(dropped.values()) > 0  # or this region would test nothing
    assert len(kept) + sum(dropped.values()) == 5 * 5


def test_manifest_places_the_patches(exported: tuple[Path, ExportReport]) -> None:
    folder, _ = exported
    found = rows(folder)
    assert [(int(row["row"]), int(row["col"])) for row in found] == sorted(
        (int(row["row"]), int(row["col"])) for row in found
    )
    for row in found:
        box = box_of(row)
        assert row["stem"] == f"x{box.x}_y{box.y}"
        assert (box.x, box.y) == (BOX.x + 128 * int(row["col"]), BOX.y + 128 * int(row["row"]))
        corners = [(box.x, box.y), (box.right, box.y), (box.right, box.bottom), (box.x, box.bottom)]
        stated = [[float(row[f"moving_x{i}"]), float(row[f"moving_y{i}"])] for i in (1, 2, 3, 4)]
        assert np.allclose(stated, phantom().truth(corners), atol=6e-4)
        assert float(row["um_per_px"]) == 0.25
        assert 0.05 <= float(row["tissue_fraction"]) <= 1


def test_um_per_px_is_empty_where_unknown(tmp_path: Path) -> None:
    plain = replace(request(), fixed=slide("he", replace(phantom().he, um_per_px=None)))
    export(tmp_path / "out", plain)
    found = rows(tmp_path / "out")
    assert {row["um_per_px"] for row in found} == {""}
    assert "expected_error_um" not in found[0]
    for row in found:
        assert float(row["expected_error_px"]) == pytest.approx(_expected_error(box_of(row)), abs=1e-3)


def _expected_error(box: Box) -> float:
    """Of nine in ten of the squares in which a px of the patch lies, fixed level-0 px."""
    errors = error_map()
    xs, ys = np.arange(box.x, box.right), np.arange(box.y, box.bottom)
    columns = ((xs - errors.origin[0]) // errors.spacing).astype(int)
    lines = ((ys - errors.origin[1]) // errors.spacing).astype(int)
    squares = errors.p90[np.ix_(np.unique(lines), np.unique(columns))]
    return float(np.quantile(squares, 0.9, method="higher"))


def test_the_manifest_states_the_expected_error_and_verdict_of_each_patch(
    exported: tuple[Path, ExportReport],
) -> None:
    folder, _ = exported
    found = rows(folder)
    for row in found:
        assert float(row["expected_error_um"]) == pytest.approx(0.25 * _expected_error(box_of(row)), abs=1e-3)
        assert row["verdict"] == ("good" if float(row["expected_error_um"]) <= PATCH_GOOD_UM else "check")
    assert len({row["expected_error_um"] for row in found}) > 5  # or this map would test nothing
    assert {row["verdict"] for row in found} == {"good", "check"}
    stored = load_error_map(folder / "expected.npz")
    assert stored is not None
    assert np.array_equal(stored.p90, error_map().p90)
    assert (stored.origin, stored.spacing) == (error_map().origin, error_map().spacing)


def test_no_patch_is_better_than_its_region(tmp_path: Path) -> None:
    refused, regional = (dict(request().record) for _ in range(2))
    refused["verdict"] = "refused"
    regional |= {"verdict": "check", "reasons": [{"code": REGION_LEVEL, "message": "Not cell by cell."}]}
    for name, record in (("refused", refused), ("check", regional)):
        export(tmp_path / name, replace(request(), record=record))
        assert {row["verdict"] for row in rows(tmp_path / name)} == {name}
    assert {row["expected_error_um"] for row in rows(tmp_path / "refused")} == {""}
    readmes = [(tmp_path / name / "README.txt").read_text() for name in ("refused", "check")]
    assert "REFUSED: he/<stem>.png and ihc/<stem>.png may not show the same tissue" in readmes[0]
    assert "the same region; single cells do not match" in readmes[1]
    assert not any("pixel for pixel" in readme for readme in readmes)


def test_a_patch_of_which_nothing_is_known_is_refused(tmp_path: Path) -> None:
    blank = replace(error_map(), p90=np.full((7, 7), UNMEASURED_PX, np.float32))
    export(tmp_path / "out", replace(request(), expected=blank))
    assert {(row["expected_error_um"], row["verdict"]) for row in rows(tmp_path / "out")} == {("", "refused")}


def test_without_a_map_the_expected_error_is_empty_and_the_verdict_that_of_the_region(tmp_path: Path) -> None:
    refused = request().record | {"verdict": "refused"}
    report = export(tmp_path / "out", replace(request(), expected=None, record=refused))
    assert {(row["expected_error_um"], row["verdict"]) for row in rows(tmp_path / "out")} == {("", "refused")}
    assert "expected.npz" not in report.files


def test_run_json_has_exactly_the_documented_keys(exported: tuple[Path, ExportReport]) -> None:
    folder, report = exported
    run = json.loads((folder / "run.json").read_text())
    assert list(run) == RUN
    assert run == json.loads(json.dumps(report.record))
    assert (run["patches"], run["dropped"]) == (report.patches, report.dropped)
    assert run["files"] == list(report.files)
    found = [row["verdict"] for row in rows(folder)]
    assert run["patch_verdicts"] == {verdict: found.count(verdict) for verdict in ("good", "check")}
    assert run["roi"] == [BOX.x, BOX.y, BOX.width, BOX.height]
    assert run["seconds"] == {"coarse": 1.25, "level 0": 0.5}
    assert run["error_um"] == {"median": 0.125, "p90": 0.25}
    assert run["residual_px"] == {"level 0": 0.75}
    assert run["section"] == {"kind": "same", "share": 0.9, "message": "Single cells."}
    values = error_map().p90[:6, :6]  # all squares that the region touches
    for unit, scale in (("px", 1.0), ("um", 0.25)):
        stated = [run[f"expected_error_{unit}"][name] for name in ("median", "p90", "worst")]
        expected = np.array((np.median(values), np.percentile(values, 90), values.max()))
        assert stated == pytest.approx(expected * scale)
    assert run["fixed"] == {
        "path": "/slides/he.tiff",
        "sha256": "he" * 32,
        "width": 768,
        "height": 768,
        "um_per_px": [0.25, 0.25],
    }
    assert run["config"]["export"] == {"layout": "native", "patch_size": 128, "least_tissue_fraction": 0.05}
    assert run["alignment_version"] is None


def test_checksums_hold(exported: tuple[Path, ExportReport]) -> None:
    folder, report = exported
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert {line.split("  ", 1)[1] for line in lines} == set(report.files) - {"SHA256SUMS"}


def test_the_stored_transform_is_the_one_used(exported: tuple[Path, ExportReport]) -> None:
    folder, _ = exported
    points = np.random.default_rng(1).uniform(0, 768, (50, 2))
    assert np.array_equal(load_transform(folder / "transform.json")(points), phantom().truth(points))


def test_roi_geojson_outlines_the_region_on_both_slides(exported: tuple[Path, ExportReport]) -> None:
    folder, _ = exported
    collection = json.loads((folder / "roi.geojson").read_text())
    assert collection["type"] == "FeatureCollection"
    he, ihc = (feature["geometry"]["coordinates"][0] for feature in collection["features"])
    assert he == [*BOX.corners().tolist(), [BOX.x, BOX.y]]
    assert ihc[0] == ihc[-1]
    assert np.allclose(ihc[:4], phantom().truth(BOX.corners()), atol=1e-3)
    assert {feature["properties"]["objectType"] for feature in collection["features"]} == {"annotation"}
    assert [feature["properties"]["classification"]["name"] for feature in collection["features"]] == [
        "H&E",
        "IHC",
    ]


def test_overview_shows_both_stains_side_by_side(exported: tuple[Path, ExportReport]) -> None:
    folder, _ = exported
    overview = rgb(folder / "overview.jpg")
    height, width = overview.shape[:2]
    assert height == BOX.height
    assert width == 2 * BOX.width + 8
    he = phantom().he.rgb[BOX.y : BOX.bottom, BOX.x : BOX.right]
    assert np.abs(overview[:, : BOX.width].astype(int) - he).mean() < 4  # JPEG


def test_with_the_ihc_as_fixed_slide_the_folders_keep_their_stain(tmp_path: Path) -> None:
    he, ihc = slide("he", phantom().ihc), slide("ihc", phantom().he)  # stains swapped, pixels and frames not
    export(tmp_path / "out", replace(request(), fixed=ihc, moving=he))
    first = rows(tmp_path / "out")[0]
    box = box_of(first)
    own = rgb(tmp_path / "out" / "ihc" / f"{first['stem']}.png")
    assert np.array_equal(own, phantom().he.rgb[box.y : box.bottom, box.x : box.right])


def test_a_slide_record_of_the_database_names_its_id() -> None:
    info = SlideInfo(17, "he", "he", "", phantom().he)
    assert info.record()["slide"] == 17
    assert "path" not in info.record()
