"""Known warps: what is shown must lie where the truth says, to a fraction of a pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from registration.engine.evaluation.field import folding_share
from registration.engine.geometry import Box, Frame, Points, Size, point_from_index
from registration.engine.source import Rgb
from registration.engine.synthetic import ArraySource, phantom_arrays
from registration.engine.synthetic.looks import LOOKS, Look
from registration.engine.synthetic.warped import (
    Filling,
    WarpedSource,
    developed,
    placed,
    smooth_field,
    turned_size,
)

SPOTS = np.array([(60.0, 50.5), (150.25, 60.75), (100.5, 100.0), (70.0, 150.0), (160.0, 140.5)])


def dots(size: int = 220, sigma: float = 4.0) -> ArraySource:
    """Dark dots at SPOTS on white."""
    x, y = np.meshgrid(*(point_from_index(np.arange(size)),) * 2)
    ink = sum(np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2)) for px, py in SPOTS)
    grey = np.rint(255 - 200 * np.asarray(ink)).astype(np.uint8)
    return ArraySource(np.repeat(grey[..., None], 3, axis=-1), (0.5, 0.5))


def centroid(source: WarpedSource | ArraySource, spot: Points, downsample: float, reach: float) -> Points:
    """Of the ink within `reach` level-0 px of `spot`, level-0 px."""
    count = int(2 * reach / downsample)
    left, top = spot - count * downsample / 2
    rgb, _ = source.read(left, top, count, count, downsample)
    ink = 255.0 - rgb[..., 0]
    at = point_from_index(np.arange(count), downsample)
    sums = (ink.sum(axis=0) * at).sum(), (ink.sum(axis=1) * at).sum()
    found: Points = np.array((left, top)) + np.array(sums) / ink.sum()
    return found


@pytest.mark.parametrize("downsample", [1.0, 2.0, 3.3])
@pytest.mark.parametrize(
    ("degrees", "mirrored", "scale"), [(0, False, 1), (33, False, 1.4), (211, True, 0.7), (90, True, 2)]
)
def test_dots_lie_where_the_truth_says(
    degrees: float, mirrored: bool, scale: float, downsample: float
) -> None:
    source = dots()
    size = turned_size(source.size, degrees, scale)
    place = placed(source, size, degrees=degrees, mirrored=mirrored, scale=scale)
    field = smooth_field(place.fixed, 3, 5.0, 150.0 * scale)
    shown = WarpedSource(source, place @ field)
    targets = shown.source_from_shown.inverse()(SPOTS)
    for target in targets:
        found = centroid(shown, target, downsample, 16 * scale)
        assert_allclose(found, target, atol=0.2)  # the field bends a dot's tails
    straight = WarpedSource(source, place)
    for target in place.inverse()(SPOTS):
        assert_allclose(centroid(straight, target, downsample, 16 * scale), target, atol=0.05 * downsample)


def test_a_turn_is_clockwise_as_seen_and_the_mirror_comes_first() -> None:
    source = dots()
    place = placed(source, Size(400, 300), centre=(100, 80), degrees=90, mirrored=True, scale=2)
    shown_from_source = place.inverse()
    assert_allclose(shown_from_source([[100, 80]]), [[200, 150]], atol=1e-9)
    # 10 px to the right: mirrored to the left, turned clockwise to upwards, twice as far.
    assert_allclose(shown_from_source([[110, 80]]), [[200, 130]], atol=1e-9)


def test_whole_pixels_are_shown_as_they_are() -> None:
    source = ArraySource(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    place = placed(source, Size(40, 30), centre=(40, 30))
    rgb, valid = WarpedSource(source, place).read(0, 0, 40, 30, 1.0)
    assert_array_equal(rgb, source.rgb[15:45, 20:60])
    assert valid.all()


@pytest.mark.parametrize("colour", [255, 243, 0])
def test_the_filling_counts_as_part_of_the_slide(colour: int) -> None:
    source = ArraySource(np.full((50, 50, 3), 120, np.uint8))
    shown = WarpedSource(source, placed(source, Size(100, 80)), filling=Filling((colour,) * 3))
    rgb, valid = shown.read(-10, 0, 110, 80, 1.0)
    assert_array_equal(valid, np.tile(np.arange(-10, 100) >= 0, (80, 1)))
    assert (rgb[:10, 10:] == colour).all()
    assert (rgb[20:60, 40:80] == 120).all()
    assert (rgb[~valid] == 255).all()


def test_without_a_filling_what_is_not_there_is_invalid() -> None:
    source = ArraySource(np.full((50, 50, 3), 120, np.uint8))
    place = placed(source, Size(100, 80))
    rgb, valid = WarpedSource(source, place, window=Box(0, 0, 25, 50)).read(0, 0, 100, 80, 1.0)
    wanted = np.zeros((80, 100), bool)
    wanted[15:65, 25:50] = True
    assert_array_equal(valid, wanted)
    assert (rgb[~valid] == 255).all()
    kept = developed(WarpedSource(source, place, window=Box(0, 0, 25, 50))).read(0, 0, 100, 80, 1.0)
    assert_array_equal(kept[1], wanted)


def test_a_noisy_filling_is_noise_about_its_colour() -> None:
    source = ArraySource(np.full((10, 10, 3), 120, np.uint8))
    shown = WarpedSource(source, placed(source, Size(400, 300)), filling=Filling((200, 200, 200), 3.0))
    rgb, _ = shown.read(0, 0, 150, 150, 1.0)
    assert 2.5 < rgb[:100, :100].astype(float).std() < 3.5
    apart, _ = shown.read(7, 9, 50, 50, 1.0)
    assert_array_equal(apart, rgb[9:59, 7:57])


def test_reduced_reads_are_the_average_of_full_ones() -> None:
    pair = phantom_arrays(400, 3, rotation=0, field_px=0)
    shown = WarpedSource(pair.he, placed(pair.he, Size(500, 480), degrees=25, scale=1.1))
    full, _ = shown.read(40, 60, 400, 400, 1.0)
    reduced, _ = shown.read(40, 60, 100, 100, 4.0)
    average = full.reshape(100, 4, 100, 4, 3).mean(axis=(1, 3))
    assert np.abs(reduced - average).mean() < 3.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.5, 30), st.floats(5, 40))
def test_a_field_is_as_large_as_asked_for_and_never_folds(seed: int, largest: float, ratio: float) -> None:
    frame = Frame("moving", Size(700, 500), None)
    try:
        field = smooth_field(frame, seed, largest, largest * ratio)
    except ValueError:
        assert ratio < 10
        return
    xs, ys = np.arange(0, 700, 7.0), np.arange(0, 500, 7.0)
    shift = field.on_grid(xs, ys) - np.stack(np.meshgrid(xs, ys), axis=-1)
    assert np.hypot(shift[..., 0], shift[..., 1]).max() <= largest * 1.001
    assert folding_share(field, frame.size.box, 7) == 0


def test_the_same_seed_shows_the_same_bytes() -> None:
    source = dots()
    place = placed(source, Size(300, 300), degrees=10)
    shown = [
        developed(
            WarpedSource(source, place @ smooth_field(place.fixed, 4, 6, 100), LOOKS[0], Filling(noise=2.0)),
            noise=3.0,
            blur=0.6,
            jpeg=80,
            seed=9,
        ).rgb
        for _ in range(2)
    ]
    assert shown[0].tobytes() == shown[1].tobytes()


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_other_stains_keep_glass_light_and_tissue_dark(look: Look) -> None:
    rgb: Rgb = phantom_arrays(600, 5).he.rgb
    shown = look(rgb)
    glass = rgb.min(axis=-1) > 235
    assert shown[glass].mean() > 205
    assert shown[~glass].mean() < shown[glass].mean() - 10
    assert np.abs(shown.astype(int) - rgb).mean() > 3


def test_a_stain_is_monotone_in_its_amount() -> None:
    amounts = np.linspace(0, 1.2, 40)
    hematoxylin = np.array((0.650, 0.704, 0.286)) / np.linalg.norm((0.650, 0.704, 0.286))
    ramp = np.rint(255 * 10 ** -(amounts[:, None] * hematoxylin)).astype(np.uint8)[None]
    for look in LOOKS:
        grey = look(ramp).astype(float).sum(axis=-1)[0]
        assert (np.diff(grey) <= 1).all()
        assert grey[0] - grey[-1] > 60
