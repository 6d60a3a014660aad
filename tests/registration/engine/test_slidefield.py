"""The slide-level field as it is used: bent, polished, and with the error stated of it, against truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from registration.engine.config import preset
from registration.engine.constraints import NO_CONSTRAINTS, Landmarks, checked_landmarks
from registration.engine.features import Overview, read_overview
from registration.engine.geometry import Points, Size
from registration.engine.matrices import Matrix, apply, between_scales, shift, turn
from registration.engine.midfeatures import MidImage, mid_image
from registration.engine.midscale import fit_midscale
from registration.engine.nonrigid import Grid, Nodes
from registration.engine.polish import polished
from registration.engine.quality import SlideEvidence
from registration.engine.resample import warp_array
from registration.engine.result import Level, Verdict, no_progress
from registration.engine.robust import fit
from registration.engine.slidefield import SlideAlignment, with_field
from registration.engine.slidefit import SlideFit
from registration.engine.source import PixelSource
from registration.engine.stages import Stages
from registration.engine.synthetic import ArraySource
from registration.engine.synthetic.looks import BROWN
from registration.engine.synthetic.warped import WarpedSource, frame_of, smooth_field
from registration.engine.transforms import AffineTransform, Transform
from tests.registration.engine.tables import table

pytestmark = pytest.mark.data

SAME = np.eye(3)
USUAL = preset("accurate")
LUNG = Path("landmarks") / "lung-lesion-3"


class Bent:
    """A part of a section against itself, bent by a known field and stained otherwise."""

    def __init__(self, data_dir: Path) -> None:
        self.moving = ArraySource(np.ascontiguousarray(_image(data_dir, "He")[150:470, 200:620]))
        self.truth: Transform = smooth_field(frame_of(self.moving, "fixed"), seed=8, largest=20.0, bend=200.0)
        self.fixed = WarpedSource(self.moving, self.truth, BROWN)
        self.views = tuple(mid_image(read_overview(one, 1.0)) for one in (self.fixed, self.moving))
        xs, ys = np.meshgrid(np.arange(40.0, 390, 16), np.arange(40.0, 290, 16))
        self.points: Points = np.stack((xs, ys), axis=-1).reshape(-1, 2)

    def aligned(self, marks: Landmarks = NO_CONSTRAINTS.landmarks) -> SlideAlignment:
        overviews = (read_overview(self.fixed, 1.0), read_overview(self.moving, 1.0))
        return _aligned(self.fixed, self.moving, overviews, SAME, marks)

    def errors(self, moved: Points) -> NDArray[np.float64]:
        return np.asarray(np.linalg.norm(self.points + moved - self.truth(self.points), axis=1))


@pytest.fixture(scope="module")
def bent(data_dir: Path) -> Bent:
    return Bent(data_dir)


def test_a_known_warp_is_met_and_the_stated_error_is_not_less_than_the_true_one(bent: Bent) -> None:
    found = bent.aligned()
    assert found.uses_field
    assert found.mid is not None
    errors = bent.errors(found.transform(bent.points) - bent.points)
    assert np.median(bent.errors(np.zeros_like(bent.points))) >= 4
    assert np.median(errors) <= 0.15
    assert np.percentile(errors, 90) <= 0.4
    assert found.mid.evidence.smallest_jacobian > USUAL.midscale.smallest_jacobian
    assert found.error_px is not None
    assert np.median(errors) <= found.error_px.median <= 1.5
    assert np.percentile(errors, 90) <= found.error_px.p90 <= 3


def test_a_landmark_stays_where_the_unpolished_field_puts_it(
    bent: Bent, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields: list[tuple[Grid, Nodes]] = []

    def watched(*arguments: Any) -> tuple[Grid, Nodes]:
        fields.append(arguments[3])
        return polished(*arguments)

    monkeypatch.setattr("registration.engine.slidefield.polished", watched)
    places = np.array([(121.0, 83.0), (200.0, 160.0), (301.5, 240.0), (309.0, 243.0)])
    found = bent.aligned(checked_landmarks(places, np.add(bent.truth(places), (1.5, -1.0))))
    [(grid, nodes)] = fields
    moved, elsewhere = (
        np.abs(found.transform(points) - points - grid.evaluate_at(nodes, points))
        for points in (places, bent.points)
    )
    assert moved.max() <= 0.1
    assert elsewhere.max() > 0.3
    assert np.median(bent.errors(found.transform(bent.points) - bent.points)) <= 0.3


def test_a_polish_that_leads_away_is_noticed(bent: Bent) -> None:
    """Where one image is light where the other is dark, to agree px by px is to disagree."""
    fixed, moving = bent.views
    first = fit_midscale(fixed, moving, SAME, USUAL.midscale)
    blocks, start = first.evidence.blocks, first.grid.evaluate_at(first.nodes, bent.points)
    inverted = MidImage(moving.feature.max() - moving.feature, moving.mask)
    for image, wrong in ((moving, False), (inverted, True)):
        grid, nodes = polished(fixed, image, SAME, (first.grid, first.nodes), USUAL.midscale)
        after = bent.errors(grid.evaluate_at(nodes, bent.points))
        assert (np.median(after) > np.median(bent.errors(start))) is np.bool_(wrong)
        added = grid.evaluate_at(nodes, blocks.centres) - first.grid.evaluate_at(first.nodes, blocks.centres)
        assert blocks.contradict(added) is wrong
        worst = np.hypot(*blocks.at_worst(added).crossed.T)
        assert (worst >= np.hypot(*blocks.crossed.T)).all()
        assert (worst >= np.hypot(*(blocks.crossed - added).T) - 1e-9).all()


@pytest.mark.parametrize(
    ("fixed", "moving", "degrees", "most"), [("He", "Ki67", None, 0.0075), ("proSPC", "Ki67", 127.0, 0.0045)]
)
def test_consecutive_sections_come_nearer_than_by_the_affine_and_the_stated_error_is_the_true_one(
    data_dir: Path, fixed: str, moving: str, degrees: float | None, most: float
) -> None:
    """From the landmarks' affine. degrees : the moving one is turned by that, and mirrored. most : rTRE."""
    pictures = [_image(data_dir, name) for name in (fixed, moving)]
    marks = [table(data_dir / LUNG / f"{name}.csv") for name in (fixed, moving)]
    diagonal = np.hypot(*pictures[1].shape[:2])
    if degrees is not None:
        matrix, pictures[1] = _turned(pictures[1], degrees)
        marks[1] = apply(matrix, marks[1])
    mirror = np.diag((1.0, -1.0 if degrees else 1.0, 1.0))
    start = fit(apply(mirror, marks[0]), marks[1], np.ones(len(marks[0])), "affine") @ mirror
    sources = [ArraySource(picture) for picture in pictures]
    scale = float(np.sqrt(np.prod(pictures[0].shape[:2]) / 860**2))
    overviews = (read_overview(sources[0], scale), read_overview(sources[1], scale))
    errors = {}
    for method in ("accurate", "rigid"):
        found = _aligned(sources[0], sources[1], overviews, start, method=method)
        errors[method] = np.linalg.norm(found.transform(marks[0]) - marks[1], axis=1)
        assert found.error_px is not None
        assert 0.5 <= found.error_px.median / np.median(errors[method]) <= 2
        assert 0.7 <= found.error_px.p90 / np.percentile(errors[method], 90) <= 1.9
    assert np.median(errors["accurate"]) <= 0.9 * np.median(errors["rigid"])
    assert np.median(errors["accurate"]) <= most * diagonal


