"""manage.py export_transform and import_transform: what other programs get, and what comes back from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_allclose

from registration.engine.geometry import Frame, Points, Size
from registration.engine.transforms import (
    AffineTransform,
    DisplacementField,
    Transform,
    load_transform,
    save_transform,
)
from tests.registration.commands import assert_refuses_input, last_json, run_here

FIXED, MOVING = Frame("fixed", Size(500, 400), (0.25, 0.25)), Frame("moving", Size(400, 520), (0.25, 0.25))
AFFINE = AffineTransform([(0.1, -1.05, 410), (0.95, 0.2, 5), (0, 0, 1)], FIXED, MOVING)


def known(height: float = 3.0) -> Transform:
    y, x = np.mgrid[0:9, 0:9]
    values = np.stack((np.sin(x / 2 + y / 3), np.cos(y / 2 - x / 3)), axis=-1) * height
    return AFFINE @ DisplacementField(values, (60, 40), (40, 40), FIXED)


def stored(folder: Path, transform: Transform, name: str = "region.json") -> Path:
    save_transform(folder / name, transform, verdict="check", engine_version="0.7")
    return folder / name


def points_inside() -> Points:
    return np.random.default_rng(4).uniform((60, 40), (380, 360), (200, 2))


@pytest.fixture
def slides(tmp_path: Path) -> tuple[Path, Path]:
    """Two plain slides of the frames' sizes."""
    paths = tmp_path / "a.tiff", tmp_path / "b.tiff"
    for path, frame in zip(paths, (FIXED, MOVING), strict=True):
        rgb = np.full((frame.size.height, frame.size.width, 3), 230, np.uint8)
        tifffile.imwrite(path, rgb, resolution=(40_000, 40_000), resolutionunit="CENTIMETER")
    return paths


def exported(
    capsys: pytest.CaptureFixture[str], source: Path, out: Path, *more: str
) -> tuple[dict[str, Any], set[str]]:
    done = run_here(capsys, "export_transform", source, "--out", out, "--json", *more)
    assert (done.returncode, done.stderr) == (0, "")
    return last_json(done), {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}


def test_json_and_its_inverse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = stored(tmp_path, known()), tmp_path / "out"
    said, files = exported(capsys, source, out, "--to", "json", "--inverse")
    assert files == {"transform.json", "field.npz", "inverse/transform.json", "inverse/field.npz"}
    assert set(said["files"] + said["inverse"]["files"]) == {str(out / name) for name in files}
    forward, back = (load_transform(out / name / "transform.json") for name in (".", "inverse"))
    points = points_inside()
    assert forward(points).tolist() == known()(points).tolist()
    off = np.hypot(*(back(forward(points)) - points).T)
    trip = said["inverse"]["round_trip_px"]
    assert off.max() <= trip["max"] <= 0.2
    assert trip["p95"] <= trip["max"]
    assert (back.fixed.size, back.moving.size) == (MOVING.size, FIXED.size)
    record = json.loads((out / "inverse" / "transform.json").read_text())
    assert (record["verdict"], record["engine_version"]) == ("check", "0.7")
    assert (said["verdict"], said["folded"]) == ("check", 0.0)


