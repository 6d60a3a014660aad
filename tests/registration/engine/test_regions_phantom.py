"""Regions of phantoms: consecutive sections, thin evidence, tears, mirrored slides, regions that overlap."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from registration.engine.config import preset
from registration.engine.errors import Cancelled
from registration.engine.geometry import Box
from registration.engine.matrices import shift
from registration.engine.measuring import RegionTask
from registration.engine.nonrigid import Grid
from registration.engine.overviews import downsamples
from registration.engine.regionfit import RegionFit, fit_similarity, fit_with_field
from registration.engine.result import no_progress
from registration.engine.rigidity import largest_strain
from registration.engine.source import PixelSource
from registration.engine.stages import Stages
from registration.engine.synthetic import ArraySource, PhantomArrays, phantom_arrays
from registration.engine.transforms import AffineTransform, Composite, DisplacementField, Transform

Points = NDArray[np.float64]


def _start(pair: PhantomArrays) -> AffineTransform:
    """What a slide-level alignment gives: right but for some px."""
    assert isinstance(pair.truth, Composite)
    exact = pair.truth.parts[0]
    assert isinstance(exact, AffineTransform)
    return AffineTransform(shift(9.0, -7.0) @ exact.matrix, exact.fixed, exact.moving)


def _fit(
    fixed: PixelSource, moving: PixelSource, box: Box, start: Transform, method: str = "accurate"
) -> RegionFit:
    coarse, _ = downsamples(fixed, moving, 860)
    task = RegionTask(fixed, moving, box, start, coarse, preset(method))
    how = fit_similarity if method == "rigid" else fit_with_field
    return how(task, Stages(no_progress))


def _errors(transform: Transform, pair: PhantomArrays, box: Box) -> Points:
    points = np.random.default_rng(0).uniform((box.x, box.y), (box.right, box.bottom), (400, 2))
    return np.asarray(np.linalg.norm(transform(points) - pair.truth(points), axis=1))


@pytest.fixture(scope="module")
def bent() -> PhantomArrays:
    """Consecutive sections with a field that no affine follows."""
    return phantom_arrays(2048, seed=4, rotation=37, field_px=24, consecutive=True)


CONSECUTIVE = Box(512, 512, 1024, 1024)


@pytest.fixture(scope="module")
def consecutive(bent: PhantomArrays) -> RegionFit:
    return _fit(bent.he, bent.ihc, CONSECUTIVE, _start(bent))


def test_consecutive_sections_are_followed_by_their_structures(
    consecutive: RegionFit, bent: PhantomArrays
) -> None:
    before = _errors(_start(bent), bent, CONSECUTIVE)
    after = _errors(consecutive.transform, bent, CONSECUTIVE)
    assert consecutive.model == "region"
    assert np.median(after) < 0.5 * np.median(before)
    assert isinstance(consecutive.transform, Composite)
    assert len(consecutive.transform.parts) == 2


def test_the_error_stated_for_structures_is_of_the_true_one_s_size(
    consecutive: RegionFit, bent: PhantomArrays
) -> None:
    true = np.percentile(_errors(consecutive.transform, bent, CONSECUTIVE), 90)
    assert consecutive.evidence.error_px is not None
    assert true / 4 < consecutive.evidence.error_px.p90 < 4 * true


def test_overlapping_regions_of_consecutive_sections_agree_within_what_is_stated(
    consecutive: RegionFit, bent: PhantomArrays
) -> None:
    other_box = Box(900, 700, 1000, 1000)
    other = _fit(bent.he, bent.ihc, other_box, _start(bent))
    common = CONSECUTIVE.intersection(other_box)
    points = np.random.default_rng(1).uniform((common.x, common.y), (common.right, common.bottom), (400, 2))
    apart = np.linalg.norm(consecutive.transform(points) - other.transform(points), axis=1)
    stated = [each.evidence.error_px for each in (consecutive, other)]
    assert np.percentile(apart, 90) <= max(spread.p90 for spread in stated if spread)


def test_rigid_of_consecutive_sections_does_not_follow_chance_matches(bent: PhantomArrays) -> None:
    fit = _fit(bent.he, bent.ihc, CONSECUTIVE, _start(bent), "rigid")
    assert isinstance(fit.transform, AffineTransform)
    a, b, c, d = fit.transform.matrix[:2, :2].ravel()
    assert (a, b) == pytest.approx((d, -c), abs=1e-9)
    assert np.median(_errors(fit.transform, bent, CONSECUTIVE)) < 24


def test_regions_of_one_section_agree_where_they_overlap() -> None:
    pair = phantom_arrays(1280, seed=3, rotation=37, field_px=6)
    first, second = Box(200, 200, 600, 600), Box(500, 450, 600, 600)
    fits = [_fit(pair.he, pair.ihc, box, _start(pair)).transform for box in (first, second)]
    common = first.intersection(second)
    points = np.random.default_rng(1).uniform((common.x, common.y), (common.right, common.bottom), (400, 2))
    apart = np.linalg.norm(fits[0](points) - fits[1](points), axis=1)
    assert np.median(apart) <= 0.3
    assert np.percentile(apart, 90) <= 0.8


@pytest.mark.parametrize("same_section", [True, False])
def test_cells_are_looked_for_again_where_the_structures_lie_elsewhere(
    same_section: bool, bent: PhantomArrays
) -> None:
    """Started further off than any pass looks; of consecutive sections there are no cells to be found."""
    pair = phantom_arrays(1280, seed=6, rotation=25) if same_section else bent
    near, box = _start(pair), Box(320, 320, 640, 640) if same_section else CONSECUTIVE
    start = AffineTransform(shift(-150, 110) @ near.matrix, near.fixed, near.moving)
    coarse, _ = downsamples(pair.he, pair.ihc, 860)
    task = RegionTask(pair.he, pair.ihc, box, start, coarse, preset("accurate"))
    percents: list[int] = []
    fit = fit_with_field(task, Stages(lambda stage, percent: percents.append(percent)))
    error = float(np.median(_errors(fit.transform, pair, box)))
    assert fit.model == ("field" if same_section else "region")
    assert error < (0.5 if same_section else 24)
    assert percents == sorted(percents)


def test_a_mirrored_slide_stays_mirrored_when_rigid() -> None:
    pair = phantom_arrays(768, seed=3, rotation=20, mirror=True)
    box = Box(192, 192, 384, 384)
    fit = _fit(pair.he, pair.ihc, box, _start(pair), "rigid")
    assert isinstance(fit.transform, AffineTransform)
    assert np.linalg.det(fit.transform.matrix[:2, :2]) < 0
    assert np.median(_errors(fit.transform, pair, box)) < 6


def test_where_little_can_be_matched_one_similarity_is_fitted() -> None:
    """A speck of tissue on empty slides: its cells agree; their number says whether they carry a field."""
    pair = phantom_arrays(1024, seed=3, rotation=10, field_px=2)
    he, ihc = _speck(pair.he, None, 45), _speck(pair.ihc, pair.truth, 45)
    box = Box(384, 384, 256, 256)
    models = []
    for needed in (20.0, 200.0):
        config = preset("accurate")
        config = replace(config, level_zero=replace(config.level_zero, matches_for_field=needed))
        fit = fit_with_field(RegionTask(he, ihc, box, _start(pair), 8, config), Stages(no_progress))
        assert np.median(_errors(fit.transform, pair, Box(490, 490, 44, 44))) < 3
        models.append(fit.model)
    assert models == ["field", "rigid"]


def _speck(slide: ArraySource, from_fixed: Transform | None, radius: int) -> ArraySource:
    """The slide with nothing but a disc around fixed (512, 512) left."""
    ys, xs = np.mgrid[0 : slide.height, 0 : slide.width] + 0.5
    points = np.stack((xs, ys), axis=-1).reshape(-1, 2)
    if from_fixed is not None:
        points = from_fixed.inverse()(points)
    inside = np.linalg.norm(points - 512, axis=1).reshape(xs.shape) < radius
    return ArraySource(np.where(inside[..., None], slide.rgb, np.uint8(243)), (0.25, 0.25))


def test_a_tear_in_the_slide_does_not_smear_nuclei() -> None:
    """Half of the moving slide moved by 10 um along a straight tear."""
    pair = phantom_arrays(1024, seed=3, rotation=0, field_px=2)
    torn = np.array(pair.ihc.rgb)
    edge = round(float(pair.truth(np.array([(512.0, 512.0)]))[0, 0]))
    torn[:, edge:] = np.roll(torn, 40, axis=0)[:, edge:]
    fit = _fit(pair.he, ArraySource(torn, (0.25, 0.25)), Box(256, 256, 512, 512), _start(pair))
    assert fit.model == "field"
    assert isinstance(fit.transform, Composite)
    field = fit.transform.parts[-1]
    assert isinstance(field, DisplacementField)
    rows, columns = field.values.shape[:2]
    strain = largest_strain(Grid(rows, columns, int(field.spacing[0])), field.values.astype(np.float64))
    assert strain.max() <= preset("accurate").level_zero.largest_strain + 0.05
    points = np.random.default_rng(0).uniform((690, 256), (768, 768), (200, 2))
    beyond = fit.transform(points) - pair.truth(points) - (0, 40)
    assert np.median(np.linalg.norm(beyond, axis=1)) < 1.5
    assert np.median(_errors(fit.transform, pair, Box(256, 256, 64, 512))) < 5


def test_a_field_that_the_start_carries_is_kept_where_nothing_can_be_matched() -> None:
    """Blank glass in the fixed slide: the start is handed back, no more and no less."""
    pair = phantom_arrays(768, seed=3, rotation=10)
    affine = _start(pair)
    ys, xs = np.mgrid[0:13, 0:13] * 64.0
    values = np.stack((4 * np.sin(ys / 200), 4 * np.cos(xs / 200)), axis=-1)
    start = affine @ DisplacementField(values, (0.0, 0.0), (64.0, 64.0), affine.fixed)
    blank = ArraySource(np.full_like(pair.he.rgb, 243), (0.25, 0.25))
    box = Box(192, 192, 384, 384)
    fit = _fit(blank, pair.ihc, box, start)
    points = np.random.default_rng(0).uniform(192, 576, (200, 2))
    assert np.abs(fit.transform(points) - start(points)).max() < 0.5


def test_progress_is_told_inside_the_stages_and_stops_them() -> None:
    pair = phantom_arrays(640, seed=3)
    seen: list[tuple[str, int]] = []

    def watch(stage: str, percent: int) -> None:
        seen.append((stage, percent))
        if percent > 70:
            raise Cancelled

    task = RegionTask(pair.he, pair.ihc, Box(128, 128, 384, 384), _start(pair), 1.0, preset("accurate"))
    with pytest.raises(Cancelled):
        fit_with_field(task, Stages(watch))
    percents = [percent for _, percent in seen]
    assert percents == sorted(percents)
    assert len([stage for stage, _ in seen if stage == "matching cells"]) >= 3


def test_opencv_s_threads_do_not_change_the_bytes_at_region_level() -> None:
    pair = phantom_arrays(768, seed=4, rotation=37, field_px=6, consecutive=True)
    threads = cv2.getNumThreads()
    found = []
    try:
        for count in (1, 2):
            cv2.setNumThreads(count)
            fit = _fit(pair.he, pair.ihc, Box(192, 192, 384, 384), _start(pair))
            found.append(fit.transform(np.random.default_rng(0).uniform(192, 576, (99, 2))).tobytes())
    finally:
        cv2.setNumThreads(threads)
    assert found[0] == found[1]
