"""The expected error: the map, what it says of patches, and its calibration on cases it has not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from registration.engine.blockmatch import Blocks
from registration.engine.cellevidence import CellEvidence
from registration.engine.config import preset
from registration.engine.errormodel import (
    BLOCK_MODEL,
    CELL_MODEL,
    LOST_UNITS,
    block_error_map,
    cell_error_map,
    stated_spread,
)
from registration.engine.expected import UNMEASURED_PX, ErrorMap, of_another, patch_verdict
from registration.engine.geometry import Box, Frame, Points, Size
from registration.engine.levelzero import fit_region
from registration.engine.localstart import LocalStart
from registration.engine.measuring import RegionTask, read_around
from registration.engine.pipeline import register
from registration.engine.regionerror import lost_share
from registration.engine.regionfit import affine_and_field
from registration.engine.result import Level
from registration.engine.synthetic import PhantomArrays, phantom_arrays
from registration.engine.transforms import AffineTransform, Composite

FRAME = Frame("fixed", Size(1024, 1024), (0.25, 0.25))


def _map(values: list[list[float]]) -> ErrorMap:
    return ErrorMap(np.array(values, np.float32), (100.0, 200.0), 64.0)


def test_a_patch_s_error_is_that_of_its_squares_with_tissue() -> None:
    errors = _map([[1, 2, UNMEASURED_PX], [3, UNMEASURED_PX, UNMEASURED_PX]])
    assert errors.over(Box(100, 200, 64, 64)) == 1
    assert errors.over(Box(100, 200, 128, 64)) == 2
    assert errors.over(Box(100, 200, 192, 128)) == 3
    assert errors.over(Box(228, 264, 64, 64)) == UNMEASURED_PX
    assert errors.over(Box(0, 0, 10, 10)) == 1  # beside the map: the nearest square
    assert errors.measured.sum() == 3


def test_one_bad_square_in_many_does_not_condemn_a_patch_two_in_ten_do() -> None:
    errors = ErrorMap(np.ones((5, 4), np.float32), (0.0, 0.0), 64.0)
    errors.p90[0, 0] = 50
    assert errors.over(Box(0, 0, 256, 320)) == 1
    errors.p90[0, :] = 50
    assert errors.over(Box(0, 0, 256, 320)) == 50


@pytest.mark.parametrize(
    ("expected", "is_um", "cells", "level"),
    [
        (0.9, True, True, Level.GOOD),
        (1.1, True, True, Level.CHECK),
        (5.1, True, True, Level.REFUSED),
        (3.9, False, True, Level.GOOD),
        (20.5, False, True, Level.REFUSED),
        (0.5, True, False, Level.CHECK),
        (90.0, True, False, Level.CHECK),
        (250.0, True, False, Level.REFUSED),
        (UNMEASURED_PX, False, True, Level.REFUSED),
        (UNMEASURED_PX, False, False, Level.REFUSED),
    ],
)
def test_what_a_patch_s_error_allows(expected: float, is_um: bool, cells: bool, level: Level) -> None:
    assert patch_verdict(expected, is_um, cells_match=cells) is level


def test_what_lies_between_two_transforms_is_added() -> None:
    errors = _map([[3, UNMEASURED_PX]])
    moving = Frame("moving", FRAME.size, FRAME.um_per_px)
    measured = AffineTransform(np.diag((2.0, 2.0, 1.0)), FRAME, moving)
    shifted = AffineTransform([(2, 0, 8), (0, 2, 0), (0, 0, 1)], FRAME, moving)
    moved = of_another(errors, measured, shifted)
    assert moved.p90[0, 0] == pytest.approx(5)  # 8 moving px are 4 fixed ones
    assert moved.p90[0, 1] == UNMEASURED_PX


@pytest.mark.parametrize("model", [CELL_MODEL, BLOCK_MODEL])
def test_evidence_of_error_only_adds(model: object) -> None:
    assert all(weight >= 0 for weight in model.weights)  # type: ignore[attr-defined]
    assert any(weight > 0.1 for weight in model.weights)  # type: ignore[attr-defined]
    quantiles = model.quantiles  # type: ignore[attr-defined]
    assert list(quantiles) == sorted(quantiles)
    assert quantiles[17] < 0.05
    assert quantiles[18] > -0.05  # the ninth decile lies about at the stated p90


def test_the_whole_region_s_error_is_a_mixture_of_its_squares() -> None:
    even = CELL_MODEL.spread(np.full(40, 2.0))
    assert even is not None
    assert even.p90 == pytest.approx(2.0, rel=0.1)
    assert even.median < 1.2
    mixed = CELL_MODEL.spread(np.array([2.0] * 20 + [20.0] * 20))
    assert mixed is not None
    assert even.p90 < mixed.p90 < 20
    assert CELL_MODEL.spread(np.empty(0)) is None


def test_without_any_match_or_any_block_the_map_is_large_and_finite() -> None:
    cells = _evidence(textured=False)
    errors = cell_error_map(cells, (0.0, 0.0))
    assert np.isfinite(errors.p90).all()
    assert (errors.p90 >= 100).all()
    nothing = Blocks(np.empty((0, 2)), np.empty((0, 2)), np.empty(0))
    blocks = block_error_map(nothing, Box(0, 0, 512, 512), 8, Box(0, 0, 512, 512))
    assert (blocks.p90 >= 100).all()


def test_glass_is_unmeasured_and_tissue_is_not() -> None:
    tissue = np.zeros((32, 32), np.float32)
    tissue[:, :16] = 1
    errors = cell_error_map(_evidence(), (0.0, 0.0), tissue)
    assert (errors.p90[:, :4] < 10).all()
    assert (errors.p90[:, 4:] == UNMEASURED_PX).all()
    assert stated_spread(errors, Box(256, 0, 256, 256)) is None
    assert stated_spread(errors, Box(0, 0, 256, 256)) is not None


def test_the_same_cells_at_another_scale_err_by_as_many_more_px() -> None:
    cells = _evidence()
    twice = replace(
        cells,
        xs=cells.xs * 2,
        ys=cells.ys * 2,
        held_out_px=cells.held_out_px * 2,
        wide_px=cells.wide_px * 2,
        half_px=cells.half_px * 2,
    )
    one, two = (cell_error_map(each, (0.0, 0.0)) for each in (cells, twice))
    assert two.spacing == 2 * one.spacing
    np.testing.assert_allclose(two.p90, 2 * one.p90, rtol=1e-6)


def test_a_wide_check_that_contradicts_is_seen_however_well_the_cells_fit() -> None:
    cells = _evidence()
    wide = cells.wide_px.copy()
    wide[:, 16:] = 25.0
    errors = cell_error_map(replace(cells, wide_px=wide), (0.0, 0.0))
    assert (errors.p90[:, :2] < 4).all()
    assert (errors.p90[:, 6:] >= LOST_UNITS).all()


def _evidence(textured: bool = True) -> CellEvidence:
    """32 x 32 cells of 16 px that agree to half a px; or none that shows anything."""
    shape = (32, 32)
    half = np.full(shape, 0.5) if textured else np.full(shape, np.nan)
    centres = np.arange(8.0, 512.0, 16.0)
    one, nothing = np.ones(shape), np.zeros(shape)
    return CellEvidence(
        xs=centres,
        ys=centres,
        held_out_px=half,
        wide_px=half,
        half_px=nothing + 0.1,
        score=one * 0.8 if textured else nothing,
        curvature=one * 0.1 if textured else nothing,
        gap=one * 0.2 if textured else nothing,
        weight=one if textured else nothing,
        textured=np.full(shape, textured),
    )


BOX = Box(192, 192, 640, 640)


def _fit(
    pair: PhantomArrays, off: tuple[float, float] = (3.0, -2.0)
) -> tuple[ErrorMap, NDArray[np.float64], NDArray[np.float64]]:
    """The map, and the stated and true error at places in tissue, of a fit from a start that is `off` px."""
    assert isinstance(pair.truth, Composite)
    exact = pair.truth.parts[0]
    assert isinstance(exact, AffineTransform)
    matrix = np.array(exact.matrix)
    matrix[:2, 2] += off
    start = AffineTransform(matrix, exact.fixed, exact.moving)
    config = preset("accurate")
    region = read_around(RegionTask(pair.he, pair.ihc, BOX, start, 8, config), LocalStart(start))
    field = fit_region(region, config.level_zero)
    errors = cell_error_map(field.cells, (region.box.x, region.box.y), region.fixed_tissue)
    points = _places(errors)
    true = np.linalg.norm(affine_and_field(region, field)(points) - pair.truth(points), axis=1)
    return errors, errors.p90[errors.measured].astype(np.float64), true


def _places(errors: ErrorMap) -> Points:
    return errors.centres()[errors.measured.ravel()]


@pytest.fixture(scope="module")
def fresh() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seeds and bends that the calibration does not hold."""
    fits = [
        _fit(phantom_arrays(1024, 910_000 + number, rotation=31.0 * number, field_px=bend))
        for number, bend in enumerate((2, 6, 12, 24))
    ]
    return np.concatenate([stated for _, stated, _ in fits]), np.concatenate([true for *_, true in fits])


