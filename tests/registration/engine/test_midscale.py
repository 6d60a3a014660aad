"""The mid-scale field: known warps, and evidence that tells right from wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from registration.engine.config.midscale import MidPass, MidscaleConfig
from registration.engine.errors import EngineError
from registration.engine.features import read_overview
from registration.engine.geometry import Points
from registration.engine.midscale import MidFit, MidImage, fit_midscale, mid_image
from registration.engine.nonrigid import Pins
from registration.engine.source import PixelSource
from registration.engine.synthetic import ArraySource
from registration.engine.synthetic.looks import BROWN, Look
from registration.engine.synthetic.warped import WarpedSource, frame_of, smooth_field
from registration.engine.transforms import AffineTransform, Transform

pytestmark = pytest.mark.data

CONFIG = MidscaleConfig()
SAME = np.eye(3)
LUNG = Path("landmarks") / "lung-lesion-3"


@pytest.fixture(scope="module")
def lung(data_dir: Path) -> ArraySource:
    """A part of the section, large enough for the pyramid."""
    return ArraySource(_image(data_dir, "He")[100:560, 120:760])


@pytest.fixture(scope="module")
def bent(lung: ArraySource) -> tuple[MidFit, Transform]:
    """The section against itself, bent by 20 px and stained otherwise."""
    truth = smooth_field(frame_of(lung, "fixed"), seed=3, largest=20.0, bend=220.0)
    shown = WarpedSource(lung, truth, BROWN)
    return fit_midscale(_view(shown), _view(lung), SAME, CONFIG), truth


def test_a_known_warp_is_recovered(bent: tuple[MidFit, Transform]) -> None:
    fit, truth = bent
    points = _points(fit)
    errors = np.linalg.norm(points + fit.grid.evaluate_at(fit.nodes, points) - truth(points), axis=1)
    before = np.linalg.norm(points - truth(points), axis=1)
    assert np.median(before) >= 5
    assert np.median(errors) <= 1.0
    assert np.percentile(errors, 90) <= 2.5


def test_the_evidence_of_a_good_field(bent: tuple[MidFit, Transform]) -> None:
    fit, _ = bent
    evidence = fit.evidence
    assert evidence.better
    assert evidence.smallest_jacobian > 0
    assert evidence.after.share >= 0.9 > 0.6 > evidence.before.share
    assert evidence.after.median <= 2.0
    assert len(evidence.blocks) == len(evidence.blocks.centres) >= 20


@pytest.mark.parametrize("look", [None, BROWN])
def test_the_same_section_is_left_as_it_is(lung: ArraySource, look: Look | None) -> None:
    shown = WarpedSource(lung, AffineTransform(SAME, frame_of(lung, "fixed"), frame_of(lung, "source")), look)
    fit = fit_midscale(_view(shown), _view(lung), SAME, CONFIG)
    assert np.percentile(np.hypot(*np.moveaxis(fit.nodes, -1, 0)), 95) <= 0.7
    assert not fit.evidence.better
    assert fit.evidence.before.share >= 0.95


def test_other_tissue_is_not_matched_and_does_not_fold(lung: ArraySource, data_dir: Path) -> None:
    other = ArraySource(np.ascontiguousarray(_image(data_dir, "Ki67")[100:560, 120:760][::-1, ::-1]))
    fit = fit_midscale(_view(lung), _view(other), SAME, CONFIG)
    assert not fit.evidence.better
    assert fit.evidence.after.share <= 0.2
    assert fit.evidence.smallest_jacobian > 0


def test_what_is_masked_takes_no_part(lung: ArraySource) -> None:
    """A strange patch in one image changes nothing if it is masked."""
    view = _view(lung)
    mask = view.mask.copy()
    mask[100:220, 200:330] = False
    spoilt = view.feature.copy()
    spoilt[100:220, 200:330] = np.roll(spoilt, 9, axis=1)[100:220, 200:330]
    fit = fit_midscale(MidImage(spoilt, mask), view, SAME, CONFIG)
    assert np.abs(fit.nodes).max() <= 1.0


def test_nothing_at_all_gives_no_field() -> None:
    empty = MidImage(np.zeros((200, 260), np.float32), np.zeros((200, 260), np.bool_))
    fit = fit_midscale(empty, empty, SAME, CONFIG)
    assert not fit.nodes.any()
    assert not fit.evidence.better
    assert len(fit.evidence.blocks) == 0


def test_start_pins_and_repeat(lung: ArraySource) -> None:
    view = MidImage(_view(lung).feature[:240, :300], _view(lung).mask[:240, :300])
    short = replace(CONFIG, passes=CONFIG.passes[-1:])
    plain = fit_midscale(view, view, SAME, short)
    start = plain.grid.zeros() + np.array((4.0, -3.0))
    again = [fit_midscale(view, view, SAME, short, start=start) for _ in range(2)]
    assert np.array_equal(again[0].nodes, again[1].nodes)
    assert np.median(np.abs(again[0].nodes)) <= 0.5
    pins = Pins(np.array([(150.0, 120.0)]), np.array([(5.0, 0.0)]), np.array([100.0]))
    pinned = fit_midscale(view, view, SAME, short, pins=pins)
    assert pinned.grid.evaluate_at(pinned.nodes, pins.points)[0, 0] >= 3.0


@pytest.mark.parametrize(
    "wrong",
    [{"bending": 0.0}, {"gap": np.nan}, {"smallest_jacobian": 1.0}, {"passes": (MidPass(1, 48, 0, 8),)}],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="midscale") as raised:
        replace(CONFIG, **wrong)
    assert raised.value.code == "bad_config"


def test_progress_can_stop_it(lung: ArraySource) -> None:
    def stop(share: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        fit_midscale(_view(lung), _view(lung), SAME, CONFIG, tick=stop)


def _view(source: PixelSource) -> MidImage:
    return mid_image(read_overview(source, 1.0))


def _points(fit: MidFit) -> Points:
    points = fit.grid.node_points()
    inside = (points > 40).all(axis=1) & (points < (600, 420)).all(axis=1)
    return points[inside]


def _image(data_dir: Path, name: str) -> NDArray[np.uint8]:
    read = cv2.imread(str(data_dir / LUNG / f"{name}.jpg"))
    assert read is not None
    return np.ascontiguousarray(read[..., ::-1], np.uint8)
