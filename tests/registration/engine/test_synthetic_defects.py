"""Damaged phantoms: the truth must hold wherever a point is said to be comparable."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from registration.engine.counterstain import Counterstain, hematoxylin_beside
from registration.engine.evaluation.field import folding_share
from registration.engine.geometry import Box, Points
from registration.engine.resample import warp_region
from registration.engine.synthetic import Defects, PhantomArrays, PhantomSpec, make_phantom, phantom_arrays

SIZE = 768
#: Small for a slide of 0.19 mm.
HARM = Defects(
    tears=1, tear_um=6, folds=1, fold_um=4, missing=1, missing_um=14,
    bubbles=1, bubble_um=15, pen=1, pen_um=6, stain_drift=0.2,
)  # fmt: skip


@pytest.fixture(scope="module")
def harmed() -> PhantomArrays:
    return make_phantom(PhantomSpec(SIZE, 5, rotation=10, ihc_defects=HARM))


def test_a_clean_spec_is_the_clean_pair() -> None:
    clean, plain = make_phantom(PhantomSpec(256, 4, rotation=10)), phantom_arrays(256, 4, rotation=10)
    assert clean.ihc.rgb.tobytes() == plain.ihc.rgb.tobytes()
    again = make_phantom(PhantomSpec(256, 4, rotation=10, ihc_defects=HARM))
    assert again.ihc.rgb.tobytes() != plain.ihc.rgb.tobytes()
    assert (
        make_phantom(PhantomSpec(256, 4, rotation=10, ihc_defects=HARM)).ihc.rgb.tobytes()
        == again.ihc.rgb.tobytes()
    )


def test_damage_moves_tissue_without_folding_it(harmed: PhantomArrays) -> None:
    clean = make_phantom(PhantomSpec(SIZE, 5, rotation=10))
    moved = np.linalg.norm(harmed.truth(clean.points) - clean.truth(clean.points), axis=1)
    assert 4 < moved.max() < 40
    assert folding_share(harmed.truth, Box(0, 0, SIZE, SIZE), 4) == 0
    assert_allclose(harmed.truth.inverse()(harmed.truth(clean.points)), clean.points, atol=1e-4)


def test_comparable_points_leave_out_what_is_not_there(harmed: PhantomArrays) -> None:
    clean = make_phantom(PhantomSpec(SIZE, 5, rotation=10))
    assert 0.5 * len(clean.points) < len(harmed.points) < len(clean.points)
    column, row = np.floor(harmed.truth(harmed.points)).astype(int).T
    lightest = harmed.ihc.rgb[row, column].min(axis=-1)
    assert (lightest > 232).mean() < 0.05


@pytest.mark.parametrize("side", ["he", "ihc"])
def test_the_truth_holds_beside_the_damage(side: str) -> None:
    """Nuclei around comparable points lie on each other under the truth, and less so 3 px beside it."""
    spec = (
        PhantomSpec(SIZE, 5, rotation=10, he_defects=HARM)
        if side == "he"
        else PhantomSpec(SIZE, 5, rotation=10, ihc_defects=HARM)
    )
    pair = make_phantom(spec)
    pulled, _ = warp_region(pair.ihc, pair.truth, Box(0, 0, SIZE, SIZE))
    ours, theirs = (
        hematoxylin_beside(rgb, Counterstain.UNKNOWN).astype(float) for rgb in (pair.he.rgb, pulled)
    )
    at, beside = (_likeness(ours, np.roll(theirs, px, axis=(0, 1)), pair.points) for px in (0, 3))
    assert at > 0.5
    assert at > beside + 0.1


def test_control_tissue_lies_beside_the_section() -> None:
    pair = make_phantom(PhantomSpec(400, 5, rotation=0, field_px=0, shift=(0, 0), control=True))
    plain = phantom_arrays(400, 5, rotation=0, field_px=0)
    assert pair.ihc.width == 400 + 180
    assert pair.truth.moving.size == pair.ihc.size
    beside = pair.ihc.rgb[:, 430:]
    assert (beside.min(axis=-1) < 200).mean() > 0.05
    points = plain.points
    assert_allclose(pair.truth(points), plain.truth(points), atol=1e-9)


def test_the_next_section_keeps_its_structures_in_place() -> None:
    same, consecutive = (
        phantom_arrays(SIZE, 5, rotation=0),
        phantom_arrays(SIZE, 5, rotation=0, consecutive=True),
    )
    glass = [pair.ihc.rgb.min(axis=-1) > 225 for pair in (same, consecutive)]
    assert (glass[0] != glass[1]).mean() < 0.05
    assert np.abs(same.ihc.rgb.astype(int) - consecutive.ihc.rgb).mean() > 4


def test_stains_of_another_strength() -> None:
    plain, strong = (make_phantom(PhantomSpec(256, 5, strength=(s, s, s))).ihc.rgb for s in (1.0, 1.6))
    assert strong.mean() < plain.mean() - 2


def _likeness(one: np.ndarray, other: np.ndarray, points: Points) -> float:
    column, row = np.clip(points, 4, SIZE - 5).astype(int).T
    windows = [
        np.stack([image[row + dy, column + dx] for dy in range(-3, 4) for dx in range(-3, 4)])
        for image in (one, other)
    ]
    return float(np.corrcoef(windows[0].ravel(), windows[1].ravel())[0, 1])