def test_the_stated_p90_covers_about_nine_places_in_ten(
    fresh: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    stated, true = fresh
    assert 0.75 <= (true <= stated).mean() <= 0.99


def test_the_stated_error_tells_good_places_from_bad_ones(
    fresh: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    stated, true = fresh
    ranks = [np.argsort(np.argsort(values)) for values in (stated, true)]
    assert np.corrcoef(ranks[0], ranks[1])[0, 1] >= 0.4
    order = np.argsort(stated)
    quarter = len(order) // 4
    assert np.median(true[order[:quarter]]) < 0.6 * np.median(true[order[-quarter:]])
    # Negative control: the same figures dealt out at random say nothing.
    dealt = np.random.default_rng(1).permutation(len(stated))
    assert abs(np.corrcoef(ranks[0][dealt], ranks[1])[0, 1]) < 0.2


@pytest.mark.parametrize("off", [(70.0, 60.0), (-45.0, 90.0), (150.0, 0.0)])
def test_a_lost_fit_is_seen(off: tuple[float, float]) -> None:
    pair = phantom_arrays(1024, 920_003, rotation=12, field_px=3)
    _, stated, true = _fit(pair, off)
    assert np.median(true) > 20
    assert np.median(stated) >= 100


def test_a_start_within_reach_is_not_called_lost() -> None:
    pair = phantom_arrays(1024, 920_003, rotation=12, field_px=3)
    _, stated, true = _fit(pair, (18.0, -14.0))
    assert np.median(true) < 1
    assert np.median(stated) < 3


def test_of_consecutive_sections_the_stated_error_is_that_of_the_region() -> None:
    pair = phantom_arrays(1280, 930_001, rotation=12, field_px=16, consecutive=True)
    assert isinstance(pair.truth, Composite)
    start = pair.truth.parts[0]
    assert isinstance(start, AffineTransform)
    result = register(pair.he, pair.ihc, BOX, preset("accurate"), initial=start)
    assert [reason.code for reason in result.verdict.reasons] == ["region_level_accuracy"]
    assert result.expected is not None
    points = _places(result.expected)
    points = points[((points >= (BOX.x, BOX.y)) & (points < (BOX.right, BOX.bottom))).all(axis=1)]
    true = np.linalg.norm(result.transform(points) - pair.truth(points), axis=1)
    assert 1 / 2.5 < result.expected.over(BOX) / np.percentile(true, 90) < 6
    assert result.error_px is not None
    assert result.error_px.p90 > 1


@pytest.mark.parametrize("downsample", [8, 32, 64])
def test_a_fit_lost_on_coarse_images_counts_as_lost_though_the_map_states_no_more(downsample: int) -> None:
    nothing = Blocks(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0))
    box = Box(0, 0, 4096, 4096)
    errors = block_error_map(nothing, box, downsample, box)
    assert errors.measured.all()
    assert lost_share(errors, box, cells_match=False) == 1
    halved = replace(errors, p90=np.where(np.arange(errors.p90.shape[1]) % 2, errors.p90, 10))
    assert lost_share(halved, box, cells_match=False) == 0.5
