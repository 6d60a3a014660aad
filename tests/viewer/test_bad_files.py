"""Files that are no slides, or no longer: each is refused with a code and a sentence."""

from __future__ import annotations

import itertools
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.viewer.dicom import write_dicom_slide
from tests.viewer.pyramids import block_means, noise, write_pyramid
from viewer.wsi import SlideError, find_slides, fingerprint, open_slide

NOBODY = 65534


@contextmanager
def without_privileges() -> Iterator[None]:
    """As a user that permissions apply to, also where the tests run as root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


def refusal(path: Path) -> SlideError:
    with pytest.raises(SlideError) as caught:
        open_slide(path)
    assert caught.value.message.endswith(".")
    return caught.value


def test_missing_file(tmp_path: Path) -> None:
    error = refusal(tmp_path / "gone.svs")
    assert error.code == "not_found"
    assert "gone.svs" in error.message


@pytest.mark.data
def test_what_is_not_a_slide(data_dir: Path) -> None:
    assert refusal(data_dir / "slides/broken.svs").code == "not_a_slide"


def test_text_called_svs(tmp_path: Path) -> None:
    path = tmp_path / "notes.svs"
    path.write_text("dear diary\n" * 500)
    assert refusal(path).code == "not_a_slide"


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.svs"
    path.touch()
    assert refusal(path).code == "empty_file"


def test_folder_without_a_slide(tmp_path: Path) -> None:
    assert refusal(tmp_path).code == "not_a_slide"


def test_neither_file_nor_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.svs")
    assert refusal(tmp_path / "pipe.svs").code == "unreadable"


@pytest.mark.data
@pytest.mark.parametrize("share", [0.0001, 0.02, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize(
    "name", ["slides/cmu-small-region.svs", "slides/tcga-cr-7395-ts1.svs", "restained/he.tiff"]
)
def test_truncated_slide(data_dir: Path, tmp_path: Path, name: str, share: float) -> None:
    content = (data_dir / name).read_bytes()
    path = tmp_path / Path(name).name
    path.write_bytes(content[: int(len(content) * share)])
    error = refusal(path)
    assert error.code == "truncated"
    assert f"{path.stat().st_size:,} bytes" in error.message


def test_truncated_big_tiff(tmp_path: Path) -> None:
    path = tmp_path / "big.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(noise(700, 500), tile=(256, 256), photometric="rgb", compression="deflate")
    open_slide(path).close()
    path.write_bytes(path.read_bytes()[:-100])
    assert refusal(path).code == "truncated"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_truncated_plain_image(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    Image.fromarray(noise(300, 200)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal(path).code == "truncated"


def test_damaged_tile_is_an_error_and_not_a_wrong_picture(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "slide.tif", [noise(1200, 900), block_means(noise(1200, 900), 4)])
    content = bytearray(path.read_bytes())
    content[300_000:300_400] = bytes(400)
    path.write_bytes(content)
    with open_slide(path) as reader, pytest.raises(SlideError) as caught:
        reader.read(0, 0, 1200, 900, 1)
    assert caught.value.code == "unreadable"


def huge_png(path: Path, side: int) -> Path:
    """A few hundred bytes that claim side x side px."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize("side", [12_300, 16_000, 200_000])
def test_plain_image_that_claims_too_much(tmp_path: Path, side: int) -> None:
    """Just above the limit, above Pillow's warning, above Pillow's own refusal."""
    error = refusal(huge_png(tmp_path / "bomb.png", side))
    assert error.code == "too_large_plain_image"
    assert "150,000,000" in error.message


def test_slide_that_claims_too_much(tmp_path: Path) -> None:
    """A tiled TIFF without any tile whose one level is said to have 140,000 x 140,000 px."""
    path, side, tile = tmp_path / "claim.tif", 140_000, 4096
    tiles = itertools.repeat(b"", (-(-side // tile)) ** 2)
    tifffile.imwrite(
        path,
        tiles,
        shape=(side, side, 3),
        dtype="u1",
        tile=(tile, tile),
        photometric="rgb",
        compression="deflate",
    )
    assert path.stat().st_size < 100_000
    error = refusal(path)
    assert error.code == "no_overview"
    assert "pyramidal TIFF" in error.message


def test_sixteen_bit_pixels(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((20, 20), 40000, np.uint16)).save(path)
    assert refusal(path).code == "unsupported_pixels"


def test_unreadable_file_and_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    closed = tmp_path / "closed"
    closed.mkdir()
    write_pyramid(closed / "a.tif", [noise(300, 300)])
    (closed / "a.tif").chmod(0)
    secret = tmp_path / "secret.svs"
    secret.write_bytes(b"x")
    secret.chmod(0)
    closed.chmod(0)
    try:
        with without_privileges():
            for look in (open_slide, fingerprint, find_slides):
                for path in (closed, closed / "a.tif", secret):
                    with pytest.raises(SlideError) as caught:
                        look(path)
                    assert caught.value.code == "unreadable"
    finally:
        closed.chmod(0o755)


def test_unreadable_folder_below_is_listed(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & stat.S_IXOTH:  # those that pytest has made
            folder.chmod(0o755)
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0)
    slide = write_pyramid(tmp_path / "a.tif", [noise(300, 300)])
    with without_privileges():
        found = find_slides(tmp_path)
    assert found == [slide, tmp_path / "closed"]


def test_dicom_folder_of_two_series(tmp_path: Path) -> None:
    write_dicom_slide(tmp_path / "a", noise(300, 300), 0.25)
    write_dicom_slide(tmp_path / "b", noise(300, 300, seed=1), 0.25)
    for file in (tmp_path / "b").iterdir():
        file.rename(tmp_path / "a" / f"other-{file.name}")
    assert refusal(tmp_path / "a").code == "several_slides"


def test_truncated_dicom(tmp_path: Path) -> None:
    folder = write_dicom_slide(tmp_path / "slide", noise(600, 500), 0.25)
    level = folder / "level0.dcm"
    level.write_bytes(level.read_bytes()[:200_000])
    with pytest.raises(SlideError), open_slide(folder) as reader:
        reader.read(0, 0, 600, 500, 1)


def test_an_offset_that_no_file_can_have(tmp_path: Path) -> None:
    """BigTIFF, 64 bits: more than the system can seek to."""
    path = tmp_path / "far.tif"
    tifffile.imwrite(path, noise(300, 200), tile=(64, 64), photometric="rgb", bigtiff=True)
    content = bytearray(path.read_bytes())
    count, tile_offsets = struct.pack("<Q", 20), struct.pack("<HH", 324, 16)
    at = content.index(tile_offsets + count) + len(tile_offsets + count)
    for offset in (2**63, 2**64 - 1):
        content[at : at + 8] = struct.pack("<Q", offset)
        path.write_bytes(content)
        assert refusal(path).code == "truncated"


def test_dicom_sequences_nested_without_end(tmp_path: Path) -> None:
    sequence = struct.pack("<HH2sHI", 8, 0x1000, b"SQ", 0, 2**32 - 1)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 2**32 - 1)
    path = tmp_path / "deep.dcm"
    path.write_bytes(bytes(128) + b"DICM" + 5000 * (sequence + item))
    fingerprint(path)
    assert refusal(path).code == "not_a_slide"
