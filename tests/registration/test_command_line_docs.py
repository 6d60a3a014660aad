"""Every command shown in docs/command-line.md runs on real slides, in order, and does what is said."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from registration.export.native import LEAST_TISSUE
from tests.processes import REPOSITORY
from tests.registration.commands import Done, last_json, run, run_here
from tests.registration.truth import errors

TEXT = (REPOSITORY / "docs" / "command-line.md").read_text()
PREFIX = "$ .venv/bin/python manage.py "
COMMANDS = [line.removeprefix(PREFIX) for line in TEXT.splitlines() if line.startswith("$ ")]

JSON_KEYS = {"verdict", "reasons", "method", "transform", "error_px", "error_um", "seconds", "engine_version"}
JSON_KEYS |= {
    "expected_error_px",
    "expected_error_um",
    "section",
    "residual_px",
    "config",
    "config_hash",
    "fixed",
    "moving",
    "roi",
    "patches",
    "dropped",
    "patch_verdicts",
    "files",
}
ONLY_RUN_KEYS = {"seed", "colour_policy", "alignment_version", "software"}

Shown = tuple[Path, list[Done]]


@pytest.fixture(scope="module")
def shown(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """The folder in which all commands ran, with no environment variable at all, and what they said."""
    folder = tmp_path_factory.mktemp("shown")
    for name in ("he.tiff", "ihc.tiff"):
        (folder / name).symlink_to(data_dir / "restained" / name)
    (folder / "points.csv").write_text("x,y,name\n600,700,a\n800,3000,b\n")
    done = [run(*shlex.split(command), folder=folder, environment={}) for command in COMMANDS]
    return folder, done


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.data
@pytest.mark.slow
def test_every_command_shown_succeeds(shown: Shown) -> None:
    folder, done = shown
    assert len(done) >= 5
    assert [(each.returncode, each.stderr) for each in done] == [(0, "")] * len(done)
    assert {path.name for path in folder.iterdir()} == {
        *("he.tiff", "ihc.tiff", "points.csv", "pairs", "roialign"),
        *("region.json", "region.field.npz", "region.expected.npz", "mapped.csv", "back.csv"),
    }
    assert "Verdict: " in done[1].stdout


@pytest.mark.data
@pytest.mark.slow
def test_align_made_a_native_folder(shown: Shown) -> None:
    folder, done = shown
    pairs = folder / "pairs"
    record, stored = last_json(done[0]), json.loads((pairs / "run.json").read_text())
    assert set(record) == JSON_KEYS
    assert set(stored) == JSON_KEYS | ONLY_RUN_KEYS
    assert [str(pairs / name) for name in stored["files"]] == record["files"]
    assert files_below(pairs) == set(stored["files"])
    assert (record["patches"], record["dropped"]) == (4, {})
    stems = {f"x{x}_y{y}" for x in (512, 768) for y in (1024, 1280)}
    for stain in ("he", "ihc"):
        shapes = {path.stem: np.asarray(cv2.imread(str(path))).shape for path in (pairs / stain).iterdir()}
        assert shapes == dict.fromkeys(stems, (256, 256, 3))
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=pairs, check=True)


@pytest.mark.data
@pytest.mark.slow
def test_align_made_the_folder_of_the_script_from_a_region_of_the_ihc(shown: Shown) -> None:
    folder, _ = shown
    assert files_below(folder / "roialign") >= {"transform.json", "run.json", "SHA256SUMS"}
    x, y, width, height = json.loads((folder / "roialign" / "run.json").read_text())["roi"]
    assert (width, height) == (512, 512)
    expected = {f"patches_he/patch_{x + dx}_{y + dy}.png" for dx in (0, 256) for dy in (0, 256)}
    expected |= {f"patches_ihc/patch_{dx}_{dy}.png" for dx in (0, 256) for dy in (0, 256)}
    expected |= {"he_ROI.tiff", "ihc_ROI.tiff", "registered_X.tiff", "shifted_target.tiff"}
    assert files_below(folder / "roialign" / "ihc_region_580_970") == expected
    (folder / "roialign-centre.csv").write_text(f"x,y\n{x + 256},{y + 256}\n")
    centre = folder / "roialign-centre.csv"
    mapped = run("transform_points", folder / "region.json", centre, "--out", folder / "roialign-mapped.csv")
    assert mapped.returncode == 0
    found = np.loadtxt(folder / "roialign-mapped.csv", delimiter=",", skiprows=1)
    # the slide-level alignment carried the box over; the region's own transform is a few px better
    assert np.abs(found - (580 + 256, 970 + 256)).max() <= 4


@pytest.mark.data
@pytest.mark.slow
def test_the_region_registered_within_a_pixel(shown: Shown, data_dir: Path, tmp_path: Path) -> None:
    folder, _ = shown
    distances = errors(folder / "region.json", data_dir / "restained", tmp_path)
    assert np.median(distances) <= 0.8
    assert np.percentile(distances, 90) <= 1.6


@pytest.mark.data
@pytest.mark.slow
def test_points_came_back(shown: Shown) -> None:
    folder, _ = shown
    lines = [line.split(",") for line in (folder / "back.csv").read_text().splitlines()]
    assert [line[2] for line in lines] == ["name", "a", "b"]
    found = np.array([line[:2] for line in lines[1:]], dtype=float)
    assert np.allclose(found, [(600, 700), (800, 3000)], atol=1e-4)


def test_the_options_and_figures_named_exist(capsys: pytest.CaptureFixture[str]) -> None:
    commands = ("align", "register", "transform_points")
    helps = "".join(run_here(capsys, name, "--help").stdout for name in commands)
    options = set(re.findall(r"--[a-zA-Z][a-zA-Z_-]*", TEXT))
    assert len(options) > 15
    assert {option for option in options if option not in helps} == set()
    assert f"less than {LEAST_TISSUE * 100:g} % tissue" in TEXT
    assert all(line.startswith(PREFIX) for line in TEXT.splitlines() if line.startswith("$"))
