"""Resampling against a naive whole-image oracle; blocks, regions and the whole must agree to the last bit."""

import tracemalloc
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from registration.engine import resample
from registration.engine.errors import EngineError
from registration.engine.geometry import Box, Frame, Points, Size, point_from_index
from registration.engine.resample import Interpolation, sample, warp_array, warp_region
from registration.engine.source import Mask, Rgb
from registration.engine.synthetic import ArraySource
from registration.engine.transforms import AffineTransform, DisplacementField, Transform

Image = NDArray[Any]
MATRIX = np.array([[0.83, -0.52, 310.4], [0.55, 0.81, -160.7], [0.0, 0.0, 1.0]])


def noise(height: int, width: int, seed: int = 0) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height: int, width: int) -> Rgb:
    """No slope above 4 grey values a px."""
    y, x = np.mgrid[:height, :width] + 0.5
    waves = [127 + 100 * np.sin(x / 31 + k) * np.cos(y / 37 - k) for k in range(3)]
    image: Rgb = np.rint(np.stack(waves, axis=-1)).astype(np.uint8)
    return image


def bilinear(image: Image, points: Points, fill: float = 255) -> Image:
    """The oracle: interpolate between pixel centres, written out in float64."""
    height, width = image.shape[:2]
    x = np.clip(points[..., 0] - 0.5, 0, width - 1)
    y = np.clip(points[..., 1] - 0.5, 0, height - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    a, b = (x - left)[..., None], (y - top)[..., None]
    upper = image[top, left] * (1 - a) + image[top, right] * a
    lower = image[below, left] * (1 - a) + image[below, right] * a
    values: Image = upper * (1 - b) + lower * b
    outside = (points < 0).any(axis=-1) | (points > (width, height)).any(axis=-1)
    values[outside] = fill
    return values


def grid(width: int, height: int) -> Points:
    return np.stack(
        np.meshgrid(point_from_index(np.arange(width)), point_from_index(np.arange(height))), axis=-1
    )


def transform(size: Size, moving: Size, matrix: NDArray[np.float64] = MATRIX) -> Transform:
    fixed, other = Frame("fixed", size, None), Frame("moving", moving, None)
    values = np.random.default_rng(2).normal(0, 2, (9, 9, 2))
    return AffineTransform(matrix, fixed, other) @ DisplacementField(values, (-80, 33), (311, 270), fixed)


def test_pixel_centres_give_the_pixels_back() -> None:
    image = noise(40, 60)
    kinds: tuple[Interpolation, ...] = ("linear", "cubic", "nearest")
    for interpolation in kinds:
        values, valid = sample(image, grid(60, 40), interpolation)
        assert_array_equal(values, image)
        assert valid.all()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_sample_agrees_with_the_oracle(seed: int) -> None:
    image = smooth(70, 90)
    points = np.random.default_rng(seed).uniform(-15, 105, (20, 30, 2))
    values, valid = sample(image, points)
    assert_allclose(values.astype(float), bilinear(image, points), atol=1)
    inside = ((points >= 0) & (points <= (90, 70))).all(axis=-1)
    assert_array_equal(valid, inside)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_single_channel_images_of_each_dtype(dtype: type) -> None:
    image: Image = smooth(50, 60)[..., 0].astype(dtype)
    values, valid = sample(image, grid(60, 50) + 0.5, fill=0)
    assert values.shape == (50, 60)
    assert values.dtype == dtype
    wanted = bilinear(image[..., None], grid(60, 50) + 0.5, fill=0)[..., 0]
    assert_allclose(values.astype(float), wanted, atol=1)
    assert not values[~valid].any()


def test_labels_are_never_mixed() -> None:
    labels = np.where(noise(50, 50)[..., 0] > 127, 200, 3).astype(np.uint8)
    values, _ = sample(labels, grid(50, 50) * 0.7 + 3.3, "nearest")
    assert set(np.unique(values)) <= {3, 200}


def test_sides_beyond_the_limit_of_opencv() -> None:
    """remap refuses images of 32,767 px a side; both a long source and a long output work."""
    image = noise(3, 40_000)
    points = grid(40_000, 3)
    values, valid = sample(image, points)
    assert_array_equal(values, image)
    assert valid.all()
    far, _ = sample(image, points[:, ::-1][:, :500])
    assert_array_equal(far, image[:, ::-1][:, :500])
    wide = points[:, [0, 39_999]]
    assert_array_equal(sample(image, wide)[0], image[:, [0, 39_999]])


def test_warp_array_agrees_with_the_oracle() -> None:
    image = smooth(1300, 1400)
    values, valid = warp_array(image, MATRIX, Size(1500, 1100))
    points = AffineTransform(MATRIX, Frame("a", Size(1, 1), None), Frame("b", Size(1, 1), None))(
        grid(1500, 1100).reshape(-1, 2)
    ).reshape(1100, 1500, 2)
    assert_allclose(values.astype(float), bilinear(image, points), atol=1.5)
    assert 0.2 < valid.mean() < 1


def test_a_region_is_the_same_in_blocks_and_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ArraySource(noise(900, 1000))
    pull = transform(Size(1100, 800), source.size)
    box = Box(-40, 13, 1000, 800)
    blocks = {}
    for block in (64, 333, 1024, 4096):
        monkeypatch.setattr(resample, "BLOCK", block)
        blocks[block] = warp_region(source, pull, box)
    for rgb, valid in blocks.values():
        assert_array_equal(rgb, blocks[4096][0])
        assert_array_equal(valid, blocks[4096][1])


WHOLE = warp_region(
    ArraySource(noise(700, 800)), transform(Size(900, 600), Size(800, 700)), Box(-300, -300, 1900, 1600)
)


@settings(deadline=None, max_examples=25)
@given(st.integers(-300, 1200), st.integers(-300, 900), st.integers(1, 400), st.integers(1, 400))
def test_every_region_is_a_part_of_the_whole(x: int, y: int, width: int, height: int) -> None:
    source = ArraySource(noise(700, 800))
    pull = transform(Size(900, 600), source.size)
    whole, whole_valid = WHOLE
    part, valid = warp_region(source, pull, Box(x, y, width, height))
    rows, columns = slice(y + 300, y + 300 + height), slice(x + 300, x + 300 + width)
    assert_array_equal(part, whole[rows, columns])
    assert_array_equal(valid, whole_valid[rows, columns])


def test_a_region_agrees_with_the_oracle() -> None:
    image = smooth(900, 1000)
    pull = transform(Size(1100, 800), Size(1000, 900))
    rgb, valid = warp_region(ArraySource(image), pull, Box(100, 50, 900, 700))
    points = pull((grid(900, 700) + np.array((100, 50))).reshape(-1, 2)).reshape(700, 900, 2)
    assert_allclose(rgb.astype(float), bilinear(image, points), atol=1.5)
    assert_array_equal(valid, ((points >= 0) & (points <= (1000, 900))).all(axis=-1))
    assert (rgb[~valid] == 255).all()


def test_a_region_off_the_moving_slide_is_white_and_invalid() -> None:
    source = ArraySource(noise(100, 100))
    rgb, valid = warp_region(source, transform(Size(100, 100), source.size), Box(50_000, 50_000, 64, 48))
    assert rgb.shape == (48, 64, 3)
    assert (rgb == 255).all()
    assert not valid.any()


def test_a_finer_moving_slide_is_averaged_not_picked() -> None:
    """A fine checkerboard on a slide scanned four times as fine comes out grey."""
    y, x = np.mgrid[:800, :800]
    board = np.repeat((((x + y) % 2) * 200).astype(np.uint8)[..., None], 3, axis=-1)
    pull = AffineTransform(
        np.diag([4, 4, 1]), Frame("fixed", Size(200, 200), None), Frame("moving", Size(800, 800), None)
    )
    rgb, valid = warp_region(ArraySource(board), pull, Box(10, 10, 150, 150))
    assert valid.all()
    assert_allclose(rgb, 100, atol=2)


@pytest.mark.parametrize("downsample", [2.0, 4.0, 7.5])
def test_a_reduced_region_shows_the_same_places(downsample: float) -> None:
    """A soft dot's centroid, in level-0 px, does not depend on the scale it is looked at."""
    y, x = np.mgrid[:600, :600] + 0.5
    dot = 255 * (1 - np.exp(-((x - 333.3) ** 2 + (y - 250.8) ** 2) / (2 * 14.0**2)))
    frame_size = Size(600, 600)
    pull = AffineTransform(
        [[1.0, 0.0, 12.25], [0.0, 1.0, -8.5], [0.0, 0.0, 1.0]],
        Frame("fixed", frame_size, None),
        Frame("moving", frame_size, None),
    )
    image = np.repeat(np.rint(dot).astype(np.uint8)[..., None], 3, axis=-1)
    box = Box(181, 121, 300, 300)
    rgb, _ = warp_region(ArraySource(image), pull, box, downsample)
    assert rgb.shape[:2] == (round(300 / downsample),) * 2
    weight = 255.0 - rgb[..., 0]
    xs = box.x + point_from_index(np.arange(rgb.shape[1]), downsample)
    ys = box.y + point_from_index(np.arange(rgb.shape[0]), downsample)
    centroid = np.array([(weight.sum(axis=0) * xs).sum(), (weight.sum(axis=1) * ys).sum()]) / weight.sum()
    assert_allclose(centroid, (333.3 - 12.25, 250.8 + 8.5), atol=0.06 * downsample)


def test_an_absurd_transform_is_refused() -> None:
    source = ArraySource(np.zeros((10, 10, 3), np.uint8))
    stretched = Frame("moving", Size(500_000, 500_000), None)
    twisted = AffineTransform(
        [[400.0, 0.0, 0.0], [0.0, 0.0025, 0.0], [0.0, 0.0, 1.0]],
        Frame("fixed", Size(1000, 1000), None),
        stretched,
    )
    wide = _Wide(source)
    with pytest.raises(EngineError, match="can't be right") as caught:
        warp_region(wide, twisted @ _sheared(twisted.fixed), Box(0, 0, 1000, 1000))
    assert caught.value.code == "transform_irregular"
    assert wide.largest == 0


def _sheared(frame: Frame) -> Transform:
    values = np.zeros((2, 2, 2))
    values[:, 1, 1] = 1e8
    return DisplacementField(values, (0, 0), (1000, 1000), frame)


@dataclass
class _Wide:
    """A huge blank slide that notes the largest read."""

    inner: ArraySource
    width: int = 500_000
    height: int = 500_000
    um_per_px: tuple[float, float] | None = None
    largest: int = field(default=0)

    def read(self, x: float, y: float, columns: int, rows: int, downsample: float) -> tuple[Rgb, Mask]:
        self.largest = max(self.largest, columns * rows)
        return np.zeros((rows, columns, 3), np.uint8), np.ones((rows, columns), np.bool_)


def test_memory_is_bounded_whatever_the_size_of_slide_and_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the region takes four times the output, and no more working memory."""
    monkeypatch.setattr(resample, "BLOCK", 256)
    working = []
    for side in (512, 1024):
        slide = _Wide(ArraySource(np.zeros((1, 1, 3), np.uint8)))
        size = Size(slide.width, slide.height)
        pull = transform(size, size)
        tracemalloc.start()
        rgb, valid = warp_region(slide, pull, Box(200_000, 200_000, side, side))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        working.append(peak - rgb.nbytes - valid.nbytes)
        assert slide.largest < 3 * resample.BLOCK**2
    assert working[1] < 1.2 * working[0]
