"""Plain images as slides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.viewer.pyramids import block_means, noise
from viewer.wsi import open_slide


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pixels_of_lossless_images(tmp_path: Path, suffix: str) -> None:
    pixels = noise(1301, 703)
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}")
    with open_slide(tmp_path / f"a{suffix}") as reader:
        assert (reader.width, reader.height, reader.um_per_px) == (1301, 703, None)
        assert np.array_equal(reader.read(0, 0, 1301, 703, 1)[0], pixels)
        assert np.array_equal(reader.read(200, 100, 50, 40, 1)[0], pixels[100:140, 200:250])
        half = reader.read(0, 0, 650, 351, 2)[0].astype(int)
    assert np.abs(half - block_means(pixels, 2)).max() <= 1


@pytest.mark.data
def test_real_jpeg(data_dir: Path) -> None:
    path = data_dir / "landmarks/lung-lesion-3/He.jpg"
    with open_slide(path) as reader, Image.open(path) as image:
        rgb, _ = reader.read(0, 0, *image.size, 1)
        assert np.array_equal(rgb, np.asarray(image))
        assert reader.um_per_px is None


def test_transparent_pixels_are_white_and_invalid(tmp_path: Path) -> None:
    rgba = np.full((40, 40, 4), 90, np.uint8)
    rgba[..., 3] = 255
    rgba[:, 20:, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as reader:
        rgb, valid = reader.read(0, 0, 40, 40, 1)
    assert (rgb[:, :20] == 90).all()
    assert (rgb[:, 20:] == 255).all()
    assert valid[:, :20].all()
    assert not valid[:, 20:].any()


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK"])
def test_other_kinds_of_pixels_become_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(noise(60, 50)).convert(mode)
    image.save(tmp_path / "a.tif")
    with open_slide(tmp_path / "a.tif") as reader:
        assert np.array_equal(reader.read(0, 0, 60, 50, 1)[0], np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    ("dots_per_inch", "um"), [(25400 / 0.5, 0.5), (25400 / 5.0, 5.0), (72, None), (300, None), (600, None)]
)
def test_resolution_of_a_scan_counts_and_of_a_print_does_not(
    tmp_path: Path, dots_per_inch: float, um: float | None
) -> None:
    Image.fromarray(noise(60, 50)).save(tmp_path / "a.tif", dpi=(dots_per_inch, dots_per_inch))
    with open_slide(tmp_path / "a.tif") as reader:
        assert reader.um_per_px == (pytest.approx((um, um), rel=1e-3) if um else None)


def test_stated_um_per_px_wins(tmp_path: Path) -> None:
    Image.fromarray(noise(60, 50)).save(tmp_path / "a.tif", dpi=(50800, 50800))
    with open_slide(tmp_path / "a.tif", (0.25, 0.26)) as reader:
        assert reader.um_per_px == (0.25, 0.26)
