"""manage.py transform_points: both ways, other columns, large and empty files, bad rows."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from registration.engine.geometry import Frame, Size
from registration.engine.transforms import AffineTransform, DisplacementField, Transform, save_transform
from tests.registration.commands import assert_refuses_input, run_here

FIXED, MOVING = Frame("fixed", Size(5000, 4000), (0.25, 0.25)), Frame("moving", Size(4000, 5000), None)


Capture = pytest.CaptureFixture[str]


def known() -> Transform:
    values = np.random.default_rng(3).uniform(-6, 6, (9, 9, 2))
    field = DisplacementField(values, (0, 0), (600, 500), FIXED)
    matrix = np.array([(0.1, -1.1, 4100), (0.9, 0.2, 35), (0, 0, 1)])
    return AffineTransform(matrix, FIXED, MOVING) @ field


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    save_transform(tmp_path / "T.json", known(), verdict="good", engine_version="0.1")
    return tmp_path / "T.json"


def columns(path: Path) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


def mapped_file(capsys: Capture, stored: Path, points: Path, *options: str) -> Path:
    """What the command makes of the points, beside them."""
    out = points.with_name(f"of-{points.name}")
    done = run_here(capsys, "transform_points", stored, points, *options, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def test_points_go_forth_and_back_and_other_columns_stay(
    tmp_path: Path, stored: Path, capsys: Capture
) -> None:
    points = np.random.default_rng(4).uniform(0, 4000, (40, 2)).round(3)
    text = "name,y, X ,note\r\n" + "".join(
        f'"p, {i}",{y},{x},é{i}\r\n' for i, (x, y) in enumerate(points.tolist())
    )
    (tmp_path / "points.csv").write_text(text, encoding="utf-8-sig", newline="")  # as a spreadsheet saves it
    there_file = mapped_file(capsys, stored, tmp_path / "points.csv")
    mapped = columns(there_file)
    assert list(mapped) == ["name", "y", " X ", "note"]
    assert mapped["name"] == [f"p, {i}" for i in range(40)]
    assert mapped["note"] == [f"é{i}" for i in range(40)]
    there = np.array([mapped[" X "], mapped["y"]], dtype=float).T
    assert np.allclose(there, known()(points), atol=1e-6)
    again = columns(mapped_file(capsys, stored, there_file, "--inverse"))
    assert np.allclose(np.array([again[" X "], again["y"]], dtype=float).T, points, atol=1e-5)


@pytest.mark.parametrize("verdict", ["good", "check", "refused"])
def test_doubts_and_points_off_the_slide_are_said(tmp_path: Path, capsys: Capture, verdict: str) -> None:
    save_transform(tmp_path / "T.json", known(), verdict=verdict, engine_version="0.1")
    (tmp_path / "points.csv").write_text("x,y\n0,0\n5000,4000\n5000.5,20\n20,-1\n")
    arguments = (
        "transform_points",
        tmp_path / "T.json",
        tmp_path / "points.csv",
        "--out",
        tmp_path / "m.csv",
    )
    done = run_here(capsys, *arguments)
    *doubts, outside = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (0, "")
    assert len(doubts) == (verdict != "good")
    assert all(f"verdict of the transform: {verdict}; " in line for line in doubts)
    assert "2 of 4 points lie outside the fixed slide (5000 x 4000 px)" in outside
    assert "3 of 4 points lie outside the moving slide" in run_here(capsys, *arguments, "--inverse").stderr


def test_a_file_of_one_header_gives_the_header(tmp_path: Path, stored: Path, capsys: Capture) -> None:
    (tmp_path / "points.csv").write_text("x,y,k\n")
    assert mapped_file(capsys, stored, tmp_path / "points.csv").read_text() == "x,y,k\n"


def test_many_points_arrive_in_order(tmp_path: Path, stored: Path, capsys: Capture) -> None:
    points = np.stack((np.arange(120_001) % 4999, np.arange(120_001) % 3999), axis=1).astype(float)
    with (tmp_path / "points.csv").open("w") as file:
        file.write("x,y\n")
        file.writelines(f"{x},{y}\n" for x, y in points.tolist())
    mapped = np.loadtxt(mapped_file(capsys, stored, tmp_path / "points.csv"), delimiter=",", skiprows=1)
    assert np.allclose(mapped, known()(points), atol=1e-6)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x,y\n1,2\n3,abc\n", ("line 3", "'abc'")),
        (b"x,y\n1,2\n\n3\n", ("line 4", "''")),
        (b"x,y\n1,nan\n", ("line 2", "'nan'")),
        (b"x,y\n1,inf\n", ("line 2", "'inf'")),
        (b"x,z\n1,2\n", ("column y", "x, z")),
        (b"x,x,y\n1,2,3\n", ("one column x",)),
        (b"", ("column x", "nothing")),
        (b"x,y\n1,2\n\xff\xfe,3\n", ("UTF-8",)),
        (b"\x89PNG\r\n\x1a\n\x00\x00", ("UTF-8",)),
    ],
)
def test_bad_rows_are_named_and_nothing_is_written(
    tmp_path: Path, stored: Path, capsys: Capture, content: bytes, words: tuple[str, ...]
) -> None:
    (tmp_path / "points.csv").write_bytes(content)
    done = run_here(
        capsys, "transform_points", stored, tmp_path / "points.csv", "--out", tmp_path / "new" / "m.csv"
    )
    assert_refuses_input(done, "points.csv", *words)
    assert not (tmp_path / "new").exists()


def test_missing_and_mixed_up_files(tmp_path: Path, stored: Path, capsys: Capture) -> None:
    points = tmp_path / "points.csv"
    points.write_text("x,y\n1,2\n")
    out = tmp_path / "m.csv"
    assert_refuses_input(
        run_here(capsys, "transform_points", stored, tmp_path / "no.csv", "--out", out), "no.csv"
    )
    assert_refuses_input(
        run_here(capsys, "transform_points", tmp_path / "no.json", points, "--out", out), "no.json"
    )
    assert_refuses_input(
        run_here(capsys, "transform_points", points, points, "--out", out), "not a transform"
    )
    assert_refuses_input(
        run_here(capsys, "transform_points", stored, points, "--out", points), "one of the inputs"
    )
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    for inputs in ((circle, points), (stored, circle)):
        assert_refuses_input(run_here(capsys, "transform_points", *inputs, "--out", out), "circle")
    assert_refuses_input(run_here(capsys, "transform_points", stored, points, "--out", tmp_path), "folder")
    assert_refuses_input(run_here(capsys, "transform_points", stored, points), "--out")
    assert_refuses_input(
        run_here(capsys, "transform_points", stored, points, "--out", "/proc/none.csv"), "/proc/none.csv"
    )
    assert not out.exists()
    assert points.read_text() == "x,y\n1,2\n"
