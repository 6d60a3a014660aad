"""Bad input to align and register: status 2, one clear line, nothing written."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.registration.commands import Done, assert_refuses_input, run_here

pytestmark = pytest.mark.data
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def he(data_dir: Path) -> Path:
    return data_dir / "restained" / "he.tiff"


@pytest.fixture
def ihc(data_dir: Path) -> Path:
    return data_dir / "restained" / "ihc.tiff"


def align(capsys: Capture, he: Path, ihc: Path, out: Path, *more: str | int | Path) -> Done:
    """A good call, but for what is changed; later options win."""
    region = ("--x", 512, "--y", 1024, "--patch-size", 256, "--out", out)
    size = () if {"--width", "--region-size"} & set(more) else ("--region-size", 512)
    return run_here(capsys, "align", "--he", he, "--ihc", ihc, *region, *size, *more)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("broken", "broken.svs"),
        ("text", "text.svs"),
        ("empty", "empty"),
        ("truncated", "truncated.tiff"),
        ("missing", "no-such.svs"),
        ("folder", "folder"),
    ],
)
@pytest.mark.parametrize("side", ["he", "ihc"])
def test_files_that_are_no_slides(
    tmp_path: Path, data_dir: Path, he: Path, ihc: Path, capsys: Capture, kind: str, word: str, side: str
) -> None:
    inputs = tmp_path / "inputs"
    (inputs / "folder").mkdir(parents=True)
    (inputs / "text.svs").write_text("this is a note, not a slide\n")
    (inputs / "empty.svs").write_bytes(b"")
    (inputs / "truncated.tiff").write_bytes(he.read_bytes()[: he.stat().st_size // 2])
    path = {
        "broken": data_dir / "slides" / "broken.svs",
        "text": inputs / "text.svs",
        "empty": inputs / "empty.svs",
        "truncated": inputs / "truncated.tiff",
        "missing": inputs / "no-such.svs",
        "folder": inputs / "folder",
    }[kind]
    slides = {"he": he, "ihc": ihc} | {side: path}
    out = tmp_path / "new" / "out"
    assert_refuses_input(align(capsys, slides["he"], slides["ihc"], out), word)
    done = run_here(capsys, "register", slides["he"], slides["ihc"], "--out", tmp_path / "new" / "T.json")
    assert_refuses_input(done, word)
    assert [path.name for path in tmp_path.iterdir()] == ["inputs"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("--x", 1400), ("not inside", "1536 x 4096")),
        (("--y", -1), ("not inside",)),
        (("--region-size", 5000), ("not inside",)),
        (("--region-size", 0), ("0 x 0",)),
        (("--region-size", -512), ("-512",)),
        (("--width", 512), ("--height",)),
        (("--width", 512, "--height", 0), ("512 x 0",)),
        (("--width", 512, "--height", 512, "--region-size", 256), ("not both",)),
        (("--patch-size", 513), ("513", "512 x 512")),
        (("--patch-size", 0), ("patch size",)),
        (("--patch-size", -256), ("-256",)),
        (("--x", "left"), ("--x", "left")),
        (("--x", "1.5"), ("--x", "1.5")),
        (("--frame", "ihc", "--x", 1400), ("not lie inside", "1536 x 4096")),
        (("--frame", "dapi"), ("dapi",)),
        (("--layout", "zarr"), ("zarr", "native")),
        (("--method", "magic"), ("magic", "accurate", "roialign")),
        (("--fixed-mpp", 0), ("--fixed-mpp", "'0'")),
        (("--moving-mpp", "-0.25"), ("--moving-mpp",)),
        (("--fixed-mpp", "nan"), ("'nan'",)),
        (("--fixed-mpp", "250"), ("'250'", "0.01 to 100")),
        (("--fixed-mpp", "0.25,0.25,0.25"), ("X,Y",)),
        (("--unknown",), ("--unknown",)),
    ],
)
def test_bad_numbers_and_names(
    tmp_path: Path,
    he: Path,
    ihc: Path,
    capsys: Capture,
    changes: tuple[str | int, ...],
    words: tuple[str, ...],
) -> None:
    assert_refuses_input(align(capsys, he, ihc, tmp_path / "new" / "out", *changes), *words)
    assert list(tmp_path.iterdir()) == []


def test_um_per_px_of_one_slide_only_is_asked_for(tmp_path: Path, he: Path, capsys: Capture) -> None:
    plain = tmp_path / "plain.png"
    cv2.imwrite(str(plain), np.random.default_rng(1).integers(0, 255, (600, 600, 3), dtype=np.uint8))
    out = tmp_path / "out"
    assert_refuses_input(align(capsys, he, plain, out), "plain.png", "--moving-mpp")
    swapped = align(capsys, plain, he, out, "--x", 0, "--y", 0)
    assert_refuses_input(swapped, "plain.png", "--fixed-mpp")
    done = run_here(capsys, "register", he, plain, "--out", tmp_path / "T.json")
    assert_refuses_input(done, "plain.png", "--moving-mpp")
    assert [path.name for path in tmp_path.iterdir()] == ["plain.png"]


def test_places_that_cannot_be_written(tmp_path: Path, he: Path, ihc: Path, capsys: Capture) -> None:
    filled = tmp_path / "filled"
    filled.mkdir()
    (filled / "mine.txt").write_text("keep")
    assert_refuses_input(align(capsys, he, ihc, filled), "filled")
    assert_refuses_input(align(capsys, he, ihc, filled / "mine.txt"), "mine.txt")
    assert_refuses_input(align(capsys, he, ihc, filled / "mine.txt" / "out"), "mine.txt")
    assert_refuses_input(align(capsys, he, ihc, tmp_path / "a" / "b" / "c"), "a/b")
    assert_refuses_input(align(capsys, he, ihc, Path("/proc/out")), "/proc/out")
    assert [path.name for path in tmp_path.rglob("*")] == ["filled", "mine.txt"]
    assert_refuses_input(align(capsys, he, ihc, tmp_path / ("a" * 300)), "too long")
    for out, word in (
        (filled, "folder"),
        (tmp_path / ("a" * 300), "too long"),
        (he, "one of the slides"),
        (tmp_path / ".T.json", "dot"),
        (Path("/proc/T.json"), "/proc/T.json"),
    ):
        assert_refuses_input(run_here(capsys, "register", he, ihc, "--out", out), word)
    assert [path.name for path in tmp_path.rglob("*")] == ["filled", "mine.txt"]


def test_links(tmp_path: Path, he: Path, ihc: Path, capsys: Capture) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "slide").symlink_to(he)
    assert_refuses_input(align(capsys, he, ihc, tmp_path / "link"), "link", "empty folder")
    assert_refuses_input(align(capsys, tmp_path / "circle", ihc, tmp_path / "out"), "circle")
    asked = ("--out", tmp_path / "T.json")
    assert_refuses_input(run_here(capsys, "register", he, tmp_path / "circle", *asked), "circle")
    done = run_here(capsys, "register", he, ihc, "--out", tmp_path / "slide")
    assert_refuses_input(done, "one of the slides")
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "link", "circle", "slide"}


def test_one_slide_is_no_pair_whatever_its_name(tmp_path: Path, he: Path, ihc: Path, capsys: Capture) -> None:
    copy = tmp_path / "copy.tiff"
    shutil.copyfile(he, copy)
    words = ("A pair needs two different slides", "copy.tiff", "same content")
    assert_refuses_input(align(capsys, he, copy, tmp_path / "out"), *words)
    done = run_here(capsys, "register", copy, he, "--out", tmp_path / "T.json")
    assert_refuses_input(done, *words)
    assert list(tmp_path.iterdir()) == [copy]


@pytest.mark.parametrize(
    ("roi", "word"),
    [
        ("1,2,3", "X,Y,W,H"),
        ("a,b,c,d", "X,Y,W,H"),
        ("0,0,0,512", "0 x 512"),
        ("1500,0,512,512", "not inside"),
        ("-5,0,512,512", "not inside"),
    ],
)
def test_bad_regions_of_register(
    tmp_path: Path, he: Path, ihc: Path, capsys: Capture, roi: str, word: str
) -> None:
    done = run_here(capsys, "register", he, ihc, f"--roi={roi}", "--out", tmp_path / "new" / "T.json")
    assert_refuses_input(done, word)
    assert list(tmp_path.iterdir()) == []
