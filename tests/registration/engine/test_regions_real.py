"""Regions of the real re-stained section: accuracy, known warps, context, overlaps, evidence."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from registration.engine.config import preset
from registration.engine.evaluation.field import folding_share
from registration.engine.geometry import Box
from registration.engine.matrices import shift
from registration.engine.measuring import RegionTask, measured
from registration.engine.overviews import downsamples
from registration.engine.regionfit import RegionFit, fit_similarity, fit_with_field
from registration.engine.result import no_progress
from registration.engine.robust import fit
from registration.engine.source import PixelSource
from registration.engine.stages import Stages
from registration.engine.synthetic import ArraySource
from registration.engine.synthetic.warped import WarpedSource, frame_of, smooth_field
from registration.engine.transforms import AffineTransform, Composite, DisplacementField, Transform
from viewer.wsi import SlideReader

pytestmark = pytest.mark.data

TISSUE = Box(512, 512, 512, 3072)
PART = Box(512, 1536, 512, 1024)
CUT = 1280
Points = NDArray[np.float64]


@pytest.fixture(scope="module")
def start(he: SlideReader, ihc: SlideReader, truth: tuple[Points, Points]) -> AffineTransform:
    """What a slide-level alignment gives: a similarity, some px off."""
    matrix = shift(5.0, -4.0) @ fit(*truth, np.ones(len(truth[0])), "similarity")
    return AffineTransform(matrix, frame_of(he, "fixed"), frame_of(ihc, "moving"))


@pytest.fixture(scope="module")
def whole(he: SlideReader, ihc: SlideReader, start: AffineTransform) -> RegionFit:
    return _fit(_task(he, ihc, TISSUE, start))


def _fit(task: RegionTask) -> RegionFit:
    how = fit_similarity if task.config.model == "similarity" else fit_with_field
    return how(task, Stages(no_progress))


def _task(
    fixed: PixelSource,
    moving: PixelSource,
    box: Box,
    start: Transform,
    method: str = "accurate",
) -> RegionTask:
    coarse, _ = downsamples(fixed, moving, 860)
    return RegionTask(fixed, moving, box, start, coarse, preset(method))


def _errors(transform: Transform, fixed: Points, moving: Points, box: Box = TISSUE) -> Points:
    inside = ((fixed >= (box.x, box.y)) & (fixed < (box.right, box.bottom))).all(axis=1)
    return np.asarray(np.linalg.norm(transform(fixed) - moving, axis=1))[inside]


def _within(errors: Points, median: float, p90: float, largest: float) -> bool:
    figures = float(np.median(errors)), float(np.percentile(errors, 90)), float(errors.max())
    return all(figure <= limit for figure, limit in zip(figures, (median, p90, largest), strict=True))


def test_cells_are_met_within_a_third_of_a_px(whole: RegionFit, truth: tuple[Points, Points]) -> None:
    assert whole.model == "field"
    assert _within(_errors(whole.transform, *truth), 0.35, 0.75, 2.5)
    assert folding_share(whole.transform, TISSUE, 16) == 0


def test_the_transform_is_exactly_an_affine_after_one_field(whole: RegionFit) -> None:
    assert isinstance(whole.transform, Composite)
    affine, field = whole.transform.parts
    assert isinstance(affine, AffineTransform)
    assert isinstance(field, DisplacementField)


def test_fast_is_nearly_as_good(
    he: SlideReader, ihc: SlideReader, start: AffineTransform, truth: tuple[Points, Points]
) -> None:
    found = _fit(_task(he, ihc, TISSUE, start, "fast"))
    assert _within(_errors(found.transform, *truth), 0.5, 1.0, 3.0)


def test_rigid_is_a_similarity_and_worse(
    he: SlideReader, ihc: SlideReader, start: AffineTransform, truth: tuple[Points, Points], whole: RegionFit
) -> None:
    found = _fit(_task(he, ihc, TISSUE, start, "rigid"))
    assert isinstance(found.transform, AffineTransform)
    a, b, c, d = found.transform.matrix[:2, :2].ravel()
    assert (a, b) == pytest.approx((d, -c), abs=1e-9)
    rigid, field = (np.median(_errors(each.transform, *truth)) for each in (found, whole))
    assert field < rigid < 4.0


@pytest.mark.parametrize(("largest", "bend"), [(10.0, 300.0), (30.0, 600.0)])
def test_known_warps_are_followed(
    he: SlideReader,
    ihc: SlideReader,
    start: AffineTransform,
    truth: tuple[Points, Points],
    largest: float,
    bend: float,
) -> None:
    warp = smooth_field(frame_of(ihc, "moving"), 1, largest, bend)
    found = _fit(_task(he, WarpedSource(ihc, warp), PART, start))
    fixed, moving = truth[0], warp.inverse()(truth[1])
    assert np.percentile(_errors(start, fixed, moving, PART), 90) > largest / 4
    assert _within(_errors(found.transform, fixed, moving, PART), 0.8, 2.0, 6.0)
    assert folding_share(found.transform, PART, 16) == 0


def test_a_warp_that_the_slide_level_has_found_is_where_the_region_starts(
    he: SlideReader, ihc: SlideReader, start: AffineTransform, truth: tuple[Points, Points]
) -> None:
    """90 px of bend are out of reach for the level-0 stage, unless the start carries them."""
    warp = smooth_field(frame_of(ihc, "moving"), 3, 90.0, 1200.0)
    moving = WarpedSource(ihc, warp)
    fixed_points, moving_points = truth[0], warp.inverse()(truth[1])
    bent = _sampled(he, start, warp)
    found = _fit(_task(he, moving, PART, bent))
    assert _within(_errors(found.transform, fixed_points, moving_points, PART), 0.8, 2.0, 6.0)
    assert isinstance(found.transform, Composite)
    assert len(found.transform.parts) == 2


def _sampled(he: PixelSource, start: AffineTransform, warp: DisplacementField) -> Transform:
    """start, then the warp's inverse; as affine @ field, off by some px as a slide-level field is."""
    xs, ys = np.arange(0.0, he.width + 128, 128), np.arange(0.0, he.height + 128, 128)
    nodes = np.stack(np.meshgrid(xs, ys), axis=-1)
    target = warp.inverse()(start(nodes.reshape(-1, 2)))
    values = (start.inverse()(target) - nodes.reshape(-1, 2)).reshape(nodes.shape) + np.array((5.0, -4.0))
    return start @ DisplacementField(values, (0.0, 0.0), (128.0, 128.0), start.fixed)