def test_itk_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str], slides: tuple[Path, Path]) -> None:
    source, points = stored(tmp_path, known()), points_inside()
    for unit in ("px", "um"):
        out, again = tmp_path / unit, tmp_path / f"{unit}.json"
        said, files = exported(capsys, source, out, "--to", "itk", "--unit", unit, "--inverse")
        assert files == {"affine.tfm", "field.mha", "inverse/affine.tfm", "inverse/field.mha"}
        assert said["covers"] == [0, 0, 500, 400]
        itk = ("--itk-affine", out / "affine.tfm", "--itk-field", out / "field.mha", "--unit", unit)
        done = run_here(capsys, "import_transform", *slides, *itk, "--out", again, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        assert last_json(done)["verdict"] == "check"
        back = load_transform(again)
        assert_allclose(back(points), known()(points), atol=1e-4)
        assert (back.fixed.size, back.moving.size) == (FIXED.size, MOVING.size)


def test_qupath_and_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], slides: tuple[Path, Path]
) -> None:
    exact, files = exported(capsys, stored(tmp_path, AFFINE), tmp_path / "one", "--to", "qupath")
    assert files == {"qupath.txt", "qupath.json"}
    assert exact["affine_off_px"] == {"median": 0, "max": 0}
    assert json.loads((tmp_path / "one" / "qupath.json").read_text())["verdict"] == "check"
    bent, _ = exported(capsys, stored(tmp_path, known()), tmp_path / "two", "--to", "qupath", "--inverse")
    assert 0 < bent["affine_off_px"]["median"] < bent["affine_off_px"]["max"] < 8
    again = tmp_path / "again.json"
    done = run_here(
        capsys, "import_transform", *slides, "--qupath", tmp_path / "one" / "qupath.txt", "--out", again
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert str(again) in done.stdout
    assert_allclose(load_transform(again)(points_inside()), AFFINE(points_inside()), atol=1e-8)


def test_a_person_reads_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--to", "qupath", "--inverse", "--out", tmp_path / "out")
    done = run_here(capsys, "export_transform", stored(tmp_path, known()), *arguments)
    assert done.returncode == 0
    for words in ("Verdict of the transform: check", "qupath.txt", "off by", "There and back", "px"):
        assert words in done.stdout


def test_a_field_that_folds_is_said_and_not_inverted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = stored(tmp_path, known(120.0)), tmp_path / "out"
    done = run_here(capsys, "export_transform", source, "--to", "itk", "--inverse", "--out", out)
    assert_refuses_input(done, "folds", "no inverse", "x ", "Register the region again")
    assert not out.exists()
    done = run_here(capsys, "export_transform", source, "--to", "itk", "--out", out)
    assert done.returncode == 0
    assert "Warning: the field folds" in done.stdout


def test_bad_input_of_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = stored(tmp_path, known()), tmp_path / "out"

    def refuses(*arguments: str | Path, words: str) -> None:
        assert_refuses_input(run_here(capsys, "export_transform", *arguments), words)

    refuses(tmp_path / "no.json", "--to", "itk", "--out", out, words="no.json")
    refuses(source, "--to", "nifti", "--out", out, words="nifti")
    refuses(source, "--to", "itk", words="--out")
    refuses(source, "--to", "itk", "--out", tmp_path, words="not an empty folder")
    refuses(source, "--to", "qupath", "--unit", "um", "--out", out, words="--unit")
    record = json.loads(source.read_text())
    source.write_text(json.dumps(record | {"verdict": "splendid"}))
    refuses(source, "--to", "itk", "--out", out, words="verdict")
    source.write_text(json.dumps(record | {"moving": {"width": 5, "height": 5, "um_per_px": None}}))
    refuses(source, "--to", "itk", "--unit", "um", "--out", out, words="um/px")
    (tmp_path / "region.field.npz").write_bytes(b"nothing")
    refuses(source, "--to", "itk", "--out", out, words="region.field.npz")
    assert not out.exists()


def test_bad_input_of_import(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], slides: tuple[Path, Path]
) -> None:
    out, matrix = tmp_path / "T.json", tmp_path / "q.txt"
    matrix.write_text("1 0 0 0 1 0")

    def refuses(*arguments: str | Path, words: str) -> None:
        assert_refuses_input(run_here(capsys, "import_transform", *arguments), words)

    refuses(*slides, "--out", out, words="nothing to import. Give --itk-affine")
    refuses(*slides, "--qupath", matrix, "--itk-affine", matrix, "--out", out, words="without --itk-affine")
    refuses(*slides, "--itk-affine", matrix, "--out", out, words="q.txt")
    refuses(*slides, "--itk-field", matrix, "--out", out, words="q.txt")
    refuses(*slides, "--qupath", tmp_path / "none", "--out", out, words="none")
    refuses(*slides, "--qupath", matrix, "--out", matrix, words="one of the inputs")
    refuses(*slides, "--qupath", matrix, "--out", tmp_path, words="file")
    refuses(matrix, slides[1], "--qupath", matrix, "--out", out, words="q.txt")
    matrix.write_text("1 0 0 0 nan 0")
    refuses(*slides, "--qupath", matrix, "--out", out, words="finite")
    assert not out.exists()
