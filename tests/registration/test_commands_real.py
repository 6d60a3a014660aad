"""What the documented commands do not show: whole slides, refusal and force, termination, stated um/px."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.processes import REPOSITORY
from tests.registration.commands import NO_DATABASE, last_json, run
from tests.registration.truth import errors
from viewer.wsi import open_slide

pytestmark = [pytest.mark.data, pytest.mark.slow]


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_whole_slides_register_within_three_px(data_dir: Path, tmp_path: Path) -> None:
    restained = data_dir / "restained"
    out = tmp_path / "new" / "T.json"
    done = run("register", restained / "he.tiff", restained / "ihc.tiff", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    record = last_json(done)
    assert (record["verdict"], record["roi"], record["patches"]) == ("good", None, 0)
    assert record["files"] == [str(out)] == [record["transform"]]
    assert files_below(out.parent) == {"T.json"}
    assert np.median(errors(out, restained, tmp_path)) <= 3.0


def test_unrelated_slides_are_refused_and_force_writes_all_the_same(data_dir: Path, tmp_path: Path) -> None:
    slides = (
        "--he",
        data_dir / "restained" / "he.tiff",
        "--ihc",
        data_dir / "slides" / "cmu-small-region.svs",
    )
    region = ("--x", 512, "--y", 1024, "--region-size", 512, "--patch-size", 256)
    done = run("align", *slides, *region, "--out", tmp_path / "refused", "--json")
    assert done.returncode == 3, done.stderr
    record = last_json(done)
    assert (record["verdict"], record["patches"]) == ("refused", 0)
    assert record["reasons"]
    assert all(reason["code"] and reason["message"].endswith(".") for reason in record["reasons"])
    assert files_below(tmp_path / "refused") - {"field.npz", "expected.npz"} == {"transform.json", "run.json"}
    assert json.loads((tmp_path / "refused" / "transform.json").read_text())["verdict"] == "refused"
    forced = run("align", *slides, *region, "--layout", "roialign", "--force", "--out", tmp_path / "forced")
    assert forced.returncode == 3, forced.stderr
    assert len(list((tmp_path / "forced").glob("*/patches_ihc/*.png"))) == 4


def test_terminated_half_way_nothing_is_left(data_dir: Path, tmp_path: Path) -> None:
    restained = data_dir / "restained"
    slides = ("--he", restained / "he.tiff", "--ihc", restained / "ihc.tiff")
    region = ("--x", "512", "--y", "1024", "--region-size", "512", "--out", tmp_path / "new" / "out")
    process = subprocess.Popen(
        [sys.executable, REPOSITORY / "manage.py", "align", *slides, *region], env=NO_DATABASE
    )
    try:
        while not list(tmp_path.glob("new/.out.*")):
            assert process.poll() is None, "it ended before it began to write"
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()
    assert list(tmp_path.iterdir()) == []


def test_um_per_px_can_be_stated_for_plain_images(data_dir: Path, tmp_path: Path) -> None:
    for name in ("he", "ihc"):
        with open_slide(data_dir / "restained" / f"{name}.tiff") as slide:
            rgb = slide.read(0, 0, 768, 2048, 2.0)[0]
        cv2.imwrite(str(tmp_path / f"{name}.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    stated = ("--fixed-mpp", "0.5", "--moving-mpp", "0.5", "--method", "rigid", "--json")
    done = run("register", tmp_path / "he.png", tmp_path / "ihc.png", *stated, "--out", tmp_path / "T.json")
    assert done.returncode == 0, done.stderr
    record = last_json(done)
    assert record["method"] == "rigid"
    assert record["fixed"]["um_per_px"] == record["moving"]["um_per_px"] == [0.5, 0.5]
    assert record["error_um"]["median"] == pytest.approx(record["error_px"]["median"] / 2)
    stored = json.loads((tmp_path / "T.json").read_text())
    assert stored["fixed"]["um_per_px"] == [0.5, 0.5]
