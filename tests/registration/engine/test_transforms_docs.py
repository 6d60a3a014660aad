"""docs/transforms.md: its snippets and commands, taken from the page and run, do what is said."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_allclose

from registration.engine.geometry import Frame, Size
from registration.engine.transforms import (
    AffineTransform,
    DisplacementField,
    Transform,
    load_transform,
    save_transform,
)
from registration.engine.transforms.itk import itk_files
from tests.registration.commands import last_json, run

PAGE = Path(__file__).parents[3] / "docs" / "transforms.md"
FIXED, MOVING = Frame("fixed", Size(4000, 3000), (0.25, 0.25)), Frame("moving", Size(5000, 6000), None)
AFFINE = AffineTransform([[0.8, -0.61, 300.5], [0.59, 0.83, -20.7], [0.0, 0.0, 1.0]], FIXED, MOVING)
READ = """
import sys
points = np.loadtxt(sys.argv[2])
np.savetxt(sys.argv[3], moving_from_fixed(sys.argv[1], points), fmt="%.17g")
"""

PREFIX = "$ .venv/bin/python manage.py "


def snippets() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def bent(rows: int, columns: int) -> Transform:
    values = np.random.default_rng(rows).normal(0, 3, (rows, columns, 2))
    return AFFINE @ DisplacementField(values, (100.5, 90.0), (64.0, 80.0), FIXED)


@pytest.mark.parametrize("transform", [AFFINE, bent(7, 9), bent(1, 6), bent(1, 1)])
def test_the_snippet_on_the_page_maps_points_as_we_do(tmp_path: Path, transform: Transform) -> None:
    snippet = snippets()[0]
    assert "registration" not in snippet  # it must stand on its own
    assert len(snippet.strip().splitlines()) <= 20
    points = np.random.default_rng(1).uniform(-200, 1200, (300, 2))
    save_transform(tmp_path / "transform.json", transform, verdict="good", engine_version="0.1")
    np.savetxt(tmp_path / "points.txt", points, fmt="%.17g")
    (tmp_path / "reader.py").write_text(snippet + READ, encoding="utf-8")
    names = ("reader.py", "transform.json", "points.txt", "mapped.txt")
    subprocess.run([sys.executable, "-I", *names], cwd=tmp_path, check=True)
    assert_allclose(np.loadtxt(tmp_path / "mapped.txt"), transform(points), atol=1e-9)


def test_the_snippet_for_simpleitk_maps_a_point_as_we_do(tmp_path: Path) -> None:
    pytest.importorskip("SimpleITK")
    snippet = next(text for text in snippets() if "SimpleITK" in text)
    (tmp_path / "itk").mkdir()
    transform = bent(7, 9)
    for name, content in itk_files(transform).items():
        (tmp_path / "itk" / name).write_bytes(content)
    (tmp_path / "reader.py").write_text(f"{snippet}\nprint(repr(moving_x), repr(moving_y))")
    done = subprocess.run(
        [sys.executable, "-I", "reader.py"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert_allclose(list(map(float, done.stdout.split())), transform([[1024.0, 2048.0]])[0], atol=1e-8)


def test_the_commands_on_the_page_run_in_order(tmp_path: Path) -> None:
    small = Frame("fixed", Size(300, 260), (0.25, 0.25)), Frame("moving", Size(280, 300), (0.25, 0.25))
    values = np.random.default_rng(0).normal(0, 1, (5, 6, 2))
    affine = AffineTransform([[0.99, -0.05, 3], [0.05, 0.98, -2], [0.0, 0.0, 1.0]], *small)
    transform = affine @ DisplacementField(values, (20, 20), (40, 40), small[0])
    for name, frame in zip(("he.tiff", "ihc.tiff"), small, strict=True):
        rgb = np.full((frame.size.height, frame.size.width, 3), 240, np.uint8)
        tifffile.imwrite(tmp_path / name, rgb, resolution=(40_000, 40_000), resolutionunit="CENTIMETER")
    save_transform(tmp_path / "region.json", transform, verdict="good", engine_version="0.1")
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("$")]
    assert len(lines) == 5
    assert all(line.startswith(PREFIX) for line in lines)
    done = [run(*shlex.split(line.removeprefix(PREFIX)), folder=tmp_path) for line in lines]
    assert [(each.returncode, each.stderr) for each in done] == [(0, "")] * 5
    said = last_json(done[0])
    assert {"covers", "folded", "files", "verdict", "inverse"} <= set(said)
    assert set(said["inverse"]["round_trip_px"]) == {"p95", "max"}
    points = np.random.default_rng(1).uniform(20, 180, (50, 2))
    assert_allclose(load_transform(tmp_path / "from_itk.json")(points), transform(points), atol=1e-4)
    off = load_transform(tmp_path / "from_qupath.json")(points) - transform(points)
    assert np.median(np.hypot(*off.T)) < 2


def test_the_options_on_the_page_exist() -> None:
    helps = "".join(run(name, "--help").stdout for name in ("export_transform", "import_transform"))
    named = set(re.findall(r"--[a-z][a-z-]*", PAGE.read_text(encoding="utf-8")))
    assert len(named) >= 8
    assert {option for option in named if option not in helps} == set()
