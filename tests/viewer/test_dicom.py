"""DICOM slides: a folder with one series is one slide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import dcmread

from tests.viewer.dicom import write_dicom_slide
from tests.viewer.pyramids import noise
from viewer.wsi import find_slides, fingerprint, open_slide
from viewer.wsi.dicom import series_uid


def test_folder_opens_as_one_slide(tmp_path: Path) -> None:
    pixels = noise(900, 700)
    folder = write_dicom_slide(tmp_path / "case", pixels, 0.25)
    assert find_slides(tmp_path) == [folder]
    with open_slide(folder) as reader:
        assert (reader.name, reader.vendor, reader.um_per_px) == ("case", "dicom", (0.25, 0.25))
        assert [(level.width, level.height) for level in reader.levels] == [(900, 700), (450, 350)]
        assert np.array_equal(reader.read(0, 0, 900, 700, 1)[0], pixels)
        assert np.array_equal(reader.read(100, 200, 60, 50, 2)[0], pixels[200:300:2, 100:220:2])


def test_any_file_of_the_series_is_the_same_slide(tmp_path: Path) -> None:
    folder = write_dicom_slide(tmp_path / "case", noise(600, 500), 0.25)
    assert fingerprint(folder) == fingerprint(folder / "level0.dcm") == fingerprint(folder / "level1.dcm")
    with open_slide(folder / "level1.dcm") as reader:
        assert (reader.width, reader.height) == (600, 500)


def test_label_in_the_folder_is_not_the_slide(tmp_path: Path) -> None:
    """Scanners put a picture of the label into the same series; here it even comes first by name."""
    pixels = noise(600, 500)
    folder = write_dicom_slide(tmp_path / "case", pixels, 0.25)
    write_dicom_slide(tmp_path / "label", noise(300, 200, seed=3), 10, levels=1)
    label, slide = dcmread(tmp_path / "label/level0.dcm"), dcmread(folder / "level0.dcm")
    label.ImageType = ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]
    label.SeriesInstanceUID = slide.SeriesInstanceUID
    label.save_as(folder / "a-label.dcm")
    with open_slide(folder) as reader:
        assert np.array_equal(reader.read(0, 0, 600, 500, 1)[0], pixels)
        assert len(reader.levels) == 2


def test_two_series_in_a_folder_are_two_slides(tmp_path: Path) -> None:
    first = write_dicom_slide(tmp_path / "case", noise(300, 300), 0.25)
    second = write_dicom_slide(tmp_path / "other", noise(300, 300, seed=1), 0.25)
    for file in second.iterdir():
        file.rename(first / f"second-{file.name}")
    found = find_slides(first)
    assert found == [first / "level0.dcm", first / "second-level0.dcm"]
    assert fingerprint(found[0]) != fingerprint(found[1])


def test_series_uid_is_the_one_at_the_top(tmp_path: Path) -> None:
    """A sequence before it holds another series' UID, as references to other images do."""
    folder = write_dicom_slide(tmp_path / "case", noise(300, 300), 0.25, levels=1)
    dataset = dcmread(folder / "level0.dcm")
    reference = dcmread(folder / "level0.dcm", specific_tags=["SeriesInstanceUID"])
    reference.SeriesInstanceUID = "1.2.3"
    del reference.file_meta
    for undefined in (True, False):
        dataset.ReferencedSeriesSequence = [reference]
        dataset["ReferencedSeriesSequence"].is_undefined_length = undefined
        dataset.save_as(folder / "level0.dcm")
        assert series_uid(folder / "level0.dcm") == dataset.SeriesInstanceUID
