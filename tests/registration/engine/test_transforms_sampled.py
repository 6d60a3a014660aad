"""Any transform on a grid of nodes: as near to the original as it says, and no nearer than it says."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from registration.engine.errors import EngineError
from registration.engine.evaluation.field import folding_share
from registration.engine.geometry import Box, Frame, Points, Size
from registration.engine.transforms import (
    AffineTransform,
    DisplacementField,
    Transform,
    load_transform,
    sampled,
    save_transform,
    split,
)

FIXED = Frame("fixed", Size(4000, 3200), (0.25, 0.25))
MOVING = Frame("moving", Size(4800, 5000), (0.5, 0.5))
MATRIX = [[0.8, -0.61, 2160.3], [0.59, 0.83, -20.7], [0.0, 0.0, 1.0]]
BOX = Box(704, 504, 1000, 808)
#: On the moving slide, where everything comes from the inside of the waves.
BACK = Box(1700, 1300, 900, 700)


def affine() -> AffineTransform:
    return AffineTransform(MATRIX, FIXED, MOVING)


def waves(height: float = 6.0) -> DisplacementField:
    """Sine waves 800 px long, with nodes so close that they are smooth."""
    y, x = np.mgrid[0:3201:8.0, 0:4001:8.0]
    turn = 2 * math.pi / 800
    values = np.stack((height * np.sin(turn * (x + y)), height * np.cos(turn * (x - y))), axis=-1)
    return DisplacementField(values, (0, 0), (8, 8), FIXED)


class Squared(Transform):
    """A kind of transform that the package does not know: x -> x + x^2 / 100,000 and half of it."""

    @property
    def fixed(self) -> Frame:
        return FIXED

    @property
    def moving(self) -> Frame:
        return MOVING

    def inverse(self) -> Transform:
        raise NotImplementedError

    def _map(self, points: Points) -> Points:
        mapped: Points = (points + points**2 / 1e5) / 2
        return mapped


def between(box: Box, count: int = 4000) -> Points:
    return np.random.default_rng(3).uniform((box.x, box.y), (box.right, box.bottom), (count, 2))


def worst(first: Transform, second: Transform, box: Box = BOX) -> float:
    points = between(box)
    return float(np.hypot(*(first(points) - second(points)).T).max())


@pytest.mark.parametrize("spacing", [16.0, 40.0, 100.0])
def test_the_inverse_of_known_waves_is_as_near_as_is_said(spacing: float) -> None:
    forward = affine() @ waves()
    box = BACK
    backward, deviation = sampled(forward.inverse(), box, spacing)
    part, field = split(backward)
    assert field is not None
    assert_allclose(part.matrix, affine().inverse().matrix, atol=1e-12)
    found = worst(forward.inverse(), backward, box)
    assert found <= 1.05 * deviation + 1e-4
    # not a vague bound either; a sine that is drawn with straight lines is off by (2 pi / 800)^2 s^2 / 8 a px
    assert deviation <= 1.3 * found + 1e-4
    assert deviation <= 2.5 * 6 * math.sqrt(2) * (2 * math.pi / 800 * spacing / 0.99) ** 2 / 8 + 1e-3
    points = between(box)
    returned = forward(backward(points))
    assert np.hypot(*(returned - points).T).max() <= 1.1 * deviation + 1e-4
    assert folding_share(backward, box, spacing / 2) == 0


def test_coarser_nodes_are_further_off() -> None:
    inverse = (affine() @ waves()).inverse()
    near, far = (sampled(inverse, BACK, spacing).deviation_px for spacing in (20.0, 80.0))
    assert far > 8 * near


def test_the_other_sign_is_no_inverse() -> None:
    """Negative control: what the deviation would be had the field only changed its sign."""
    field = waves()
    wrong = DisplacementField(-field.values, field.origin, field.spacing, FIXED)
    assert worst(field.inverse(), wrong) > 0.3
    assert worst(field.inverse(), sampled(field.inverse(), BOX, 8).transform) < 0.04


def test_a_chain_of_fields_becomes_one() -> None:
    second = DisplacementField(np.full((2, 2, 2), (3.5, -2.0)), (0, 0), (50, 50), FIXED)
    chain = affine() @ waves() @ second
    found, deviation = sampled(chain, BOX, 16)
    assert worst(chain, found) <= 1.1 * deviation + 1e-4
    assert deviation < 0.05
    assert split(found)[0].matrix.tolist() == affine().matrix.tolist()


def test_an_affine_stays_as_it_is() -> None:
    transform = affine()
    found, deviation = sampled(transform, BOX, 10)
    assert found is transform
    assert deviation == 0


def test_a_field_alone_and_an_unknown_kind() -> None:
    field = waves()
    alone = sampled(field, BOX, 8)
    assert alone.deviation_px < 1e-4  # the nodes are the same
    assert split(alone.transform)[0].matrix.tolist() == np.eye(3).tolist()
    found, deviation = sampled(Squared(), BOX, 50)
    assert 0.001 < deviation < 0.02
    assert worst(Squared(), found) <= 1.1 * deviation
    field_part = split(found)[1]
    assert field_part is not None
    assert np.abs(field_part.values).max() < 15


def test_what_was_sampled_can_be_stored(tmp_path: Path) -> None:
    path = tmp_path / "transform.json"
    found, _ = sampled(affine() @ waves() @ waves(1.0), BOX, 32)
    save_transform(path, found, verdict="good", engine_version="0.1")
    points = between(BOX)
    assert load_transform(path)(points).tolist() == found(points).tolist()


def test_a_folding_field_says_so() -> None:
    values = np.zeros((60, 60, 2))
    values[::2, :, 1] = 120
    folded = affine() @ DisplacementField(values, (600, 400), (20, 20), FIXED)
    with pytest.raises(EngineError, match="folds"):
        sampled(folded.inverse(), Box(1500, 1200, 400, 400), 20)


@pytest.mark.parametrize(
    ("box", "spacing"),
    [(Box(0, 0, 0, 10), 5), (BOX, 0), (BOX, -2), (BOX, math.nan), (Box(0, 0, 100_000, 100_000), 4)],
)
def test_bad_grids_are_refused(box: Box, spacing: float) -> None:
    with pytest.raises(EngineError) as caught:
        sampled(affine() @ waves(), box, spacing)
    assert caught.value.code == "bad_grid"


def test_what_can_not_be_split_is_refused() -> None:
    second = waves(1.0)
    for transform in (affine() @ waves() @ second, waves().inverse(), Squared()):
        with pytest.raises(EngineError) as caught:
            split(transform)
        assert caught.value.code == "transform_not_storable"
