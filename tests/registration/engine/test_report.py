"""The debug report: pictures show what is there, the page is safe and complete, and nobody draws unasked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from registration.engine.blockmatch import Blocks
from registration.engine.cellevidence import CellEvidence
from registration.engine.config import preset
from registration.engine.errors import EngineError
from registration.engine.expected import ErrorMap
from registration.engine.features import overview
from registration.engine.geometry import Box, Frame, Size
from registration.engine.matrices import scaling, shift
from registration.engine.pipeline import align_slides, register
from registration.engine.report import cell_pictures, draw, field_pictures, slide_pictures
from registration.engine.report.outcome import draw_outcome
from registration.engine.report.recorder import NO_RECORDER, Pictures
from registration.engine.report.write import write_report
from registration.engine.result import (
    Level,
    Reason,
    RegistrationResult,
    Section,
    SectionKind,
    Spread,
    StageReport,
    Verdict,
    no_progress,
)
from registration.engine.source import Rgb
from registration.engine.stages import Stages
from registration.engine.synthetic import ArraySource, PhantomArrays, phantom_arrays
from registration.engine.transforms import AffineTransform, DisplacementField, Transform, split

BOX = Box(40, 30, 300, 260)
FRAME = Frame("fixed", Size(512, 512), (0.5, 0.5))
HOSTILE = "<script>alert(1)</script><img src=http://evil.example/x onerror='a()'>\"'& ü"


@pytest.fixture(scope="module")
def pair() -> PhantomArrays:
    return phantom_arrays(512, seed=3, rotation=20, field_px=6)


def result_of(transform: Transform, box: Box | None = BOX, **changes: Any) -> RegistrationResult:
    result = RegistrationResult(
        transform=transform,
        verdict=Verdict(Level.CHECK, (Reason("a", "Only some windows agree."),)),
        error_px=Spread(0.8, 2.2),
        error_um=Spread(0.4, 1.1),
        box=box,
        config=preset("accurate"),
        engine_version="0.1",
        stages=(StageReport("aligning the slides", 1.5, 12.25), StageReport("matching cells", 2.0)),
        evidence={"slide_z": 31.5, "region_agreeing": 0.61},
        expected=ErrorMap(np.array([(0.5, 1.0), (4.0, np.nan)], np.float32), (40, 30), 150.0),
        section=Section(SectionKind.SAME, 0.8, "One section, stained twice."),
    )
    return replace(result, **changes)


def flat(colour: tuple[int, int, int], rows: int = 60, columns: int = 80) -> Rgb:
    return np.full((rows, columns, 3), colour, np.uint8)


def near(picture: Rgb, colour: tuple[int, int, int]) -> Any:
    return np.abs(picture.astype(int) - colour).max(axis=-1) <= 60


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def test_without_a_report_nothing_is_drawn() -> None:
    def never() -> Rgb:
        raise AssertionError("drawn unasked")

    stages = Stages(no_progress)
    stages.run("a stage", 0, lambda: stages.picture("inside", never))
    stages.picture("after", never)
    assert not NO_RECORDER.wants
    with pytest.raises(AssertionError, match="unasked"):
        Stages(no_progress, recorder=Pictures()).picture("wanted", never)


def test_pictures_come_in_order_with_their_stage_and_not_too_large() -> None:
    recorder = Pictures()
    stages = Stages(no_progress, recorder=recorder)
    stages.run("first", 0, lambda: stages.picture("one", lambda: flat((250, 20, 30), 10, 3000), "why"))
    stages.run("second", 50, lambda: None)
    stages.picture("two", lambda: flat((1, 2, 3)))
    assert [(shot.stage, shot.name, shot.caption) for shot in recorder.shots] == [
        ("first", "one", "why"),
        ("second", "two", ""),
    ]
    decoded = cv2.imdecode(np.frombuffer(recorder.shots[0].png, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == (3, 1000, 3)
    assert decoded[0, 0].tolist() == [30, 20, 250]  # OpenCV's order: blue first
    for _ in range(200):
        recorder.picture("many", "more", lambda: flat((0, 0, 0), 2, 2))
    assert len(recorder.shots) == 120


def test_a_report_is_one_page_that_needs_nothing_and_files(tmp_path: Path, pair: PhantomArrays) -> None:
    recorder = Pictures()
    recorder.picture("aligning the slides", "Candidates", lambda: flat((9, 9, 9)), "eight turns")
    files = write_report(tmp_path / "report", recorder, result_of(pair.truth), pair.he, pair.ihc)
    text = files[0].read_text(encoding="utf-8")
    tags = Tags(text)
    assert files[0] == tmp_path / "report" / "index.html"
    assert {path.name for path in (tmp_path / "report").iterdir()} == {path.name for path in files}
    assert len(files) == 1 + len(recorder.shots)
    assert all(re.fullmatch(r"\d\d-[a-z0-9-]+\.png", path.name) for path in files[1:])
    images = [attributes["src"] or "" for tag, attributes in tags.found if tag == "img"]
    assert len(images) == len(recorder.shots) >= 8
    assert all(source.startswith("data:image/png;base64,") for source in images)
    assert not re.search(r"https?://|//[a-z]", re.sub(r"base64,[^\"]+", "", text))
    assert {tag for tag, _ in tags.found}.isdisjoint({"script", "link", "iframe", "a", "object"})
    for words in (
        *("Check: look at it", "Only some windows agree.", "One section, stained twice.", "accurate"),
        *("median 0.4, p90 1.1 um", "x 40, y 30, 300 x 260 px", "12.2", "3.50", "slide_z", "Candidates"),
        *("eight turns", "The result", "Expected error", "um/px"),
    ):
        assert words in tags.words, words


def test_everything_from_outside_is_escaped(tmp_path: Path) -> None:
    recorder = Pictures()
    recorder.picture(HOSTILE, HOSTILE, lambda: flat((9, 9, 9)), HOSTILE)
    result = result_of(
        AffineTransform.identity(FRAME),
        verdict=Verdict(Level.REFUSED, (Reason(HOSTILE, HOSTILE),)),
        stages=(StageReport(HOSTILE, 1.0),),
        evidence={HOSTILE: 1.0},
        section=Section(SectionKind.UNKNOWN, None, HOSTILE),
        engine_version=HOSTILE,
    )
    files = write_report(tmp_path / "report", recorder, result, title=HOSTILE)
    tags = Tags(files[0].read_text(encoding="utf-8"))
    assert "script" not in {tag for tag, _ in tags.found}
    assert all(set(attributes) <= {"alt", "src"} for tag, attributes in tags.found if tag == "img")
    assert tags.words.count("<script>alert(1)</script>") >= 8
    assert [path.name for path in files[1:]] == [
        "01-script-alert-1-script-img-src-http-evil-example-x-onerror-a.png"
    ]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(EngineError, match="not empty") as caught:
        write_report(tmp_path, Pictures(), result_of(AffineTransform.identity(FRAME)))
    assert caught.value.code == "destination_exists"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_same_result_gives_the_same_bytes(tmp_path: Path, pair: PhantomArrays) -> None:
    pages = [
        write_report(tmp_path / name, Pictures(), result_of(pair.truth), pair.he, pair.ihc)[0].read_bytes()
        for name in "ab"
    ]
    assert pages[0] == pages[1]


def test_a_result_without_region_field_errors_or_um_is_drawn_too(pair: PhantomArrays) -> None:
    affine, _ = split(pair.truth)
    frames = (replace(affine.fixed, um_per_px=None), replace(affine.moving, um_per_px=None))
    plain = result_of(
        AffineTransform(affine.matrix, *frames),
        box=None,
        expected=None,
        section=None,
        error_px=None,
        error_um=None,
    )
    recorder = Pictures()
    draw_outcome(recorder, pair.he, pair.ihc, plain)
    assert [shot.name for shot in recorder.shots] == [
        "Both slides",
        "One on top of the other",
        "In detail: the middle",
    ]


def test_the_overlay_tells_right_from_wrong(pair: PhantomArrays) -> None:
    """Negative control: colour remains where the slides do not lie on each other."""

    def colour(transform: Transform) -> float:
        recorder = Pictures()
        draw_outcome(recorder, pair.he, pair.ihc, result_of(transform))
        shot = next(shot for shot in recorder.shots if shot.name == "One on top of the other")
        decoded = cv2.imdecode(np.frombuffer(shot.png, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        picture = np.asarray(decoded, np.int16)[:, :295]
        return float(np.abs(picture[..., 0] - picture[..., 1]).mean())

    affine, _ = split(pair.truth)
    wrong = AffineTransform(affine.matrix @ shift(25, -18), affine.fixed, affine.moving)
    assert colour(wrong) > 1.15 * colour(pair.truth)


def test_fused_and_checkerboard_and_shaded() -> None:
    light, dark = flat((240, 240, 240)), flat((60, 60, 60))
    assert np.ptp(draw.fused(dark, dark), axis=-1).max() == 0
    red, green, blue = draw.fused(dark, light)[0, 0].tolist()
    assert green > red == blue
    red, green, blue = draw.fused(light, dark)[0, 0].tolist()
    assert green < red == blue
    board = draw.checkerboard(light, dark, 8)
    assert (board[0, 0, 0], board[0, 12, 0], board[12, 12, 0]) == (240, 60, 240)
    mask = np.zeros((60, 80), bool)
    mask[20:40, 20:60] = True
    shaded = draw.shaded(dark, mask)
    assert shaded[30, 40].tolist() == [60, 60, 60]
    assert shaded[5, 5, 2] > shaded[5, 5, 0] > 100


def test_heat_and_change_have_the_colours_they_name() -> None:
    cold, warm, nothing = draw.heat(np.array([[0.0, 2.0, np.nan]]), 0, 2)[0].astype(int)
    assert warm.sum() > cold.sum()
    assert nothing.tolist() == [205, 205, 205]
    folded, shrunk, same, stretched = draw.change(np.array([[-0.2, 0.5, 1.0, 2.0]]), 2.0)[0].tolist()
    assert (folded, same) == ([0, 0, 0], [255, 255, 255])
    assert (tuple(shrunk), tuple(stretched)) == (draw.BLUE, draw.ORANGE)


def test_arrows_and_outlines_lie_where_they_should() -> None:
    white = flat((255, 255, 255), 100, 100)
    picture = draw.arrows(white, np.array([[20.5, 50.5]]), np.array([[60.0, 0.0]]))
    rows, columns = np.nonzero(near(picture, draw.BLUE))
    assert abs(rows.mean() - 50) < 0.7
    assert abs(columns.min() - 19) <= 1
    assert abs(columns.max() - 80) <= 1
    outline = draw.outlined(white, np.array([(10.5, 20.5), (90.5, 20.5), (90.5, 70.5), (10.5, 70.5)]))
    rows, columns = np.nonzero(near(outline, draw.ORANGE))
    assert abs(rows.mean() - 45) < 1
    assert abs(columns.mean() - 50) < 1
    far = np.array([[np.nan, 3.0], [1e12, -1e12]])
    assert draw.arrows(white, far, far).shape == white.shape
    assert_array_equal(draw.arrows(white, np.zeros((0, 2)), np.zeros((0, 2))), white)


def test_a_field_is_drawn_with_its_size_and_its_folds() -> None:
    values = np.zeros((6, 6, 2), np.float32)
    values[..., 0] = 4.0
    field = DisplacementField(values, (0, 0), (80, 80), FRAME)
    background = flat((255, 255, 255), 260, 300)
    drawn = field_pictures.field_on(background, field, BOX)
    assert drawn.shape == (260 + 20, 300 + 8 + 300, 3)
    assert near(drawn, draw.BLUE).any()
    still = field_pictures.field_on(background, DisplacementField(values * 0, (0, 0), (80, 80), FRAME), BOX)
    assert near(still, draw.BLUE).sum() > 500
    calm = field_pictures.area_change(field, BOX)
    assert (calm[:300] == 255).all()
    values[3, 3, 0] = -150
    torn = field_pictures.area_change(DisplacementField(values, (0, 0), (80, 80), FRAME), BOX)
    assert (torn[:300] == 0).all(axis=-1).any()
    assert field_pictures.size_of(field, BOX, 0.25).ndim == 3


def test_expected_errors_and_residuals_are_drawn() -> None:
    errors = ErrorMap(np.array([(0.5, 1.0), (4.0, np.nan)], np.float32), (0, 0), 100.0)
    picture = field_pictures.expected_error(errors)
    quarters = [picture[y, x].astype(int) for y, x in ((60, 60), (60, 300), (300, 60), (300, 300))]
    assert quarters[0].sum() < quarters[1].sum() < quarters[2].sum()
    assert quarters[3].tolist() == [205, 205, 205]
    nowhere = ErrorMap(np.full((2, 2), np.nan, np.float32), (0, 0), 100.0)
    assert field_pictures.expected_error(nowhere).ndim == 3
    points = np.random.default_rng(0).uniform((40, 30), (340, 290), (300, 2))
    off = np.full((300, 2), 0.3)
    off[:20], off[20] = 5, np.nan
    picture = field_pictures.residuals(flat((255, 255, 255), 260, 300), BOX, points, off, near=1.0)
    assert near(picture, draw.BLUE).any()
    assert near(picture, draw.ORANGE).any()
    none = np.zeros((0, 2))
    assert field_pictures.residuals(flat((255, 255, 255), 26, 30), BOX, none, none, 1.0).ndim == 3


def test_what_the_slide_stages_saw(pair: PhantomArrays) -> None:
    fixed, moving = (overview(*read_all(source, 2.0), 2.0) for source in (pair.he, pair.ihc))
    affine, _ = split(pair.truth)
    true = scaling(0.5) @ affine.matrix @ scaling(2.0)
    assert slide_pictures.overviews(fixed, moving).ndim == 3
    wrong = true @ shift(30, 10)
    right_colour, wrong_colour = (
        np.ptp(slide_pictures.overlay(fixed, moving, matrix).astype(int), axis=-1).mean()
        for matrix in (true, wrong)
    )
    assert wrong_colour > 1.15 * right_colour
    rows, columns = fixed.shape
    assert slide_pictures.affine(fixed, moving, true).shape == (rows, 2 * columns + 8, 3)
    assert slide_pictures.candidates(fixed, moving, [true, wrong] * 15, best=0).ndim == 3
    assert slide_pictures.candidates(fixed, moving, []).ndim == 3
    found = Blocks(np.array([(50.0, 60.0), (90.0, 60.0)]), np.array([(1.0, 0.0), (9.0, 3.0)]), np.ones(2))
    drawn = slide_pictures.blocks(fixed, found, 4.0)
    assert near(drawn, draw.BLUE).any()
    assert near(drawn, draw.ORANGE).any()
    nothing = Blocks(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0))
    assert slide_pictures.blocks(fixed, nothing, 4.0).ndim == 3


def read_all(source: ArraySource, downsample: float) -> tuple[Any, Any]:
    columns, rows = int(source.width / downsample), int(source.height / downsample)
    return source.read(0, 0, columns, rows, downsample)


def test_every_stage_leaves_its_pictures_and_changes_nothing() -> None:
    pair = phantom_arrays(512, seed=5, rotation=10, field_px=4)
    recorder, config = Pictures(), preset("accurate")
    slides = align_slides(pair.he, pair.ihc, config, recorder=recorder)
    drawn = register(pair.he, pair.ihc, BOX, config, initial=slides.transform, recorder=recorder)
    plain = register(pair.he, pair.ihc, BOX, config, initial=slides.transform)
    points = np.random.default_rng(0).uniform((40, 30), (340, 290), (50, 2))
    assert drawn.transform(points).tolist() == plain.transform(points).tolist()
    assert drawn.verdict == plain.verdict
    assert {shot.name for shot in recorder.shots} >= {
        *("Candidates", "Overviews and masks", "After the affine", "Free matches around the affine"),
        *("Mid-scale field", "Before and after the field", "Held-out blocks before and after the field"),
        *("Free matches around the region", "Nuclei before and after the field", "Cell by cell"),
        "What the matches ask for beyond the field",
    }


def test_cell_by_cell() -> None:
    rng, shape = np.random.default_rng(0), (9, 12)
    distances = ("held_out_px", "wide_px", "half_px")
    planes: dict[str, Any] = {name: rng.uniform(0, 2, shape) for name in distances}
    planes |= {name: rng.uniform(0, 1, shape) for name in ("score", "curvature", "gap", "weight")}
    planes["held_out_px"][0, 0] = planes["wide_px"][:] = np.nan
    lines: dict[str, Any] = {"xs": np.arange(12) * 8.0, "ys": np.arange(9) * 8.0}
    cells = CellEvidence(**lines, **planes, textured=rng.uniform(0, 1, shape) > 0.3)
    assert cell_pictures.cell_evidence(cells).ndim == 3
    blind = replace(cells, held_out_px=cells.wide_px, half_px=cells.wide_px, textured=np.zeros(shape, bool))
    assert cell_pictures.cell_evidence(blind).ndim == 3


@pytest.mark.parametrize("side", [1, 3])
def test_tiny_and_empty_pictures(side: int) -> None:
    rgb, values = flat((200, 10, 10), side, side), np.full((side, side), np.nan)
    makers: list[Callable[[], Rgb]] = [
        lambda: draw.gray(values),
        lambda: draw.heat_with_scale(values, 1.0, "px"),
        lambda: draw.checkerboard(rgb, rgb),
        lambda: draw.shaded(rgb, np.zeros((side, side), bool)),
        lambda: draw.labelled(draw.beside(rgb, rgb), "text"),
        lambda: draw.tiled([rgb] * 5, 2),
    ]
    for make in makers:
        picture = make()
        assert picture.dtype == np.uint8
        assert picture.shape[2:] == (3,)
