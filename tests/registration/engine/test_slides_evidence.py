"""What counts as evidence that two slides match, and what one direction's slip does to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from registration.engine.affine import EVIDENCE, AffineFit, Rules, settled
from registration.engine.blockmatch import Agreement, Blocks, exact_agreement, spare_agreement
from registration.engine.config import preset
from registration.engine.constraints import NO_CONSTRAINTS
from registration.engine.guided import Guided
from registration.engine.matrices import Matrix, corners_apart, shift
from registration.engine.overviews import Levels, read_levels
from registration.engine.quality import SLIDE_Z_NEEDED, SLIDE_Z_SURE
from registration.engine.slidefit import _reconciled, _Search
from registration.engine.synthetic import phantom_arrays


def _blocks(hits: int, count: int) -> Blocks:
    shifts = np.where(np.arange(count)[:, None] < hits, 1.0, 20.0) * np.ones((count, 2))
    return Blocks(np.zeros((count, 2)), shifts, np.ones(count))


@pytest.mark.parametrize(("hits", "count", "enough"), [(9, 15, False), (14, 64, False), (14, 15, True)])
def test_what_an_affine_can_always_meet_is_no_evidence(hits: int, count: int, enough: bool) -> None:
    """The first two are wrong pairs, of which few or many blocks can be compared."""
    blocks = _blocks(hits, count)
    assert exact_agreement(blocks, EVIDENCE, 6.0).z > 5.9
    assert (spare_agreement(blocks, EVIDENCE, 6.0).z > SLIDE_Z_NEEDED) is enough


def test_agreement_is_never_below_none() -> None:
    for hits, count in ((0, 0), (0, 5), (5, 5), (0, 200)):
        found = spare_agreement(_blocks(hits, count), EVIDENCE, 6.0)
        assert (found.z, found.blocks) == (0.0, count)
    assert spare_agreement(_blocks(5, 10), EVIDENCE, 6.0).share == 0.5


@pytest.fixture(scope="module")
def searches() -> tuple[_Search, _Search]:
    pair = phantom_arrays(640, seed=11, rotation=0, field_px=4, um_per_px=2.0)
    fixed, moving = (read_levels(source, 0.8) for source in (pair.he, pair.ihc))
    return _search(fixed, moving), _search(moving, fixed)


def _search(fixed: Levels, moving: Levels) -> _Search:
    return _Search(fixed, moving, NO_CONSTRAINTS.landmarks, True, preset("accurate").slides)


def _answer(search: _Search, matrix: Matrix) -> Guided:
    return Guided(settled(search.fixed, search.moving, matrix, Rules()), np.zeros(0, np.bool_))


def _weak(fit: AffineFit, matrix: Matrix, z: float) -> Guided:
    return Guided(replace(fit, matrix=matrix, judged=Agreement(0.1, z, 90)), np.zeros(0, np.bool_))


def test_one_direction_s_slip_is_mended_where_the_other_one_is_sure(
    searches: tuple[_Search, _Search],
) -> None:
    search, swapped = searches
    right, back = _answer(search, np.eye(3)), _answer(swapped, np.eye(3))
    assert min(right.fit.judged.z, back.fit.judged.z) > SLIDE_Z_SURE
    shape = search.fixed.full.shape
    slipped = _weak(right.fit, right.fit.matrix @ shift(60, 40), 2.0)
    there, kept = _reconciled(search, slipped, swapped, back)
    assert kept is back.fit
    assert corners_apart(there.matrix, right.fit.matrix, shape) < 8
    other, _ = _reconciled(swapped, back, search, slipped)
    assert other is back.fit
    # What agrees is left alone, and so is what has as much evidence elsewhere, or where neither is sure.
    assert _reconciled(search, right, swapped, back) == (right.fit, back.fit)
    elsewhere = _weak(right.fit, slipped.fit.matrix, 99.0)
    assert _reconciled(search, elsewhere, swapped, back)[0] is elsewhere.fit
    unsure = _weak(back.fit, back.fit.matrix, SLIDE_Z_SURE - 1)
    assert _reconciled(search, slipped, swapped, unsure)[0] is slipped.fit
