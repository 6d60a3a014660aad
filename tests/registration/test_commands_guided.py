"""Landmarks, regions left out and the report of align and register: what works, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from registration.engine.synthetic import Phantom
from tests.registration.commands import assert_refuses_input, last_json, run_here

Capture = pytest.CaptureFixture[str]
HEADER = "fixed_x,fixed_y,moving_x,moving_y"


def landmarks_file(folder: Path, phantom: Phantom, shift: float = 0.0) -> Path:
    """True landmarks, or all wrong by `shift` px."""
    fixed = np.array([(350.0, 350.0), (1050.0, 420.0), (620.0, 1040.0), (960.0, 960.0)])
    moving = phantom.truth(fixed) + shift
    rows = [",".join(f"{value:.3f}" for value in (*a, *b, 2.0)) for a, b in zip(fixed, moving, strict=True)]
    file = folder / "landmarks.csv"
    file.write_text("\n".join([f"{HEADER},weight", *rows]) + "\n")
    return file


@pytest.mark.slow
def test_a_guided_region_says_its_expected_error_and_draws_a_report(
    phantom_pair: Phantom, tmp_path: Path, capsys: Capture
) -> None:
    landmarks = ("--landmarks", landmarks_file(tmp_path, phantom_pair))
    guided = (
        "--exclude-fixed",
        "0,0,200,200",
        "--exclude-moving",
        "0,0,50,60",
        "--exclude-fixed",
        "1300,0,100,100",
    )
    out = tmp_path / "T.json"
    slides = ("register", phantom_pair.he, phantom_pair.ihc, "--roi", "450,450,512,512", "--json")
    done = run_here(capsys, *slides, *landmarks, *guided, "--out", out, "--report", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    record = last_json(done)
    assert record["verdict"] in ("good", "check")
    assert set(record["section"]) == {"kind", "share", "message"}
    assert record["section"]["kind"] == "same"
    for unit in ("px", "um"):
        spread = record[f"expected_error_{unit}"]
        assert 0 < spread["median"] <= spread["p90"] <= spread["worst"]
    assert str(tmp_path / "T.expected.npz") in record["files"]
    with np.load(tmp_path / "T.expected.npz") as stored:
        assert set(stored.files) == {"p90", "origin", "spacing"}
        assert stored["p90"].min() <= record["expected_error_px"]["median"]
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<img" in page
    stored_transform = json.loads(out.read_text())
    assert stored_transform["verdict"] == record["verdict"]


def test_what_is_left_out_is_not_looked_at(phantom_pair: Phantom, tmp_path: Path, capsys: Capture) -> None:
    """With all of a slide left out nothing is there to be aligned; the same call without it succeeds. What
    earlier calls left beside the transform, and this one does not write, is gone.
    """
    for kind in ("field", "expected"):
        (tmp_path / f"T.{kind}.npz").write_bytes(b"of an earlier call")
    call = ("register", phantom_pair.he, phantom_pair.ihc, "--out", tmp_path / "T.json", "--json")
    done = run_here(capsys, *call, "--exclude-fixed", "0,0,5000,5000")
    assert done.returncode == 3, done.stderr
    assert last_json(done)["verdict"] == "refused"
    assert last_json(done)["reasons"]
    assert [path.name for path in tmp_path.iterdir()] == ["T.json"]
    assert run_here(capsys, *call).returncode == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("fixed_x, fixed_y", "nothing")),
        (f"{HEADER}\n", ("landmarks.csv holds no landmark",)),
        ("x,y\n1,2\n", ("moving_x", "found: x, y")),
        (f"{HEADER}\n1,2,3\n", ("line 2", "''")),
        (f"{HEADER}\n1,2,3,4\n1,2,nan,4\n", ("line 3", "'nan'")),
        (f"{HEADER}\n1,2,3,four\n", ("line 2", "'four'")),
        (f"{HEADER}\n1,2,3,4\n5,6,3,4\n", ("same place",)),
        (f"{HEADER},weight\n1,2,3,4,0\n", ("weight",)),
        (f"{HEADER},weight\n1,2,3,4,-1\n", ("weight",)),
        (f"{HEADER},weight\n1,2,3,4,1e-300\n", ("weight", "0.001")),
        (f"{HEADER},weight\n1,2,3,4,1e300\n", ("weight", "1000")),
        (f"{HEADER}\n9999,2,3,4\n", ("9999, 2", "fixed slide")),
        (f"{HEADER}\n1,2,3,-4\n", ("3, -4", "moving slide")),
        ("\x00\xff", ("landmarks.csv",)),
    ],
)
def test_landmarks_that_cannot_be_used(
    phantom_pair: Phantom, tmp_path: Path, capsys: Capture, text: str, words: tuple[str, ...]
) -> None:
    file = tmp_path / "landmarks.csv"
    file.write_text(text, encoding="latin-1")
    slides = ("register", phantom_pair.he, phantom_pair.ihc)
    done = run_here(capsys, *slides, "--landmarks", file, "--out", tmp_path / "new" / "T.json")
    assert_refuses_input(done, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["landmarks.csv"]


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--landmarks", "absent.csv", ("absent.csv",)),
        ("--exclude-fixed", "1,2,3", ("--exclude-fixed", "X,Y,W,H")),
        ("--exclude-moving", "1,2,0,5", ("0 x 5",)),
        ("--exclude-moving", "a,b,c,d", ("--exclude-moving",)),
        ("--exclude-moving", f"0,0,{10**400},5", ("--exclude-moving", "larger than any slide")),
        ("--report", "full", ("full", "not an empty folder")),
        ("--report", "absent/absent/report", ("absent",)),
        ("--report", "T.json", ("--report", "--out")),
    ],
)
def test_options_that_cannot_be_used(
    phantom_pair: Phantom, tmp_path: Path, capsys: Capture, option: str, value: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept.txt").write_text("kept")
    given = value if option.startswith("--exclude") else tmp_path / value
    slides = ("register", phantom_pair.he, phantom_pair.ihc)
    done = run_here(capsys, *slides, option, given, "--out", tmp_path / "T.json")
    assert_refuses_input(done, *words)
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "kept.txt"]


def test_a_report_within_the_folder_of_patches_is_refused_at_once(
    phantom_pair: Phantom, tmp_path: Path, capsys: Capture
) -> None:
    region = ("--x", 450, "--y", 450, "--region-size", 512)
    call = ("align", "--he", phantom_pair.he, "--ihc", phantom_pair.ihc, *region)
    for report in ("pairs", "pairs/report"):
        done = run_here(capsys, *call, "--out", tmp_path / "pairs", "--report", tmp_path / report)
        assert_refuses_input(done, "--report", "beside it")
        assert not list(tmp_path.iterdir())
