"""The zip as a file, and that an export is there completely or not at all."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registration.archives import ExportRequest, export
from registration.artefacts import SlideInfo
from registration.engine.errors import Cancelled, EngineError
from registration.engine.geometry import Box, Frame, Size
from registration.engine.source import Mask, Rgb
from registration.engine.synthetic import ArraySource
from registration.engine.transforms import AffineTransform
from registration.export.sinks import safe_name
from tests.registration.export.pairs import HOSTILE, phantom, request, slide

LAYOUTS = ("native", "roialign")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_zip_and_folder_hold_the_same_and_the_zip_is_reproducible(tmp_path: Path, layout: str) -> None:
    first = export(tmp_path / "a.zip", request(layout))
    second = export(tmp_path / "b.zip", request(layout))
    export(tmp_path / "folder", request(layout))
    content = (tmp_path / "a.zip").read_bytes()
    assert content == (tmp_path / "b.zip").read_bytes()
    assert first.sha256 == second.sha256 == hashlib.sha256(content).hexdigest()
    assert first.size_bytes == len(content)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        assert tuple(archive.namelist()) == first.files
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / "folder" / name).read_bytes()


def test_entries_are_stored_dated_alike_and_readable_by_all(tmp_path: Path) -> None:
    export(tmp_path / "a.zip", request())
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert entry.external_attr >> 16 == 0o100644


@pytest.mark.parametrize("layout", LAYOUTS)
def test_progress_goes_up_to_the_end(tmp_path: Path, layout: str) -> None:
    told: list[int] = []
    export(tmp_path / "a.zip", request(layout), lambda stage, percent: told.append(percent))
    assert told == sorted(told)
    assert told[-1] == 100


def test_an_older_zip_is_replaced_and_a_filled_folder_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("old")
    export(tmp_path / "a.zip", request())
    assert zipfile.is_zipfile(tmp_path / "a.zip")
    (tmp_path / "filled").mkdir()
    (tmp_path / "filled" / "mine.txt").write_text("keep")
    with pytest.raises(EngineError) as caught:
        export(tmp_path / "filled", request())
    assert caught.value.code == "destination_exists"
    assert [path.name for path in (tmp_path / "filled").iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    export(tmp_path / "empty", request())
    assert (tmp_path / "empty" / "run.json").is_file()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["a.zip", "folder", "new-parent/folder"])
def test_cancel_leaves_nothing(tmp_path: Path, layout: str, name: str) -> None:
    def stop(stage: str, percent: int) -> None:
        if percent >= 50:
            raise Cancelled

    with pytest.raises(Cancelled):
        export(tmp_path / name, request(layout), stop)
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True, eq=False)
class Breaking(ArraySource):
    """A slide whose lower half can't be read any more."""

    def read(self, x: float, y: float, columns: int, rows: int, downsample: float) -> tuple[Rgb, Mask]:
        if y + rows * downsample > self.height / 2:
            raise EngineError("unreadable", "The slide can't be read any more.")
        return super().read(x, y, columns, rows, downsample)


@pytest.mark.parametrize("name", ["a.zip", "folder"])
def test_a_slide_that_breaks_half_way_leaves_nothing(tmp_path: Path, name: str) -> None:
    pair = phantom()
    broken = slide("he", Breaking(pair.he.rgb, pair.he.um_per_px))
    with pytest.raises(EngineError, match="any more"):
        export(tmp_path / name, replace(request(), fixed=broken))
    assert list(tmp_path.iterdir()) == []


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel lets no file grow beyond `size` bytes (as a quota would not)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("layout", "name"), [("native", "a.zip"), ("roialign", "a.zip"), ("roialign", "folder")]
)
def test_a_full_quota_is_said_and_leaves_nothing(tmp_path: Path, layout: str, name: str) -> None:
    with largest_file(200_000), pytest.raises(EngineError) as caught:
        export(tmp_path / name, request(layout))
    assert (caught.value.code, caught.value.permanent) == ("disk_full", False)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    if subprocess.run(["mount", *options], check=False, capture_output=True).returncode:
        pytest.skip("Only root may mount a small file system; the quota test covers the same path.")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["a.zip", "folder"])
