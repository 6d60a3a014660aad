"""What counts as a slide in a folder, and what a fingerprint tells apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.viewer.pyramids import noise, write_pyramid
from viewer.wsi import SlideError, find_slides, fingerprint
from viewer.wsi.files import stamp


def test_slides_in_a_folder_tree(tmp_path: Path) -> None:
    wanted = [tmp_path / "a" / "1.svs", tmp_path / "a" / "b" / "2.TIFF", tmp_path / "z.ndpi"]
    for path in [
        *wanted,
        tmp_path / "a" / "notes.txt",
        tmp_path / "a" / ".hidden.svs",
        tmp_path / ".git" / "x.svs",
    ]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    assert find_slides(tmp_path) == wanted
    assert find_slides(tmp_path / "a" / "notes.txt") == [tmp_path / "a" / "notes.txt"]


def test_a_folder_linked_into_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "slide.svs").write_bytes(b"content")
    (tmp_path / "again").symlink_to(tmp_path)
    assert find_slides(tmp_path) == [tmp_path / "slide.svs"]


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="no file or folder"):
        find_slides(tmp_path / "gone")


def test_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    first = write_pyramid(tmp_path / "a.tif", [noise(300, 300)])
    copy = tmp_path / "renamed.tif"
    copy.write_bytes(first.read_bytes())
    assert fingerprint(first) == fingerprint(copy)
    assert len(fingerprint(first)) == 64
    assert fingerprint(first) != fingerprint(write_pyramid(tmp_path / "b.tif", [noise(300, 300, seed=1)]))


@pytest.mark.parametrize("place", [0, 70_000, 999_999, -1])
def test_one_byte_of_a_small_file_changes_it(tmp_path: Path, place: int) -> None:
    content = bytearray(os.urandom(1_500_000))
    path = tmp_path / "a.svs"
    path.write_bytes(content)
    before = fingerprint(path)
    content[place] ^= 1
    path.write_bytes(content)
    assert fingerprint(path) != before


def test_fingerprint_reads_a_part_of_large_files(tmp_path: Path) -> None:
    """A sparse file of 50 GB: quick, and another size is another slide."""
    path = tmp_path / "large.svs"
    path.touch()
    os.truncate(path, 50 * 10**9)
    before = fingerprint(path)
    os.truncate(path, 50 * 10**9 + 1)
    assert fingerprint(path) != before


def test_stamp_notices_a_replaced_file(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(b"one")
    before = stamp(path)
    other = tmp_path / "other"
    other.write_bytes(b"two")
    other.replace(path)
    assert stamp(path) != before
