"""Whatever comes in: a clear EngineError or a verdict with reasons, never an exception of OpenCV or NumPy."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from registration.engine.config import METHODS, RegistrationConfig, preset
from registration.engine.config.slides import SlideConfig
from registration.engine.constraints import Constraints, checked_landmarks, checked_polygons
from registration.engine.errors import EngineError
from registration.engine.evaluation.field import folding_share
from registration.engine.geometry import Box, Frame
from registration.engine.pipeline import align_slides, register
from registration.engine.result import Level, RegistrationResult
from registration.engine.source import Rgb
from registration.engine.synthetic import ArraySource, PhantomArrays, phantom_arrays
from registration.engine.synthetic.looks import Look
from registration.engine.transforms import AffineTransform

pytestmark = pytest.mark.filterwarnings("error")

UM = (0.25, 0.25)
#: Smaller overviews than usual, so that every case is quick.
ACCURATE = replace(preset("accurate"), slides=SlideConfig(overview_px=384))
BOX = Box(128, 128, 160, 160)
SHOWS_ONE = {"hematoxylin": (1.2, 0.0, 0.0), "eosin": (0.0, 1.2, 0.0)}


@pytest.fixture(scope="module")
def pair() -> PhantomArrays:
    return phantom_arrays(384, 3, rotation=20)


def flat(value: int) -> Rgb:
    return np.full((300, 300, 3), value, np.uint8)


def glass(seed: int) -> Rgb:
    noise = np.random.default_rng(seed).normal(243, 1.5, (300, 300, 3))
    return np.clip(noise, 0, 255).astype(np.uint8)


def speck() -> Rgb:
    rgb = flat(245)
    rgb[100:104, 100:104] = 60
    return rgb


def ramp() -> Rgb:
    return np.repeat(np.repeat(np.linspace(0, 255, 300).astype(np.uint8)[None, :, None], 300, 0), 3, 2)


def pen_stroke() -> Rgb:
    rgb = flat(250)
    cv2.circle(rgb, (150, 150), 90, (20, 40, 160), 8)
    return rgb


def noise(seed: int) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (300, 300, 3), dtype=np.uint8)


NOTHING = {
    "white": flat(255), "grey": flat(128), "black": flat(0), "nearly blank": glass(0), "speck": speck(),
    "ramp": ramp(), "pen": pen_stroke(), "noise": noise(0),
}  # fmt: skip


def right(result: RegistrationResult, pair: PhantomArrays) -> bool:
    """Within 2 % of the diagonal, which is what a verdict other than `refused` promises."""
    box = result.box or pair.he.size.box
    points = pair.points[
        ((pair.points > (box.x, box.y)) & (pair.points < (box.right, box.bottom))).all(axis=1)
    ]
    errors = np.linalg.norm(result.transform(points) - pair.truth(points), axis=1)
    return bool(np.median(errors) < 0.02 * pair.ihc.size.diagonal)


def judged(result: RegistrationResult) -> RegistrationResult:
    """What every result must have."""
    assert result.verdict.level in tuple(Level)
    assert (result.verdict.level is Level.GOOD) == (not result.verdict.reasons)
    assert all(reason.message and reason.code for reason in result.verdict.reasons)
    assert np.isfinite(result.transform(np.array([(0.0, 0.0), (50.0, 70.0)]))).all()
    assert all(np.isfinite(value) for value in result.evidence.values())
    return result


@pytest.mark.parametrize(
    ("side", "name"), [*(("moving", name) for name in NOTHING), ("fixed", "white"), ("fixed", "noise")]
)
def test_slides_with_nothing_to_match_are_refused(pair: PhantomArrays, name: str, side: str) -> None:
    empty = slide(NOTHING[name])
    sources = (empty, pair.ihc) if side == "fixed" else (pair.he, empty)
    assert judged(align_slides(*sources, ACCURATE)).refused


@pytest.mark.parametrize("name", ["white", "grey", "black", "nearly blank", "speck", "ramp", "pen"])
def test_two_slides_with_nothing_on_them_are_refused_even_if_they_are_equal(name: str) -> None:
    assert judged(align_slides(slide(NOTHING[name]), slide(NOTHING[name]), ACCURATE)).refused


def test_two_empty_glasses_are_refused() -> None:
    assert judged(align_slides(slide(glass(1)), slide(glass(2)), ACCURATE)).refused
    assert judged(align_slides(slide(noise(1)), slide(noise(2)), ACCURATE)).refused


@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_one_stain_only_is_solved_or_refused(pair: PhantomArrays, side: str) -> None:
    for name, gain in SHOWS_ONE.items():
        look = Look(name, gain)
        fixed, moving = (
            (slide(look(pair.he.rgb)), pair.ihc) if side == "fixed" else (pair.he, slide(look(pair.ihc.rgb)))
        )
        result = judged(align_slides(fixed, moving, ACCURATE))
        assert result.refused or right(result, pair)


@pytest.mark.parametrize(
    "cut",
    [np.s_[150:214, 150:214], np.s_[180:200], np.s_[:, 180:200], np.s_[180:181], np.s_[:1, :1]],
    ids=["64 px", "strip", "upright strip", "line", "one px"],
)  # fmt: skip
def test_tiny_images_and_strips_are_judged(pair: PhantomArrays, cut: slice | tuple[slice, slice]) -> None:
    """A part of the section is rightly found or refused."""
    part = slide(np.ascontiguousarray(pair.he.rgb[cut]))
    result = judged(align_slides(part, pair.ihc, ACCURATE))
    rows, columns = cut if isinstance(cut, tuple) else (cut, np.s_[:])
    corner = np.array((columns.start or 0, rows.start or 0))
    points = np.random.default_rng(0).uniform((0, 0), (part.width, part.height), (50, 2))
    off = np.linalg.norm(result.transform(points) - pair.truth(points + corner), axis=1)
    assert result.refused or np.median(off) < 0.02 * pair.ihc.size.diagonal
    backwards = judged(align_slides(pair.ihc, part, ACCURATE))
    returned = np.linalg.norm(backwards.transform(pair.truth(points + corner)) - points, axis=1)
    assert backwards.refused or np.median(returned) < 0.02 * pair.ihc.size.diagonal


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_wrong_um_per_px_is_refused_or_overcome(pair: PhantomArrays, factor: float) -> None:
    wrong = ArraySource(pair.ihc.rgb, (0.25 * factor, 0.25 * factor))
    result = judged(align_slides(pair.he, wrong, ACCURATE))
    assert result.refused or right(result, pair)
    region = judged(register(pair.he, wrong, BOX, ACCURATE))
    assert region.refused or right(region, pair)


@pytest.mark.parametrize(
    "um", [(0.0, 0.25), (-0.25, 0.25), (np.nan, 0.25), (np.inf, np.inf), (1e-9, 1e-9), (1e9, 1e9)]
)
def test_an_impossible_um_per_px_is_named(pair: PhantomArrays, um: tuple[float, float]) -> None:
    odd = ArraySource(pair.ihc.rgb, um)
    for fixed, moving, field in ((pair.he, odd, "moving_mpp"), (odd, pair.he, "fixed_mpp")):
        with pytest.raises(EngineError) as caught:
            align_slides(fixed, moving, ACCURATE)
        assert (caught.value.code, caught.value.field) == ("mpp_out_of_range", field)


@pytest.mark.parametrize("method", METHODS)
def test_regions_of_nothing_are_refused_by_every_method(pair: PhantomArrays, method: str) -> None:
    others = {
        "white": flat(255), "noise": noise(0), "64 px": pair.ihc.rgb[150:214, 150:214],
        "strip": pair.ihc.rgb[:, 200:220],
    }  # fmt: skip
    for rgb in others.values():
        other = slide(np.ascontiguousarray(rgb))
        assert judged(register(pair.he, other, BOX, preset(method), initial=start(pair.he, other))).refused
        if min(other.width, other.height) >= 64:
            box = Box(0, 0, min(other.width, 160), min(other.height, 160))
            back = register(other, pair.he, box, preset(method), initial=start(other, pair.he))
            assert judged(back).refused


@pytest.mark.parametrize(
    "linear",
    [(1, 0, 1e6), (1e-3, 0, 0), (1e3, 0, 0), (1, 50, 0)],
    ids=["far", "shrunk", "blown up", "sheared"],
)
@pytest.mark.parametrize("method", METHODS)
def test_an_absurd_start_is_refused(
    pair: PhantomArrays, method: str, linear: tuple[float, float, float]
) -> None:
    scale, shear, shift = linear
    matrix = np.array([(scale, shear, shift), (0, scale, shift), (0, 0, 1)])
    initial = AffineTransform(matrix, pair.truth.fixed, pair.truth.moving)
    assert judged(register(pair.he, pair.ihc, BOX, preset(method), initial=initial)).refused


@pytest.mark.parametrize(
    ("fixed", "moving", "weight"),
    [
        ([(1, np.nan), (3, 4)], [(1, 2), (3, 4)], None),
        ([(1, 2), (3, 4)], [(1, 2), (np.inf, 4)], None),
        ([(1, 2), (3, 4)], [(1, 2)], None),
        ([(1, 2), (3, 4)], [(1, 2), (5, 6)], [1.0, np.nan]),
        ([(1, 2), (3, 4)], [(1, 2), (5, 6)], [1.0, 0.0]),
        ([(1, 2), (1, 2)], [(1, 2), (5, 6)], None),
    ],
    ids=["nan", "infinite", "unpaired", "nan weight", "no weight", "twice"],
)
def test_impossible_landmarks_are_named(
    fixed: list[tuple[float, float]], moving: list[tuple[float, float]], weight: list[float] | None
) -> None:
    with pytest.raises(EngineError) as caught:
        checked_landmarks(fixed, moving, weight)
    assert (caught.value.code, caught.value.field) == ("bad_landmarks", "landmarks")


FEW: dict[str, NDArray[np.float64]] = {
    "one": np.array([(190.0, 180.0)]),
    "two": np.array([(150.0, 180.0), (240.0, 200.0)]),
    "collinear": np.array([(150.0, 150.0), (190.0, 190.0), (230.0, 230.0), (270.0, 270.0)]),
}


@pytest.mark.parametrize("name", FEW)
def test_few_or_collinear_landmarks_help_or_do_nothing(pair: PhantomArrays, name: str) -> None:
    said = Constraints(checked_landmarks(FEW[name], pair.truth(FEW[name])))
    for result in run_both(pair, said, ACCURATE):
        assert not judged(result).refused
        assert right(result, pair)
        assert folding_share(result.transform, BOX, 8) == 0


@pytest.mark.parametrize("kind", ["swapped", "far off", "one wrong"])
def test_contradictory_landmarks_never_give_a_wrong_good_answer(pair: PhantomArrays, kind: str) -> None:
    points = np.array([(150.0, 150.0), (240.0, 160.0), (170.0, 240.0), (230.0, 250.0), (190.0, 200.0)])
    targets = pair.truth(points)
    wrong = {
        "swapped": targets[::-1],
        "far off": targets + np.array((5000.0, -9000.0)),
        "one wrong": targets.copy(),
    }[kind]
    if kind == "one wrong":
        wrong[2] += 90.0
    said = Constraints(checked_landmarks(points, wrong))
    for result in run_both(pair, said, ACCURATE):
        assert judged(result).verdict.level is not Level.GOOD or right(result, pair)
        assert folding_share(result.transform, BOX, 8) == 0


@pytest.mark.parametrize("polygon", [[(1, 2), (3, 4)], [(1, 2), (3, 4), (np.nan, 5)], [1, 2, 3], [[]]])
def test_impossible_polygons_are_named(polygon: list[tuple[float, float]]) -> None:
    with pytest.raises(EngineError) as caught:
        checked_polygons([polygon])
    assert (caught.value.code, caught.value.field) == ("bad_polygon", "exclude")


def test_a_slide_too_narrow_for_a_cell_is_refused_with_its_um(pair: PhantomArrays) -> None:
    """Mistaken um/px: 200 px at 0.02 um are less than a nucleus."""
    fixed, moving = (
        ArraySource(np.ascontiguousarray(one.rgb[150:350, 150:350]), (0.02, 0.02))
        for one in (pair.he, pair.he)
    )
    result = judged(align_slides(fixed, moving, ACCURATE))
    assert result.refused or result.section is not None
    with pytest.raises(EngineError, match="um") as caught:
        register(fixed, moving, Box(0, 0, 200, 200), ACCURATE, initial=result.transform)
    assert caught.value.code == "region_too_small"


def test_excluding_everything_is_refused(pair: PhantomArrays) -> None:
    everything = checked_polygons([[(-10, -10), (500, -10), (500, 500), (-10, 500)]])
    for said in (Constraints(exclude_fixed=everything), Constraints(exclude_moving=everything)):
        for result in run_both(pair, said, ACCURATE):
            assert judged(result).refused


def run_both(
    pair: PhantomArrays, said: Constraints, config: RegistrationConfig
) -> tuple[RegistrationResult, RegistrationResult]:
    """Both entry points."""
    slides = align_slides(pair.he, pair.ihc, config, constraints=said)
    return slides, register(pair.he, pair.ihc, BOX, config, constraints=said, initial=slides.transform)


def slide(rgb: Rgb) -> ArraySource:
    return ArraySource(rgb, UM)


def start(fixed: ArraySource, moving: ArraySource) -> AffineTransform:
    """Corner on corner."""
    return AffineTransform(np.eye(3), Frame("fixed", fixed.size, UM), Frame("moving", moving.size, UM))
