"""Pixels of any box at any scale, against OpenSlide and against plain arithmetic."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from openslide import OpenSlide

from tests.viewer.pyramids import Image, area_reference, block_means, noise, write_pyramid
from viewer.wsi import SlideReader, open_slide
from viewer.wsi.reader import BLOCK, LevelPixels

REAL = ["slides/cmu-small-region.svs", "slides/tcga-cr-7395-ts1.svs", "restained/he.tiff"]


def openslide_region(slide: OpenSlide, x: int, y: int, level: int, columns: int, rows: int) -> Image:
    """read_region composited on white."""
    rgba = np.asarray(slide.read_region((x, y), level, (columns, rows)))
    if rgba[..., 3].min() == 255:
        return rgba[..., :3]
    alpha = rgba[..., 3:] / 255
    rgb: Image = np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return rgb


def differs_by(ours: Image, reference: NDArray[Any]) -> float:
    return float(np.abs(ours.astype(np.float64) - reference).max())


@pytest.fixture
def odd_levels() -> list[Image]:
    full = noise(1023, 777)
    return [full, block_means(full, 4), block_means(full, 16)]


@pytest.fixture
def odd_pyramid(tmp_path: Path, odd_levels: list[Image]) -> Path:
    """Ratios 4.0118 and 16.2 where 4 and 16 are meant."""
    return write_pyramid(tmp_path / "odd.tif", odd_levels)


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_every_level_of_real_slides_is_exact(data_dir: Path, name: str) -> None:
    with OpenSlide(data_dir / name) as slide, open_slide(data_dir / name) as reader:
        assert len(reader.levels) == slide.level_count
        for number, level in enumerate(reader.levels):
            rgb, valid = reader.read(0, 0, level.width, level.height, level.downsample[0])
            reference = openslide_region(slide, 0, 0, number, level.width, level.height)
            assert np.array_equal(rgb, reference)
            assert valid.all()


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("corner", [(0, 0), (517, 1033), (-40, -7), (1499, 2900)])
def test_level_0_at_whole_places_is_read_region(data_dir: Path, name: str, corner: tuple[int, int]) -> None:
    with OpenSlide(data_dir / name) as slide, open_slide(data_dir / name) as reader:
        rgb, valid = reader.read(*corner, 300, 200, 1)
        assert np.array_equal(rgb, openslide_region(slide, *corner, 0, 300, 200))
        alpha = np.asarray(slide.read_region(corner, 0, (300, 200)))[..., 3]
        assert np.array_equal(valid, alpha == 255)


@pytest.mark.data
def test_uneven_level_is_exact_anywhere(data_dir: Path) -> None:
    """Level 1 of this slide has a ratio of 2.0005, at which OpenSlide itself interpolates."""
    path = data_dir / "slides/tcga-cr-7395-ts1.svs"
    with OpenSlide(path) as slide, open_slide(path) as reader:
        whole = openslide_region(slide, 0, 0, 1, *slide.level_dimensions[1])
        rgb, _ = reader.read(2 * 1500, 2 * 901, 700, 800, 2)
        assert np.array_equal(rgb, whole[901:1701, 1500:2200])


def test_odd_pyramid_is_exact_at_its_own_levels(odd_pyramid: Path, odd_levels: list[Image]) -> None:
    with open_slide(odd_pyramid) as reader:
        assert [level.downsample for level in reader.levels] == [(1, 1), (4, 4), (16, 16)]
        for step, stored in zip((1, 4, 16), odd_levels, strict=True):
            rgb, _ = reader.read(8 * step, 3 * step, 30, 40, step)
            assert np.array_equal(rgb, stored[3:43, 8:38])


@pytest.mark.parametrize("downsample", [1.0, 1.5, 2.0, 3.7, 4.0, 6.1, 8.0, 16.0, 33.3])
@pytest.mark.parametrize("corner", [(0.0, 0.0), (100.0, 64.0), (101.3, 77.77)])
def test_scales_in_between_are_area_means(
    odd_pyramid: Path, odd_levels: list[Image], downsample: float, corner: tuple[float, float]
) -> None:
    columns, rows = int(600 // downsample), int(500 // downsample)
    with open_slide(odd_pyramid) as reader:
        rgb, valid = reader.read(*corner, columns, rows, downsample)
    step = 16 if downsample >= 16 else 4 if downsample >= 4 else 1
    borders = [
        (start + downsample * np.arange(n + 1)) / step
        for start, n in zip(corner, (columns, rows), strict=True)
    ]
    stored = odd_levels[(1, 4, 16).index(step)]
    assert valid.all()
    assert differs_by(rgb, area_reference(stored, *borders)) <= 0.51


def test_half_a_pixel_off_is_linear_interpolation(odd_pyramid: Path, odd_levels: list[Image]) -> None:
    with open_slide(odd_pyramid) as reader:
        rgb, _ = reader.read(20.25, 30, 50, 40, 1)
    a, b = (odd_levels[0][30:70, left : left + 50].astype(np.float64) for left in (20, 21))
    assert differs_by(rgb, 0.75 * a + 0.25 * b) <= 0.51


def test_magnified_reads_interpolate_between_pixel_centres(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(0, 200, 10, dtype=np.uint8)[None, :, None], 20, axis=0).repeat(3, axis=2)
    with open_slide(write_pyramid(tmp_path / "ramp.tif", [ramp], tile=16)) as reader:
        rgb, _ = reader.read(4, 4, 40, 4, 0.25)
    centres = 4 + 0.25 * (np.arange(40) + 0.5)
    assert differs_by(rgb[0, :, 0], 10 * (centres - 0.5)) <= 0.51


def dot(width: int, height: int, centre: tuple[float, float], radius: float) -> Image:
    """A dark round dot on white with a soft edge, centre in corner-based px."""
    y, x = np.mgrid[:height, :width] + 0.5
    distance = np.hypot(x - centre[0], y - centre[1]) / radius
    dark = 220 * np.cos(np.pi / 2 * np.minimum(distance, 1)) ** 2
    rgb: Image = np.rint(255 - dark).astype(np.uint8)[..., None].repeat(3, axis=2)
    return rgb


def centroid(rgb: Image, x: float, y: float, downsample: float) -> tuple[float, float]:
    """Centre of darkness in level-0 px of a read that began at x, y."""
    dark = 255.0 - rgb[..., 0]
    rows, columns = np.mgrid[: rgb.shape[0], : rgb.shape[1]] + 0.5
    mass = dark.sum()
    return x + downsample * (dark * columns).sum() / mass, y + downsample * (dark * rows).sum() / mass


@pytest.mark.parametrize("own_decoding", [True, False], ids=["own tiles", "OpenSlide"])
@pytest.mark.parametrize("downsample", [0.5, 1.0, 1.7, 2.0, 4.0, 5.3, 8.0, 16.0, 20.0])
def test_a_dot_is_found_where_it_was_drawn(tmp_path: Path, downsample: float, own_decoding: bool) -> None:
    """Within .05 level-0 px, or .02 output px where those are large; also where OpenSlide decodes (gray)."""
    centre = 611.37, 402.81
    full = dot(1023, 777, centre, radius=max(30, 4 * downsample))
    levels = [full, block_means(full, 4), block_means(full, 16)]
    if not own_decoding:
        levels = [np.ascontiguousarray(level[..., 0]) for level in levels]
    with open_slide(write_pyramid(tmp_path / "dot.tif", levels)) as reader:
        side = int(300 / downsample)
        corner = centre[0] - 150.4, centre[1] - 153.9
        rgb, _ = reader.read(*corner, side, side, downsample)
    tolerance = max(0.05, 0.02 * downsample if downsample > 8 else 0)
    assert centroid(rgb, *corner, downsample) == pytest.approx(centre, abs=tolerance)


def test_outside_the_slide_is_white_and_invalid(odd_pyramid: Path, odd_levels: list[Image]) -> None:
    with open_slide(odd_pyramid) as reader:
        rgb, valid = reader.read(-10, 760, 30, 40, 1)
        nowhere, none = reader.read(5000, -900, 20, 20, 4)
    assert np.array_equal(rgb[:17, 10:], odd_levels[0][760:777, :20])
    assert valid[:17, 10:].all()
    assert valid.sum() == 17 * 20
    assert (rgb[~valid] == 255).all()
    assert (nowhere == 255).all()
    assert not none.any()


def test_last_pixels_of_a_coarse_read_hold_tissue_and_not_white(tmp_path: Path) -> None:
    """777 / 16 leaves a part of a px that the coarse level dropped: its colour is the slide's."""
    black = np.zeros((777, 1023, 3), np.uint8)
    levels = [black, block_means(black, 4), block_means(black, 16)]
    with open_slide(write_pyramid(tmp_path / "black.tif", levels)) as reader:
        rgb, valid = reader.read(0, 0, 64, 49, 16)
    assert (rgb == 0).all()
    assert valid[:48].all()
    assert valid[:, :63].all() == valid[48, 0]  # 9 of 16 rows of the last px are on the slide
    assert valid[48].all()


