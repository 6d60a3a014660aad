"""The debug report: the page is safe and complete, and nobody draws unasked."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from registration.engine.config import preset
from registration.engine.errors import EngineError
from registration.engine.expected import UNMEASURED_PX, ErrorMap
from registration.engine.geometry import Box, Frame, Size
from registration.engine.matrices import shift
from registration.engine.pipeline import align_slides, register
from registration.engine.quality import SLIDE_Z_NEEDED, SLIDE_Z_SURE
from registration.engine.report.evidence import evidence_rows
from registration.engine.report.outcome import draw_outcome
from registration.engine.report.page import page
from registration.engine.report.recorder import NO_RECORDER, RESULT, Pictures
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
from registration.engine.synthetic import PhantomArrays, phantom_arrays
from registration.engine.transforms import AffineTransform, Transform, split
from registration.errormaps import figures

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
        expected=ErrorMap(np.array([(0.5, 1.0), (4.0, UNMEASURED_PX)], np.float32), (40, 30), 150.0),
        section=Section(SectionKind.SAME, 0.8, "One section, stained twice."),
    )
    return replace(result, **changes)


def flat(colour: tuple[int, int, int], rows: int = 60, columns: int = 80) -> Rgb:
    return np.full((rows, columns, 3), colour, np.uint8)


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

    recorder = Stages(no_progress).recorder
    assert recorder is NO_RECORDER
    assert not recorder.wants
    recorder.picture("a stage", "unwanted", never)
    with pytest.raises(AssertionError, match="unasked"):
        Pictures().picture("a stage", "wanted", never)


def test_pictures_come_in_order_with_their_stage_and_not_too_large() -> None:
    recorder = Pictures()
    recorder.picture("first", "one", lambda: flat((250, 20, 30), 10, 3000), "why")
    recorder.picture("second", "two", lambda: flat((1, 2, 3)))
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
    assert (
        any("do not ask for it, so it is not used" in shot.caption for shot in recorder.shots)
        or (slides.evidence["slide_field_used"])
    )
    evidence = slides.evidence | drawn.evidence
    assert len(evidence) > 12
    assert [name for name, _, meaning, _ in evidence_rows(evidence) if not meaning] == []


def test_the_largest_error_is_of_the_region_as_its_figures_are() -> None:
    """Neither squares without tissue count nor those of the margin."""
    result = result_of(AffineTransform.identity(FRAME))
    assert "<td>2 um; 4 px</td>" in page("title", result, ())
    errors = ErrorMap(np.array([(9, 9, 9), (9, 2.5, 9), (9, 4.5, 9)], np.float32), (-110, -120), 150.0)
    inside = replace(result, expected=errors, box=Box(45, 35, 130, 200))
    assert "<td>2.25 um; 4.5 px</td>" in page("title", inside, ())
    assert figures(errors, inside.box, (0.5, 0.5))["expected_error_um"]["worst"] == 2.25  # type: ignore[index]
    refused = page("title", replace(inside, verdict=Verdict(Level.REFUSED, ())), ())
    assert "not known, since the result is refused" in refused
    assert "2.25" not in refused
    nothing = ErrorMap(np.full((2, 2), UNMEASURED_PX, np.float32), (0, 0), 64.0)
    assert "<td>not measured</td>" in page("title", replace(result, expected=nothing), ())


def test_the_result_comes_first_and_the_evidence_says_what_decides() -> None:
    recorder = Pictures()
    recorder.picture("aligning the slides", "Candidates", lambda: flat((9, 9, 9)))
    recorder.picture(RESULT, "Both slides", lambda: flat((9, 9, 9)))
    text = page("title", result_of(AffineTransform.identity(FRAME)), recorder.shots)
    assert text.index("The result") < text.index("Time and what is left") < text.index("Candidates")
    assert f"refused below {SLIDE_Z_NEEDED:g}, check below {SLIDE_Z_SURE:g}" in text
