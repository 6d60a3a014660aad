"""Both entry points against a known transform, and against pairs that must be refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from registration.engine.config import preset
from registration.engine.errors import Cancelled, EngineError
from registration.engine.evaluation.field import folding_share
from registration.engine.geometry import Box, Frame
from registration.engine.pipeline import align_slides, register
from registration.engine.result import Level, RegistrationResult
from registration.engine.synthetic import ArraySource, PhantomArrays, phantom_arrays
from registration.engine.transforms import AffineTransform, Composite, Transform

SIZE = 1024
BOX = Box(256, 256, 512, 512)
ACCURATE = preset("accurate")


@pytest.fixture(scope="module")
def pair() -> PhantomArrays:
    return phantom_arrays(SIZE, seed=3, rotation=37, field_px=6)


@pytest.fixture(scope="module")
def registered(pair: PhantomArrays) -> RegistrationResult:
    return register(pair.he, pair.ihc, BOX, ACCURATE, initial=_start(pair))


def _affine_part(transform: Transform) -> AffineTransform:
    assert isinstance(transform, Composite)
    assert isinstance(transform.parts[0], AffineTransform)
    return transform.parts[0]


def _start(pair: PhantomArrays, off: tuple[float, float] = (9.0, -7.0)) -> AffineTransform:
    """What a slide-level alignment gives: right but for some px."""
    exact = _affine_part(pair.truth)
    matrix = np.array(exact.matrix)
    matrix[:2, 2] += off
    return AffineTransform(matrix, exact.fixed, exact.moving)


def _errors(result: RegistrationResult, pair: PhantomArrays, box: Box) -> NDArray[np.float64]:
    points = np.random.default_rng(0).uniform((box.x, box.y), (box.right, box.bottom), (400, 2))
    return np.asarray(np.linalg.norm(result.transform(points) - pair.truth(points), axis=1))


@pytest.mark.parametrize(("rotation", "mirror"), [(25.0, False), (163.0, True)])
def test_slides_are_aligned_at_any_turn_and_mirrored(rotation: float, mirror: bool) -> None:
    pair = phantom_arrays(640, rotation=rotation, mirror=mirror)
    result = align_slides(pair.he, pair.ihc, ACCURATE)
    assert result.verdict.level is Level.GOOD
    assert np.median(_errors(result, pair, Box(0, 0, 640, 640))) < 2.0
    assert result.error_px is not None
    assert result.error_um is not None
    assert result.error_um.median == pytest.approx(result.error_px.median * 0.25)


@pytest.mark.parametrize("kind", ["unrelated", "blank"])
def test_slides_without_common_tissue_are_refused(kind: str) -> None:
    pair = phantom_arrays(640, unrelated=kind == "unrelated", blank=kind == "blank")
    result = align_slides(pair.he, pair.ihc, ACCURATE)
    assert result.refused
    assert result.verdict.reasons


def test_region_is_registered_to_a_fraction_of_a_pixel(
    registered: RegistrationResult, pair: PhantomArrays
) -> None:
    errors = _errors(registered, pair, BOX)
    assert registered.verdict.level is Level.GOOD
    assert np.median(errors) < 0.5
    assert np.percentile(errors, 90) < 1.5
    assert folding_share(registered.transform, BOX, 16) == 0


def test_the_held_out_error_is_of_the_true_error_s_size(
    registered: RegistrationResult, pair: PhantomArrays
) -> None:
    true = float(np.median(_errors(registered, pair, BOX)))
    assert registered.error_px is not None
    assert true / 4 < registered.error_px.median < true * 6


def test_the_transform_goes_on_sensibly_beyond_the_region(
    registered: RegistrationResult, pair: PhantomArrays
) -> None:
    around = Box(BOX.x - 128, BOX.y - 128, BOX.width + 256, BOX.height + 256)
    assert np.percentile(_errors(registered, pair, around), 90) < 4.0


def test_rigid_keeps_angles_and_is_worse_than_the_field(
    registered: RegistrationResult, pair: PhantomArrays
) -> None:
    result = register(pair.he, pair.ihc, BOX, preset("rigid"), initial=_start(pair))
    assert isinstance(result.transform, AffineTransform)
    a, b, c, d = result.transform.matrix[:2, :2].ravel()
    assert (a, b) == pytest.approx((d, -c), abs=1e-9)
    rigid, field = (np.median(_errors(r, pair, BOX)) for r in (result, registered))
    assert field < rigid < 6.0


def test_roialign_finds_its_transform_and_is_judged_like_the_others(pair: PhantomArrays) -> None:
    result = register(pair.he, pair.ihc, BOX, preset("roialign"), initial=_start(pair))
    assert not result.refused
    assert np.median(_errors(result, pair, BOX)) < 8.0
    blank = phantom_arrays(SIZE, blank=True)
    assert register(pair.he, blank.ihc, BOX, preset("roialign"), initial=_start(pair)).refused


def test_without_a_start_the_slides_are_aligned_first(pair: PhantomArrays) -> None:
    seen: list[tuple[str, int]] = []
    result = register(
        pair.he, pair.ihc, BOX, ACCURATE, on_progress=lambda stage, percent: seen.append((stage, percent))
    )
    assert np.median(_errors(result, pair, BOX)) < 0.5
    assert [percent for _, percent in seen] == sorted(percent for _, percent in seen)
    assert seen[-1] == ("done", 100)
    assert {stage.name for stage in result.stages} >= {"aligning the slides", "matching cells"}


def test_a_wrong_pair_s_region_is_refused_whatever_it_starts_from(pair: PhantomArrays) -> None:
    other = phantom_arrays(SIZE, seed=3, rotation=37, unrelated=True)
    result = register(pair.he, other.ihc, BOX, ACCURATE, initial=_start(pair))
    assert result.refused
    assert [reason.code for reason in result.verdict.reasons] == ["no_agreement"]


def test_a_blank_region_is_refused(pair: PhantomArrays) -> None:
    rgb = pair.he.rgb.copy()
    rgb[BOX.y : BOX.bottom, BOX.x : BOX.right] = 243
    result = register(ArraySource(rgb, (0.25, 0.25)), pair.ihc, BOX, ACCURATE, initial=_start(pair))
    assert [reason.code for reason in result.verdict.reasons] == ["blank_region"]


def test_consecutive_sections_are_never_called_good_at_cell_level() -> None:
    pair = phantom_arrays(1280, consecutive=True)
    result = register(pair.he, pair.ihc, Box(256, 256, 768, 768), ACCURATE, initial=_start(pair))
    assert result.verdict.level is Level.CHECK
    assert "region_level_accuracy" in [reason.code for reason in result.verdict.reasons]
    assert np.median(_errors(result, pair, Box(256, 256, 768, 768))) < 6.0


def test_missing_texture_lets_the_field_go_on_smoothly(pair: PhantomArrays) -> None:
    rgb = pair.he.rgb.copy()
    rgb[400:640, 400:640] = rgb[400:640, 400:640].mean(axis=(0, 1)).astype(np.uint8)
    result = register(ArraySource(rgb, (0.25, 0.25)), pair.ihc, BOX, ACCURATE, initial=_start(pair))
    assert np.median(_errors(result, pair, Box(400, 400, 240, 240))) < 2.5
    assert folding_share(result.transform, BOX, 16) == 0


def test_the_same_bytes_come_out_whatever_the_threads(
    registered: RegistrationResult, pair: PhantomArrays
) -> None:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        again = register(pair.he, pair.ihc, BOX, ACCURATE, initial=_start(pair))
    finally:
        cv2.setNumThreads(threads)
    points = np.random.default_rng(1).uniform(256, 768, (500, 2))
    assert again.transform(points).tobytes() == registered.transform(points).tobytes()
    assert again.error_px == registered.error_px


@pytest.mark.parametrize(
    ("box", "code"),
    [
        (Box(0, 0, 0, 100), "box_empty"),
        (Box(0, 0, 100, -5), "box_empty"),
        (Box(0, 0, 63, 100), "region_too_small"),
        (Box(-1, 0, 100, 100), "box_outside_slide"),
        (Box(0, 0, SIZE, SIZE + 1), "box_outside_slide"),
    ],
)
def test_impossible_regions_are_named(pair: PhantomArrays, box: Box, code: str) -> None:
    with pytest.raises(EngineError) as caught:
        register(pair.he, pair.ihc, box, ACCURATE)
    assert (caught.value.code, bool(caught.value.field)) == (code, True)


def test_one_missing_um_per_px_is_asked_for(pair: PhantomArrays) -> None:
    unknown = ArraySource(pair.he.rgb)
    for fixed, moving, field in ((unknown, pair.ihc, "fixed_mpp"), (pair.ihc, unknown, "moving_mpp")):
        with pytest.raises(EngineError) as caught:
            align_slides(fixed, moving, ACCURATE)
        assert (caught.value.code, caught.value.field) == ("mpp_missing", field)


def test_a_cancelled_run_stops(pair: PhantomArrays) -> None:
    def stop(stage: str, percent: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        register(pair.he, pair.ihc, BOX, ACCURATE, on_progress=stop)


@pytest.mark.parametrize(
    "shape", [(64, 64), (1, 1), (20, 700), (300, 300)], ids=["tiny", "one px", "strip", "constant"]
)
def test_odd_images_are_refused_without_an_exception(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    images = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for _ in range(2)]
    if shape == (300, 300):
        images = [np.full((*shape, 3), 240, np.uint8) for _ in range(2)]
    sources = [ArraySource(image, (0.25, 0.25)) for image in images]
    assert align_slides(sources[0], sources[1], ACCURATE).refused
    if min(shape) >= 64:
        for method in ("accurate", "rigid", "roialign"):
            box = Box(0, 0, shape[1], shape[0])
            start = AffineTransform(
                np.eye(3),
                Frame("fixed", sources[0].size, (0.25, 0.25)),
                Frame("moving", sources[1].size, (0.25, 0.25)),
            )
            assert register(sources[0], sources[1], box, preset(method), initial=start).refused