def test_a_full_disk_is_said_and_leaves_nothing(small_disk: Path, layout: str, name: str) -> None:
    with pytest.raises(EngineError) as caught:
        export(small_disk / name, request(layout))
    assert caught.value.code == "disk_full"
    assert "free some space" in caught.value.message
    assert list(small_disk.iterdir()) == []


@dataclass(frozen=True)
class Endless:
    """A slide of any size whose pixels are a function of their place, so that it takes no memory itself."""

    width: int
    height: int
    um_per_px: tuple[float, float] = (0.25, 0.25)

    def read(self, x: float, y: float, columns: int, rows: int, downsample: float) -> tuple[Rgb, Mask]:
        across = (np.arange(columns) * downsample + x).astype(np.int64) % 97
        down = (np.arange(rows) * downsample + y).astype(np.int64) % 89
        plane = (across[None, :] + down[:, None]).astype(np.uint8)
        return np.stack((plane, plane, plane), axis=-1), np.ones((rows, columns), np.bool_)


def peak_memory(folder: Path, height: int) -> int:
    """Bytes held at most while a region 1024 px wide and `height` px tall is exported."""
    source = Endless(1024, 8192)
    frame = Frame("fixed", Size(1024, 8192), source.um_per_px)
    transform = AffineTransform(np.eye(3), frame, replace(frame, name="moving"))
    he, ihc = (SlideInfo(stain, stain, stain, "", source) for stain in ("he", "ihc"))
    asked = ExportRequest(he, ihc, transform, Box(0, 0, 1024, height), 256, "roialign", request().record)
    tracemalloc.start()
    report = export(folder / f"{height}.zip", asked)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.patches == 4 * height // 256
    return peak


def test_memory_does_not_grow_with_the_region(tmp_path: Path) -> None:
    peak_memory(tmp_path, 512)  # what is loaded only once
    small, large = peak_memory(tmp_path, 3072), peak_memory(tmp_path, 8192)
    assert large < 1.25 * small


def test_a_killed_export_shows_no_archive(tmp_path: Path) -> None:
    """SIGKILL half way: the destination must not exist; only a hidden temporary folder may be left."""
    code = (
        "import os, signal; from pathlib import Path; from registration.archives import export\n"
        "from tests.registration.export.pairs import request\n"
        "def kill(stage, percent): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"export(Path({str(tmp_path / 'a.zip')!r}), request(), kill)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": "."}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"layout": "zarr"}, "unknown_layout", "layout"),
        ({"patch_size": 1000}, "patch_larger_than_region", "patch_size"),
        ({"patch_size": 0}, "patch_too_small", "patch_size"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], code: str, field: str
) -> None:
    asked: ExportRequest = request(**changes)
    for name in ("a.zip", "folder"):
        with pytest.raises(EngineError) as caught:
            export(tmp_path / name, asked)
        assert (caught.value.code, caught.value.field) == (code, field)
    assert list(tmp_path.iterdir()) == []


def test_a_destination_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (
        Path("/proc/nowhere/a.zip"),
        tmp_path / "file" / "a.zip",
        tmp_path / "no" / "such" / "folder",
    ):
        with pytest.raises(EngineError) as caught:
            export(place, request())
        assert (caught.value.code, caught.value.field) == ("not_writable", "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("case 7 (IHC)", "case 7 (IHC)"),
        (HOSTILE, "_.._etc_pass wd_.._"),
        ("...", "slide"),
        ("", "slide"),
        ("Präparat-1.2", "Präparat-1.2"),
        ("TCGA-CR-7395-01Z-00-DX1.2C6E1A6B-77A7-4D5B-9A8C-3B2A5D0E9F11_HER2", None),
        ("a" * 500, "a" * 200),
        ("ä" * 500, "ä" * 100),
        ("odd\udcff", "odd_"),
    ],
)
def test_safe_names(stem: str, expected: str | None) -> None:
    """None: the name itself."""
    assert safe_name(stem) == (stem if expected is None else expected)
