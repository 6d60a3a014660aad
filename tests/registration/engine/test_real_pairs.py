"""The engine on real slides: a re-stained section with known truth, consecutive sections, and wrong pairs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from registration.engine.config import preset
from registration.engine.evaluation.field import folding_share
from registration.engine.geometry import Box, Size
from registration.engine.matrices import Matrix, apply, shift, turn
from registration.engine.pipeline import align_slides, register
from registration.engine.resample import warp_array
from registration.engine.result import Level, RegistrationResult
from registration.engine.source import PixelSource
from registration.engine.synthetic import ArraySource
from tests.registration.engine.tables import table
from viewer.wsi import SlideReader, open_slide

pytestmark = pytest.mark.data

ACCURATE = preset("accurate")
TISSUE = Box(512, 512, 512, 3072)
Points = NDArray[np.float64]


@pytest.fixture(scope="module")
def aligned(he: SlideReader, ihc: SlideReader) -> RegistrationResult:
    return align_slides(he, ihc, ACCURATE)


def test_the_whole_slide_is_aligned_within_three_px(
    aligned: RegistrationResult, truth: tuple[Points, Points]
) -> None:
    assert aligned.verdict.level is Level.GOOD
    assert np.median(_errors(aligned, *truth)) <= 3.0


def test_the_region_is_registered_at_level_0(
    he: SlideReader, ihc: SlideReader, aligned: RegistrationResult, truth: tuple[Points, Points]
) -> None:
    result = register(he, ihc, TISSUE, ACCURATE, initial=aligned.transform)
    errors = _errors(result, *truth)
    assert result.verdict.level is Level.GOOD
    assert np.median(errors) <= 0.35
    assert np.percentile(errors, 90) <= 0.75
    assert folding_share(result.transform, TISSUE, 16) == 0


@pytest.mark.parametrize("method", ["accurate", "rigid", "roialign"])
def test_a_blank_region_is_refused(
    he: SlideReader, ihc: SlideReader, aligned: RegistrationResult, method: str
) -> None:
    result = register(he, ihc, Box(1100, 500, 400, 400), preset(method), initial=aligned.transform)
    assert [reason.code for reason in result.verdict.reasons] == ["blank_region"]


def test_another_slide_s_tissue_is_refused(he: SlideReader, data_dir: Path) -> None:
    with open_slide(data_dir / "slides" / "tcga-cr-7395-ts1.svs", (0.25, 0.25)) as other:
        assert register(he, other, TISSUE, ACCURATE).refused


def test_disjoint_halves_on_the_same_canvas_are_refused(he: SlideReader, ihc: SlideReader) -> None:
    """The frames of filling agree perfectly; the tissue in them is not the same."""
    upper, lower = _strip(he, 512), _strip(ihc, 2100)
    assert align_slides(upper, lower, ACCURATE).refused
    assert not align_slides(upper, _strip(ihc, 512), ACCURATE).refused


@pytest.mark.parametrize(("fixed", "moving"), [("He", "Ki67"), ("proSPC", "He")])
def test_consecutive_sections_are_found_at_an_odd_angle(data_dir: Path, fixed: str, moving: str) -> None:
    """The moving one turned and, for two of them, mirrored; the other order is the engine's own check."""
    images = {name: _image(data_dir, name) for name in (fixed, moving)}
    matrix, turned = _turned(images[moving], 101.0, mirrored=fixed < moving)
    sources = [ArraySource(image, (8.0, 8.0)) for image in (images[fixed], turned)]
    result = align_slides(sources[0], sources[1], ACCURATE)
    marks = {name: table(data_dir / "landmarks" / "lung-lesion-3" / f"{name}.csv") for name in images}
    errors = _errors(result, marks[fixed], apply(matrix, marks[moving]))
    assert result.verdict.level is Level.GOOD
    assert np.median(errors) <= 0.02 * Size(turned.shape[1], turned.shape[0]).diagonal


def test_plain_images_are_aligned_without_um_per_px(data_dir: Path) -> None:
    sources = [ArraySource(_image(data_dir, name)) for name in ("Ki67", "proSPC")]
    result = align_slides(sources[0], sources[1], ACCURATE)
    assert result.verdict.level is Level.GOOD
    assert result.error_um is None


def _errors(result: RegistrationResult, fixed: Points, moving: Points) -> Points:
    return np.asarray(np.linalg.norm(result.transform(fixed) - moving, axis=1))


def _image(data_dir: Path, name: str) -> NDArray[np.uint8]:
    read = cv2.imread(str(data_dir / "landmarks" / "lung-lesion-3" / f"{name}.jpg"))
    assert read is not None
    return np.ascontiguousarray(read[..., ::-1], np.uint8)


def _strip(slide: PixelSource, top: int) -> ArraySource:
    """1400 rows of the slide, alone on a canvas of its filling."""
    rgb, _ = slide.read(0, 0, slide.width, slide.height, 1.0)
    canvas = np.full_like(rgb, 243)
    canvas[700:2100] = rgb[top : top + 1400]
    return ArraySource(canvas, slide.um_per_px)


def _turned(image: NDArray[np.uint8], degrees: float, *, mirrored: bool) -> tuple[Matrix, NDArray[np.uint8]]:
    """The image turned on white glass, and the map from its px to the turned one's."""
    rows, columns = image.shape[:2]
    linear = turn(degrees, mirrored)
    width, height = (int(side) + 1 for side in np.abs(linear[:2, :2]) @ (columns, rows))
    matrix = shift(width / 2, height / 2) @ linear @ shift(-columns / 2, -rows / 2)
    back = np.asarray(np.linalg.inv(matrix), np.float64)
    turned, _ = warp_array(image, back, Size(width, height), "cubic")
    return matrix, np.asarray(turned, np.uint8)
