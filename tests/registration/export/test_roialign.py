"""The ROIAlign layout: the script's names, every patch, and the region in four TIFFs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from registration.archives import ExportReport, export
from registration.engine.geometry import Box
from registration.engine.patches import PatchGrid
from registration.twin import twin_box
from tests.registration.export.pairs import BOX, HOSTILE, naive_warp, phantom, request, slide

ROOT = f"ihc-1_region_{BOX.x}_{BOX.y}"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportReport]:
    folder = tmp_path_factory.mktemp("roialign") / "out"
    return folder, export(folder, request("roialign"))


def rgb(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), dtype=np.uint8)


def test_no_patch_of_the_region_is_missing(exported: tuple[Path, ExportReport]) -> None:
    folder, report = exported
    expected = {"transform.json", "field.npz", "expected.npz", "run.json", "SHA256SUMS"}
    expected |= {f"{ROOT}/{name}.tiff" for name in ("he_ROI", "ihc_ROI", "registered_X", "shifted_target")}
    for patch in PatchGrid(BOX, 128).patches():
        x, y = patch.box.x, patch.box.y
        expected.add(f"{ROOT}/patches_he/patch_{x}_{y}.png")
        expected.add(f"{ROOT}/patches_ihc/patch_{x - BOX.x}_{y - BOX.y}.png")
    on_disk = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert on_disk == expected == set(report.files)
    assert (report.patches, report.dropped) == (25, {})
    assert json.loads((folder / "run.json").read_text())["config"]["export"] == {
        "layout": "roialign",
        "patch_size": 128,
    }


def test_patches_equal_a_naive_derivation(exported: tuple[Path, ExportReport]) -> None:
    folder, _ = exported
    for patch in PatchGrid(BOX, 128).patches():
        box = patch.box
        he = rgb(folder / ROOT / "patches_he" / f"patch_{box.x}_{box.y}.png")
        ihc = rgb(folder / ROOT / "patches_ihc" / f"patch_{box.x - BOX.x}_{box.y - BOX.y}.png")
        assert np.array_equal(he, phantom().he.rgb[box.y : box.bottom, box.x : box.right])
        expected, inside = naive_warp(phantom().ihc.rgb, box)
        assert np.abs(ihc - expected)[inside].sum() <= 0.5 * 3 * inside.sum()
        assert (ihc[~inside] == 255).all()


def test_regions_show_what_their_names_say(exported: tuple[Path, ExportReport]) -> None:
    folder, _ = exported
    pictures = {path.stem: tifffile.imread(path) for path in (folder / ROOT).glob("*.tiff")}
    he = phantom().he.rgb[BOX.y : BOX.bottom, BOX.x : BOX.right]
    assert np.array_equal(pictures["he_ROI"], he)
    warped, inside = naive_warp(phantom().ihc.rgb, BOX)
    assert np.abs(pictures["shifted_target"] - warped)[inside].mean() < 0.5
    twin = twin_box(BOX, phantom().truth)
    part = twin.intersection(Box(0, 0, phantom().ihc.width, phantom().ihc.height))
    x, y = part.x - twin.x, part.y - twin.y
    stored = pictures["ihc_ROI"][y : y + part.height, x : x + part.width]
    assert np.array_equal(stored, phantom().ihc.rgb[part.y : part.bottom, part.x : part.right])
    assert pictures["registered_X"].shape == pictures["ihc_ROI"].shape == (twin.height, twin.width, 3)


def test_registered_x_is_the_he_in_the_frame_of_the_ihc(exported: tuple[Path, ExportReport]) -> None:
    """Nuclei are dark in both stains: in the IHC's frame the regions correlate, unregistered they don't."""
    folder, _ = exported
    he, ihc, registered = (
        cv2.cvtColor(tifffile.imread(folder / ROOT / f"{name}.tiff"), cv2.COLOR_RGB2GRAY).astype(float)
        for name in ("he_ROI", "ihc_ROI", "registered_X")
    )
    rows, columns = min(he.shape[0], ihc.shape[0]), min(he.shape[1], ihc.shape[1])
    before = np.corrcoef(he[:rows, :columns].ravel(), ihc[:rows, :columns].ravel())[0, 1]
    after = np.corrcoef(registered.ravel(), ihc.ravel())[0, 1]
    assert after > before + 0.1
    assert after > 0.7


def test_a_region_drawn_on_the_ihc_gives_the_folder_its_name(tmp_path: Path) -> None:
    drawn = Box(150, 90, 600, 500)
    asked = request("roialign", moving_box=drawn, box=Box(160, 60, 594, 495))
    export(tmp_path / "out", asked)
    root = tmp_path / "out" / "ihc-1_region_150_90"
    assert np.array_equal(
        tifffile.imread(root / "ihc_ROI.tiff"),
        phantom().ihc.rgb[drawn.y : drawn.bottom, drawn.x : drawn.right],
    )
    assert (root / "patches_he" / "patch_160_60.png").is_file()


def test_an_ihc_grid_still_gives_patches_on_the_he(tmp_path: Path) -> None:
    he, ihc = (
        slide("he", phantom().ihc),
        slide("ihc", phantom().he),
    )  # the engine's fixed slide is the IHC here
    export(tmp_path / "out", replace(request("roialign"), fixed=ihc, moving=he))
    twin = twin_box(BOX, phantom().truth)
    root = tmp_path / "out" / ROOT
    assert (root / "patches_he" / f"patch_{twin.x}_{twin.y}.png").is_file()
    own = phantom().he.rgb[BOX.y : BOX.bottom, BOX.x : BOX.right]
    assert np.array_equal(tifffile.imread(root / "ihc_ROI.tiff"), own)


def test_tiffs_say_their_scale_and_are_lossless(exported: tuple[Path, ExportReport]) -> None:
    folder, _ = exported
    with tifffile.TiffFile(folder / ROOT / "he_ROI.tiff") as file:
        tags = file.pages.first.tags
        assert tags["XResolution"].value[0] / tags["XResolution"].value[1] == pytest.approx(40_000)
        assert tags["ResolutionUnit"].value == 3  # cm
        assert file.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE


def test_a_hostile_slide_name_stays_inside_the_folder(tmp_path: Path) -> None:
    asked = request("roialign", moving=slide("ihc", phantom().ihc, HOSTILE))
    report = export(tmp_path / "out.zip", asked)
    roots = {name.split("/")[0] for name in report.files if "/" in name}
    assert roots == {f"_.._etc_pass wd_..__region_{BOX.x}_{BOX.y}"}
    assert not any(part in ("", ".", "..") for name in report.files for part in name.split("/"))