def _aligned(
    fixed: PixelSource,
    moving: PixelSource,
    overviews: tuple[Overview, Overview],
    start: Matrix,
    marks: Landmarks = NO_CONSTRAINTS.landmarks,
    method: str = "accurate",
) -> SlideAlignment:
    affine = AffineTransform(start, frame_of(fixed, "fixed"), frame_of(moving, "moving"))
    matrix = between_scales(start, *(1 / one.downsample for one in overviews))
    slides = SlideFit(affine, SlideEvidence(20.0, 0.9, 100, 0.0), matrix, overviews, marks)
    return with_field(slides, Verdict(Level.GOOD), preset(method), Stages(no_progress))


def _image(data_dir: Path, name: str) -> NDArray[np.uint8]:
    read = cv2.imread(str(data_dir / LUNG / f"{name}.jpg"))
    assert read is not None
    return np.ascontiguousarray(read[..., ::-1], np.uint8)


def _turned(image: NDArray[np.uint8], degrees: float) -> tuple[Matrix, NDArray[np.uint8]]:
    """The image mirrored and turned on white glass, and the map from its px to the turned one's."""
    rows, columns = image.shape[:2]
    linear = turn(degrees, mirrored=True)
    width, height = (int(side) + 1 for side in np.abs(linear[:2, :2]) @ (columns, rows))
    matrix = shift(width / 2, height / 2) @ linear @ shift(-columns / 2, -rows / 2)
    turned, _ = warp_array(image, np.asarray(np.linalg.inv(matrix)), Size(width, height), "cubic")
    return matrix, np.asarray(turned, np.uint8)