def test_validity_needs_half_of_the_pixel_on_the_slide(tmp_path: Path) -> None:
    with open_slide(write_pyramid(tmp_path / "a.tif", [noise(100, 100)], tile=64)) as reader:
        _, valid = reader.read(-3.5, 0, 2, 1, 8)
        _, less = reader.read(-5, 0, 2, 1, 8)
    assert valid.tolist() == [[True, True]]
    assert less.tolist() == [[False, True]]


class Recorder(SlideReader):
    """A slide of one level that notes how much is read at a time."""

    name = vendor = "recorder"
    um_per_px = None

    def __init__(self, reader: SlideReader) -> None:
        self.levels = reader.levels
        self.largest = 0
        self._reader = reader

    def close(self) -> None:
        self._reader.close()

    def stored(self, level: int, x: int, y: int, columns: int, rows: int) -> LevelPixels:
        self.largest = max(self.largest, columns, rows)
        return self._reader.stored(level, x, y, columns, rows)


@pytest.mark.parametrize("downsample", [1.0, 2.3, 30.0])
def test_large_reads_go_in_blocks_and_equal_small_ones(tmp_path: Path, downsample: float) -> None:
    path = write_pyramid(tmp_path / "large.tif", [noise(3000, 2600)])
    columns, rows = int(2900 / downsample), int(2500 / downsample)
    with Recorder(open_slide(path)) as reader:
        rgb, _ = reader.read(10.5, 20.25, columns, rows, downsample)
        assert reader.largest <= BLOCK + 2
        at = 10.5 + downsample * (columns - 20), 20.25 + downsample * (rows - 10)
        part, _ = reader.read(at[0], at[1], 20, 10, downsample)
    assert differs_by(part, rgb[-10:, -20:]) <= 1