@pytest.mark.parametrize("um", [0.5, 0.125])
def test_other_resolutions_give_the_same_um(
    he: SlideReader, ihc: SlideReader, start: AffineTransform, truth: tuple[Points, Points], um: float
) -> None:
    factor = um / 0.25
    slides = [_resampled(slide, factor) for slide in (he, ihc)]
    scale = shift(0, CUT) @ np.diag((factor, factor, 1.0))
    frames = [frame_of(slide, name) for slide, name in zip(slides, ("fixed", "moving"), strict=True)]
    rescaled = AffineTransform(np.linalg.inv(scale) @ start.matrix @ scale, frames[0], frames[1])
    box = Box(*(int(value / factor) for value in (512, 1536 - CUT, 512, 640)))
    found = _fit(_task(slides[0], slides[1], box, rescaled))
    fixed, moving = ((points - (0, CUT)) / factor for points in truth)
    errors = 0.25 * factor * _errors(found.transform, fixed, moving, box)
    assert _within(errors, 0.12, 0.25, 0.8)  # um


def _resampled(slide: PixelSource, factor: float) -> ArraySource:
    """Rows CUT to 2432 at another resolution: what the region and its context need."""
    rgb, _ = slide.read(0, CUT, slide.width, 2432 - CUT, 1.0)
    size = round(rgb.shape[1] / factor), round(rgb.shape[0] / factor)
    how = cv2.INTER_AREA if factor > 1 else cv2.INTER_CUBIC
    um = 0.25 * factor
    return ArraySource(np.asarray(cv2.resize(rgb, size, interpolation=how), np.uint8), (um, um))


