"""The parts of the slide-level alignment: chance, blocks, the masked search, settings."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from registration.engine.blockmatch import (
    Layout,
    exact_agreement,
    match_blocks,
    match_edges_too,
    match_structure,
)
from registration.engine.chance import binomial_z, quantile
from registration.engine.coarse import candidates
from registration.engine.config import RegistrationConfig
from registration.engine.config.slides import SlideConfig
from registration.engine.constraints import excluding
from registration.engine.correlate import fft_shape, masked_ncc, spectra
from registration.engine.features import overview
from registration.engine.geometry import Size
from registration.engine.matrices import Matrix, apply, shift, turn
from registration.engine.overviews import closer
from registration.engine.resample import warp_array, warp_quick
from registration.engine.result import StageReport, no_progress
from registration.engine.robust import fit
from registration.engine.slidefit import fit_slides
from registration.engine.stages import Stages
from registration.engine.synthetic import ArraySource
from registration.engine.tissue import constant_filling

LIMITS = (0.7, 1.4)
LAYOUT = Layout(tile=48, search=16, stride=24)


def _tissue(seed: int, side: int = 240) -> NDArray[np.uint8]:
    """Blobs of several sizes on glass."""
    rng = np.random.default_rng(seed)
    image = np.zeros((side, side), np.float32)
    for sigma in (2, 5, 12):
        noise = rng.normal(size=(side, side)).astype(np.float32)
        blurred = cv2.GaussianBlur(noise, (0, 0), sigma)
        image += blurred / blurred.std()
    grey = np.clip(170 + 25 * image, 20, 240).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _shrunk(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, (60, 60), interpolation=cv2.INTER_AREA), np.uint8)


def _overview(rgb: NDArray[np.uint8]):  # type: ignore[no-untyped-def]
    return overview(rgb, np.ones(rgb.shape[:2], np.bool_), 1.0)


# fits


def test_matches_in_one_row_give_a_similarity() -> None:
    """No affine can be fitted to them, and what they do say is not thrown away."""
    row = np.stack((np.arange(20) * 24.0, np.full(20, 32.0)), axis=-1)
    matrix = fit(row, row * 1.02 + (3, 1), np.ones(20), "affine")
    np.testing.assert_allclose(matrix, [(1.02, 0, 3), (0, 1.02, 1), (0, 0, 1)], atol=1e-9)


# overviews


def test_a_canvas_around_the_scene_costs_it_no_detail() -> None:
    scene = _tissue(5, 400)
    around = [
        np.pad(scene, ((width, width), (width, width), (0, 0)), constant_values=255) for width in (0, 80)
    ]
    bare, canvas = (_overview(image.astype(np.uint8)) for image in around)
    blank = _overview(np.full_like(scene, 255))
    assert closer(bare, bare) == closer(blank, blank) == 1.0
    assert closer(canvas, canvas) == pytest.approx(560 / 400, rel=0.03)
    assert closer(bare, canvas) == pytest.approx(math.sqrt(560 / 400), rel=0.03)


def test_slides_on_a_canvas_are_read_closer() -> None:
    scene = np.pad(_tissue(5, 400), ((80, 80), (80, 80), (0, 0)), constant_values=255).astype(np.uint8)
    slides = ArraySource(scene, (1.0, 1.0)), ArraySource(scene, (1.0, 1.0))
    config = RegistrationConfig("accurate", "field", slides=SlideConfig(overview_px=280))
    fit = fit_slides(*slides, config, Stages(no_progress))
    assert fit.overviews[0].downsample == pytest.approx(400 / 280, rel=0.03)
    np.testing.assert_allclose(fit.affine.matrix, np.eye(3), atol=0.05)


# chance


@pytest.mark.parametrize(
    ("hits", "count", "chance"), [(3, 10, 0.1), (1, 1, 0.04), (40, 60, 0.5), (0, 7, 0.2)]
)
def test_z_is_the_normal_deviate_of_the_exact_tail(hits: int, count: int, chance: float) -> None:
    tail = sum(math.comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(hits, count + 1))
    below = 0.5 * math.erfc(binomial_z(hits, count, chance) / math.sqrt(2))
    assert below == pytest.approx(tail, abs=1e-9)


def test_few_blocks_never_give_a_large_z() -> None:
    assert binomial_z(2, 2, 0.05) < 3
    assert binomial_z(8, 11, 0.047) < 6
    assert binomial_z(0, 0, 0.05) == 0


@given(st.integers(1, 400), st.data())
@settings(max_examples=40, deadline=None)
def test_more_hits_are_never_nearer_to_chance(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count - 1))
    assert binomial_z(hits, count, 0.05) <= binomial_z(hits + 1, count, 0.05)


def test_the_quantile_goes_on_smoothly_where_probabilities_underflow() -> None:
    around = [quantile(at) for at in (-649.0, -651.0, -10_000.0)]
    assert around == sorted(around)
    assert around[1] - around[0] < 0.1
    assert around[2] == pytest.approx(math.sqrt(20_000), rel=0.01)


# blocks


@pytest.mark.parametrize("match", [match_blocks, match_edges_too, match_structure])
def test_blocks_find_a_known_shift(match) -> None:  # type: ignore[no-untyped-def]
    rgb = _tissue(1)
    fixed, moving = _overview(rgb[20:220, 20:220]), _overview(rgb[15:215, 27:227])
    blocks = match(fixed, moving, np.eye(3), LAYOUT)
    assert len(blocks) > 20
    assert np.allclose(np.median(blocks.shifts, axis=0), (-7, 5), atol=0.1)
    assert exact_agreement(blocks, LAYOUT, 4.0).share == 0  # 8.6 px away from what the identity predicts
    there = match(fixed, moving, shift(-7, 5), LAYOUT)
    assert exact_agreement(there, LAYOUT, 4.0).z > 8


@pytest.mark.parametrize("match", [match_blocks, match_edges_too, match_structure])
def test_blocks_of_unrelated_images_agree_by_chance(match) -> None:  # type: ignore[no-untyped-def]
    scores = [
        exact_agreement(
            match(_overview(_tissue(seed)), _overview(_tissue(seed + 50)), np.eye(3), LAYOUT), LAYOUT, 4.0
        ).z
        for seed in range(6)
    ]
    assert max(scores) < 3


def test_blocks_without_scene_or_contrast_are_left_out() -> None:
    rgb = _tissue(2)
    blank = np.full_like(rgb, 243)
    assert len(match_blocks(_overview(rgb), _overview(blank), np.eye(3), LAYOUT)) == 0
    assert len(match_blocks(_overview(blank), _overview(rgb), np.eye(3), LAYOUT)) == 0
    assert len(match_blocks(_overview(rgb[:30]), _overview(rgb), np.eye(3), LAYOUT)) == 0
    half = rgb.copy()
    half[:, 120:] = 243
    found = match_blocks(_overview(half), _overview(rgb), np.eye(3), LAYOUT)
    assert len(found) > 0
    assert found.centres[:, 0].max() < 130


def test_the_quick_warp_is_the_exact_one_within_a_thirtieth_of_a_px() -> None:
    ramp = np.tile(np.arange(200, dtype=np.float32), (150, 1))
    matrix: Matrix = shift(90, 70) @ turn(20.0, True) @ shift(-60, -50)
    exact, valid = warp_array(ramp, matrix, Size(120, 100), fill=0)
    assert np.abs(warp_quick(ramp, matrix, Size(120, 100)) - exact)[valid].max() < 1 / 16


@pytest.mark.parametrize("value", [0, 128, 243])
def test_filling_is_no_scene_even_noisy_unless_it_may_be_glass(value: int) -> None:
    rgb = _tissue(3)
    rgb[:, :100] = value
    noisy = rgb.copy()
    noise = np.random.default_rng(0).integers(0, 9, noisy[:, :100].shape)
    noisy[:, :100] = np.clip(noisy[:, :100].astype(int) + noise, 0, 255)
    assert not _overview(rgb).mask[:, :97].any()
    assert _overview(rgb).mask[:, 110:].mean() > 0.9
    assert bool(_overview(noisy).mask[:, 5:95].mean() > 0.5) is (value == 243)


def test_noisy_filling_is_found_strip_by_strip_as_in_one_piece() -> None:
    rng = np.random.default_rng(5)
    rgb = (180 + rng.normal(0, 1.5, (700, 90, 3))).astype(np.uint8)
    rgb[200:540, 20:60] = rng.integers(190, 256, (340, 40, 3))
    found = constant_filling(rgb)
    assert found.mean() > 0.5
    np.testing.assert_array_equal(found, constant_filling(rgb.swapaxes(0, 1).copy()).T)


# masked correlation


def test_masked_correlation_is_the_coefficient_over_the_overlap() -> None:
    rng = np.random.default_rng(3)
    fixed, moving = (rng.normal(size=shape).astype(np.float32) for shape in ((20, 26), (14, 11)))
    masks = [rng.random(image.shape) > 0.2 for image in (fixed, moving)]
    shape = fft_shape((20, 26), (14, 11))
    (scores,), count = masked_ncc(
        spectra(fixed[None], masks[0], shape), spectra(moving[None], masks[1], shape), 0.3
    )
    for dx, dy in ((0, 0), (9, 4), (-2, -3), (17, 8)):
        pairs = [
            (fixed[row + dy, column + dx], moving[row, column])
            for row, column in np.ndindex(moving.shape)
            if 0 <= row + dy < 20 and 0 <= column + dx < 26
            if masks[0][row + dy, column + dx] and masks[1][row, column]
        ]
        wanted = np.corrcoef(np.array(pairs).T)[0, 1]
        assert scores[dy % shape[0], dx % shape[1]] == pytest.approx(wanted, abs=1e-3)
        assert count[dy % shape[0], dx % shape[1]] == pytest.approx(len(pairs), abs=1e-3)
    assert scores[18, 24] == -1  # hardly any overlap


# candidates


@pytest.mark.parametrize(("degrees", "mirrored"), [(0, False), (77, True), (201, False)])
def test_a_turned_image_is_among_the_candidates(degrees: float, mirrored: bool) -> None:
    rgb = _tissue(4)
    rgb[:60] = 243
    matrix = shift(120, 120) @ turn(degrees, mirrored) @ shift(-120, -120)
    turned, _ = warp_array(rgb, np.asarray(np.linalg.inv(matrix)), Size(240, 240), fill=243)
    small = [_overview(_shrunk(image)) for image in (rgb, turned)]
    found = candidates(small[0], small[1], (1.0,))
    points = np.array([(20.0, 20.0), (40.0, 20.0), (30.0, 45.0)])
    wanted = apply(matrix, points * 4) / 4
    errors = [np.linalg.norm(apply(one.matrix, points) - wanted, axis=1).max() for one in found]
    assert min(errors) < 4
    assert len(found) <= 24


def test_a_part_of_another_size_is_the_first_candidate() -> None:
    """Where few px are compared, high correlations are many: they must not push the right place out."""
    rgb = _tissue(7)
    part = np.asarray(cv2.resize(rgb[40:200, 60:130], (80, 184), interpolation=cv2.INTER_AREA))
    small = [
        _overview(np.asarray(cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)))
        for image in (part, rgb)
    ]
    first = candidates(small[0], small[1], (0.5, 0.76, 1.15))[0]
    points = np.array([(3.0, 3.0), (17.0, 3.0), (10.0, 40.0)])
    wanted = (points * 4 * (70 / 80, 160 / 184) + (60, 40)) / 4
    assert np.linalg.norm(apply(first.matrix, points) - wanted, axis=1).max() < 4


def test_flat_images_give_one_candidate_centre_on_centre() -> None:
    flat = _overview(np.full((40, 60, 3), 200, np.uint8))
    found = candidates(flat, _overview(_tissue(1, 60)), (1.0,))
    assert [one.cue for one in found] == ["none"]


# stages, settings


def test_ticks_rise_and_stages_keep_their_residual() -> None:
    seen: list[tuple[str, int]] = []
    stages = Stages(lambda name, percent: seen.append((name, percent)), 50, 100)

    def work() -> float:
        for share in (0.0, 0.5, 1.0):
            stages.tick(share)
        return 3.5

    stages.run("one", 0, work, until=40, residual_px=lambda found: found)
    stages.run("two", 40, work)
    percents = [percent for _, percent in seen]
    assert percents == [50, 50, 60, 70, 70, 70, 70, 70]
    assert [report.residual_px for report in stages.reports] == [3.5, None]
    assert isinstance(stages.reports[0], StageReport)


def test_a_region_that_is_left_out_may_be_as_large_as_the_largest_slide() -> None:
    """Its edges must not bend because corners lie far away."""
    far = 300_000.0
    white = ArraySource(np.full((200, 200, 3), 255, np.uint8), None)
    cut = excluding(white, (np.array([(-far, -far / 2), (far + 100, far / 2 + 50), (-far, far)]),))
    _, valid = cut.read(0, 0, 200, 200, 1.0)
    ys, xs = np.mgrid[:200, :200] + 0.5
    gap = ys - xs / 2  # above 0 below the edge from the first to the second corner
    assert not valid[gap > 1].any()
    assert valid[gap < -1].all()


def test_a_stage_that_had_nothing_to_measure_leaves_no_figure() -> None:
    stages = Stages(lambda stage, percent: None)
    stages.run("one", 0, lambda: math.nan, residual_px=lambda found: found)
    stages.run("two", 50, lambda: 1.5, residual_px=lambda found: found)
    assert [report.residual_px for report in stages.reports] == [None, 1.5]