def test_thumbnail_keeps_the_shape(odd_pyramid: Path) -> None:
    with open_slide(odd_pyramid) as reader:
        assert reader.thumbnail(256).shape == (194, 256, 3)
        assert reader.thumbnail(5000).shape == (777, 1023, 3)


def test_threads_share_a_reader(odd_pyramid: Path, odd_levels: list[Image]) -> None:
    places = [(7 * i % 900, 11 * i % 700) for i in range(200)]
    with open_slide(odd_pyramid) as reader, ThreadPoolExecutor(8) as threads:
        reads = list(threads.map(lambda at: reader.read(at[0], at[1], 64, 64, 1)[0], places))
    for (x, y), rgb in zip(places, reads, strict=True):
        expected = odd_levels[0][y : y + 64, x : x + 64]
        assert np.array_equal(rgb[: expected.shape[0], : expected.shape[1]], expected)


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 0, 5, 1),
        (0, 0, 5, -1, 1),
        (0, 0, 5, 5, 0),
        (0, 0, 5, 5, float("inf")),
        (float("nan"), 0, 5, 5, 1),
    ],
)
def test_empty_boxes_are_refused(odd_pyramid: Path, box: tuple[float, float, int, int, float]) -> None:
    x, y, columns, rows, downsample = box
    with open_slide(odd_pyramid) as reader, pytest.raises(ValueError, match="nothing to read"):
        reader.read(x, y, columns, rows, downsample)
