"""What counts as evidence that two slides match, and what one direction's slip does to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from registration.engine.affine import EVIDENCE, AffineFit, Rules, settled
from registration.engine.blockmatch import (
    Agreement,
    Blocks,
    exact_agreement,
    match_structure,
    spare_agreement,
)
from registration.engine.config import preset
from registration.engine.constraints import NO_CONSTRAINTS, checked_landmarks
from registration.engine.guided import Guided
from registration.engine.matrices import Matrix, between_scales, corners_apart, shift
from registration.engine.overviews import Levels, read_levels
from registration.engine.quality import SLIDE_Z_NEEDED, SLIDE_Z_SURE, SlideEvidence, judge_slides
from registration.engine.result import Level
from registration.engine.slidefit import _Both, _one_slipped, _Search, _shown
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
    full = search.fixed.full, search.moving.full
    slipped = _weak(right.fit, right.fit.matrix @ shift(60, 40), 2.0)
    both = _Both(slipped, back)
    assert _one_slipped(*full, both)
    mended = _shown(search, swapped, both)
    assert mended.shown
    assert mended.back is back
    assert corners_apart(mended.there.fit.matrix, right.fit.matrix, full[0].shape) < 8
    other_way = _shown(swapped, search, _Both(back, slipped))
    assert other_way.shown
    assert other_way.there is back
    # What agrees is left alone, and so is what has as much evidence elsewhere, or where neither is sure.
    assert not _one_slipped(*full, _Both(right, back))
    assert not _one_slipped(*full, _Both(slipped, _weak(back.fit, back.fit.matrix, SLIDE_Z_SURE - 1)))
    elsewhere = _Both(_weak(right.fit, slipped.fit.matrix, 99.0), _weak(back.fit, back.fit.matrix, 98.0))
    assert _shown(search, swapped, elsewhere) is elsewhere


def test_landmarks_are_chosen_at_the_place_that_is_kept(searches: tuple[_Search, _Search]) -> None:
    """One true, and one at the place from which the answer slipped: more than 5 % of the diagonal away."""
    search, swapped = searches
    back = _answer(swapped, np.eye(3))
    fixed = np.array([(400.0, 420.0), (200.0, 250.0)])
    moving = fixed + np.array([(0.0, 0.0), (90.0, 70.0)])
    marks = checked_landmarks(fixed * 0.8, moving * 0.8)
    guided = replace(search, landmarks=marks)
    slipped = replace(_weak(back.fit, np.asarray(shift(90, 70)), 2.0), used=np.array([False, True]))
    kept = _shown(guided, replace(swapped, landmarks=marks.swapped), _Both(slipped, back))
    assert kept.there.used.tolist() == [True, False]


def test_other_tissue_is_not_let_in_by_showing_it_a_place(searches: tuple[_Search, _Search]) -> None:
    """Even where one direction claims to be sure: the other one finds no evidence of its own there."""
    search, _ = searches
    other = read_levels(phantom_arrays(640, seed=12, rotation=0, field_px=4, um_per_px=2.0).ihc, 0.8)
    there, back = _search(search.fixed, other), _search(other, search.fixed)
    own = _answer(there, np.eye(3))
    both = _Both(
        own, replace(own, fit=replace(own.fit, judged=Agreement(0.9, 20.0, 90), matrix=shift(60, 40)))
    )
    assert _shown(there, back, both) is both


def test_what_only_one_direction_found_is_never_good() -> None:
    evidence = SlideEvidence(30.0, 0.9, 90, 0.001)
    assert judge_slides(evidence).level is Level.GOOD
    shown = judge_slides(replace(evidence, shown=True))
    assert shown.level is Level.CHECK
    assert [reason.code for reason in shown.reasons] == ["found_one_way"]


@pytest.mark.parametrize(("count", "code"), [(10, "no_texture"), (11, "not_the_same_tissue")])
def test_too_few_blocks_to_tell_are_not_called_other_tissue(count: int, code: str) -> None:
    best = spare_agreement(_blocks(count, count), EVIDENCE, 6.0).z
    assert (best >= SLIDE_Z_NEEDED) is (code == "not_the_same_tissue")
    refused = judge_slides(SlideEvidence(4.9, 0.9, count, 0.0))
    assert [reason.code for reason in refused.reasons] == [code]


def test_the_evidence_is_that_of_the_clearer_half_of_the_blocks(searches: tuple[_Search, _Search]) -> None:
    """Of two slides whose right halves show other tissue, most of what is kept lies on the left."""
    search, _ = searches
    fixed, moving = search.fixed.half, search.moving.half
    matrix = between_scales(_answer(search, np.eye(3)).fit.matrix, 0.5, 0.5)
    middle = moving.shape[1] // 2
    feature = moving.feature.copy()
    feature[:, middle:] = feature[::-1, middle:]
    blocks = match_structure(fixed, replace(moving, feature=feature), matrix, EVIDENCE)
    assert (blocks.centres[:, 0] < middle).mean() > 0.7
    assert np.median(np.hypot(*blocks.shifts.T)) < 6
