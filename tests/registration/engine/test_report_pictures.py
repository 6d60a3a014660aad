"""The pictures of the debug report show what is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from registration.engine.blockmatch import Blocks
from registration.engine.cellevidence import CellEvidence
from registration.engine.expected import ErrorMap
from registration.engine.features import overview
from registration.engine.geometry import Box, Frame, Size
from registration.engine.matrices import scaling, shift
from registration.engine.report import cell_pictures, draw, field_pictures, slide_pictures
from registration.engine.source import Rgb
from registration.engine.synthetic import ArraySource, PhantomArrays, phantom_arrays
from registration.engine.transforms import DisplacementField, split

BOX = Box(40, 30, 300, 260)
FRAME = Frame("fixed", Size(512, 512), (0.5, 0.5))


@pytest.fixture(scope="module")
def pair() -> PhantomArrays:
    return phantom_arrays(512, seed=3, rotation=20, field_px=6)


def flat(colour: tuple[int, int, int], rows: int = 60, columns: int = 80) -> Rgb:
    return np.full((rows, columns, 3), colour, np.uint8)


def near(picture: Rgb, colour: tuple[int, int, int]) -> Any:
    return np.abs(picture.astype(int) - colour).max(axis=-1) <= 60


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