def test_a_weak_region_leans_on_its_surroundings(
    he: SlideReader, ihc: SlideReader, start: AffineTransform, truth: tuple[Points, Points]
) -> None:
    box = Box(512, 3072, 512, 512)
    found = _fit(_task(he, ihc, box, start))
    assert _within(_errors(found.transform, *truth, box), 0.5, 1.0, 2.5)


def test_a_small_washed_out_region_is_registered_as_its_surroundings_are(
    he: SlideReader, ihc: SlideReader, start: AffineTransform, whole: RegionFit
) -> None:
    box = Box(512, 1024, 256, 256)
    found = _fit(_task(he, ihc, box, start))
    assert found.model == "field"
    points = _grid(box)
    assert np.percentile(np.linalg.norm(found.transform(points) - whole.transform(points), axis=1), 90) <= 0.8


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Box(512, 1300, 512, 700), Box(512, 1700, 512, 900)),
        (Box(537, 1513, 300, 300), Box(600, 1601, 333, 300)),
    ],
)
def test_regions_that_overlap_agree_where_they_do(
    he: SlideReader, ihc: SlideReader, start: AffineTransform, first: Box, second: Box
) -> None:
    points = _grid(first.intersection(second))
    one, other = (_fit(_task(he, ihc, box, start)).transform(points) for box in (first, second))
    apart = np.linalg.norm(one - other, axis=1)
    assert np.median(apart) <= 0.3
    assert np.percentile(apart, 90) <= 0.8


def _grid(box: Box) -> Points:
    xs, ys = np.linspace(box.x, box.right, 30), np.linspace(box.y, box.bottom, 30)
    return np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)


def test_a_lost_fit_is_seen(he: SlideReader, ihc: SlideReader, start: AffineTransform) -> None:
    """Started further off than the passes look, the fit can't be right; it must not look so."""
    found = _fit(_task(he, ihc, PART, _moved(start, 0, 900)))
    assert found.evidence.agreeing < 0.15
    assert not found.evidence.level_zero
    assert found.model == "region"
    assert found.evidence.z < 9


def _moved(start: AffineTransform, x: float, y: float) -> AffineTransform:
    return AffineTransform(shift(x, y) @ start.matrix, start.fixed, start.moving)


def test_every_cell_has_its_evidence(he: SlideReader, ihc: SlideReader, start: AffineTransform) -> None:
    cells = measured(_task(he, ihc, PART, start), Stages(no_progress)).field.cells
    shape = (len(cells.ys), len(cells.xs))
    planes = (cells.held_out_px, cells.wide_px, cells.half_px, cells.score, cells.gap, cells.weight)
    assert all(plane.shape == shape for plane in planes)
    matched = cells.weight > 0
    assert np.isfinite(cells.held_out_px[matched]).all()
    assert np.isnan(cells.held_out_px[~matched]).all()
    assert np.isfinite(cells.half_px).all()
    assert 0.05 < np.median(cells.held_out_px[matched]) < 1.5
    assert np.nanmedian(cells.wide_px) < 2
    assert cells.gap[matched].mean() > 0
    assert (cells.weight <= 1).all()


def test_the_same_bytes_come_out_with_one_thread_and_two(
    he: SlideReader, ihc: SlideReader, start: AffineTransform
) -> None:
    box = Box(512, 1536, 512, 400)
    warp = _sampled(he, start, smooth_field(frame_of(ihc, "moving"), 2, 5.0, 600.0))
    threads = cv2.getNumThreads()
    bytes_out = []
    try:
        for count in (1, 2, 2):
            cv2.setNumThreads(count)
            found = _fit(_task(he, ihc, box, warp))
            assert found.expected is not None
            bytes_out.append(found.transform(_grid(box)).tobytes() + found.expected.p90.tobytes())
    finally:
        cv2.setNumThreads(threads)
    assert bytes_out[0] == bytes_out[1] == bytes_out[2]
