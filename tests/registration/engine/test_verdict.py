"""The verdict: every reason from evidence, in words that name the next step; same section or consecutive."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from registration.engine.config import preset
from registration.engine.geometry import Box
from registration.engine.pipeline import register
from registration.engine.quality import (
    RegionEvidence,
    SlideEvidence,
    in_um,
    judge_region,
    judge_slides,
    spread,
)
from registration.engine.result import Level, RegistrationResult, Section, SectionKind, Spread, Verdict
from registration.engine.sections import detect_section, disagreement, section_of, spots
from registration.engine.synthetic import ArraySource, PhantomArrays, phantom_arrays
from registration.engine.transforms import AffineTransform, Composite

ACCURATE = preset("accurate")
SLIDES = SlideEvidence(z=20.0, share=0.8, blocks=90, inconsistency=0.001)
REGION = RegionEvidence(
    tissue=0.8, overlap=0.9, z=30.0, agreeing=0.9, windows=900, error_px=Spread(0.4, 1.2), stiffened=False
)


def _codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


@pytest.mark.parametrize(
    ("evidence", "level", "codes"),
    [
        (SLIDES, Level.GOOD, []),
        (replace(SLIDES, z=5.8, share=0.2), Level.CHECK, ["thin_evidence"]),
        (replace(SLIDES, z=2.0, share=0.1), Level.REFUSED, ["not_the_same_tissue"]),
        (replace(SLIDES, z=0.0, share=0.0, blocks=0), Level.REFUSED, ["no_texture"]),
        (replace(SLIDES, inconsistency=0.03), Level.REFUSED, ["not_reproducible"]),
        (
            replace(SLIDES, z=1.0, inconsistency=0.4),
            Level.REFUSED,
            ["not_the_same_tissue", "not_reproducible"],
        ),
    ],
)
def test_slides(evidence: SlideEvidence, level: Level, codes: list[str]) -> None:
    verdict = judge_slides(evidence)
    assert (verdict.level, _codes(verdict)) == (level, codes)
    _assert_plain(verdict)


@pytest.mark.parametrize(
    ("evidence", "level", "codes"),
    [
        (REGION, Level.GOOD, []),
        (replace(REGION, tissue=0.01), Level.REFUSED, ["blank_region"]),
        (replace(REGION, agreeing=0.1, overlap=0.1), Level.REFUSED, ["no_overlap"]),
        (replace(REGION, agreeing=0.1, z=4.0), Level.REFUSED, ["no_agreement"]),
        (replace(REGION, agreeing=0.1), Level.CHECK, ["region_level_accuracy"]),
        (replace(REGION, agreeing=0.5), Level.CHECK, ["few_windows_agree"]),
        (replace(REGION, lost=0.3), Level.CHECK, ["lost_in_places"]),
        (replace(REGION, error_px=Spread(2.0, 7.0)), Level.CHECK, ["large_error"]),
        (replace(REGION, stiffened=True), Level.CHECK, ["kept_from_folding"]),
        (
            replace(REGION, agreeing=0.5, stiffened=True),
            Level.CHECK,
            ["few_windows_agree", "kept_from_folding"],
        ),
    ],
)
def test_regions(evidence: RegionEvidence, level: Level, codes: list[str]) -> None:
    verdict = judge_region(evidence, None, 0.25)
    assert (verdict.level, _codes(verdict)) == (level, codes)
    _assert_plain(verdict)


def test_a_region_on_slides_that_are_refused_is_never_good() -> None:
    refused = judge_slides(replace(SLIDES, z=2.0))
    verdict = judge_region(REGION, refused, 0.25)
    assert (verdict.level, _codes(verdict)) == (Level.CHECK, ["only_the_region_agrees"])
    without_cells = judge_region(replace(REGION, agreeing=0.1), refused, 0.25)
    assert without_cells == refused
    for few in ({"too_thin": True}, {"overlap": 0.3}):
        assert judge_region(replace(REGION, **few), refused, 0.25) == refused
        assert judge_region(replace(REGION, **few), None, 0.25).level is not Level.REFUSED
    blank = judge_region(replace(REGION, tissue=0.01), refused, 0.25)
    assert _codes(blank) == ["not_the_same_tissue", "blank_region"]
    elsewhere = judge_region(replace(REGION, lost=0.6, z=2.0), None, 0.25)
    assert (elsewhere.level, _codes(elsewhere)) == (Level.REFUSED, ["no_agreement"])


def test_glass_without_tissue_is_refused_however_well_its_dust_agrees() -> None:
    sure = SlideEvidence(30.0, 0.9, 90, 0.001, tissue_fixed=0.3, tissue_moving=0.3)
    assert judge_slides(sure).level is Level.GOOD
    for which, evidence in (
        ("fixed", replace(sure, tissue_fixed=0.0005)),
        ("moving", replace(sure, tissue_moving=0.0005)),
    ):
        verdict = judge_slides(evidence)
        assert (verdict.level, _codes(verdict)) == (Level.REFUSED, ["blank_slide"])
        assert which in verdict.reasons[0].message


def test_without_um_no_error_is_stated_where_cells_do_not_match() -> None:
    """What structures say of errors was calibrated in um."""
    pair = phantom_arrays(1024, seed=8, rotation=25, consecutive=True)
    he, ihc = (ArraySource(source.rgb, None) for source in (pair.he, pair.ihc))
    result = register(he, ihc, Box(256, 256, 512, 512), preset("accurate"), initial=pair.truth)
    assert result.expected is None
    assert result.error_px is None
    assert _codes(result.verdict) == ["region_level_accuracy", "error_needs_um"]


def test_the_limit_is_in_um_where_they_are_known_and_in_px_elsewhere() -> None:
    evidence = replace(REGION, error_px=Spread(1.0, 3.0))
    assert judge_region(evidence, None, 0.25).level is Level.GOOD
    assert _codes(judge_region(evidence, None, 0.5)) == ["large_error"]
    assert judge_region(evidence, None, None).level is Level.GOOD


def _assert_plain(verdict: Verdict) -> None:
    """A sentence that says what to do; no jargon."""
    for reason in verdict.reasons:
        assert reason.message.endswith(".")
        assert any(
            word in reason.message
            for word in ("Check", "heck", "Choose", "ompare", "Leave", "ook at", "set ", "Use", "use ")
        )
        assert not any(word in reason.message for word in ("z-score", "NCC", "residual", "sigma", "p90"))


def test_spreads() -> None:
    assert spread(np.empty(0)) is None
    found = spread(np.arange(101.0))
    assert found is not None
    assert (found.median, found.p90) == pytest.approx((50, 90), abs=1)
    weighted = spread(np.array([1.0, 9.0]), np.array([9.0, 1.0]))
    assert weighted is not None
    assert weighted.median < 5
    assert in_um(found, None) is None
    assert in_um(Spread(2.0, 4.0), (0.5, 0.5)) == Spread(1.0, 2.0)


BOX = Box(256, 256, 512, 512)


@pytest.fixture(scope="module")
def pair() -> PhantomArrays:
    return phantom_arrays(1024, seed=41, rotation=14, field_px=4)


def _start(pair: PhantomArrays) -> AffineTransform:
    assert isinstance(pair.truth, Composite)
    affine = pair.truth.parts[0]
    assert isinstance(affine, AffineTransform)
    return affine


def _registered(pair: PhantomArrays, moving: ArraySource) -> RegistrationResult:
    return register(pair.he, moving, BOX, ACCURATE, initial=_start(pair))


def test_a_good_region_states_an_error_that_holds(pair: PhantomArrays) -> None:
    result = _registered(pair, pair.ihc)
    assert result.verdict.level is Level.GOOD
    assert result.expected is not None
    assert result.error_px is not None
    xs = np.arange(272.0, 768, 32)
    points = np.stack(np.meshgrid(xs, xs), axis=-1).reshape(-1, 2)
    true = np.linalg.norm(result.transform(points) - pair.truth(points), axis=1)
    assert 0.3 < result.error_px.p90 / np.percentile(true, 90) < 3.5
    rigid = register(pair.he, pair.ihc, BOX, preset("rigid"), initial=_start(pair))
    assert rigid.expected is not None
    assert rigid.expected.over(BOX) > result.expected.over(BOX)


def test_where_the_tissue_was_lost_the_map_says_so(pair: PhantomArrays) -> None:
    """Half of the moving image shows other tissue: the cells there match nothing."""
    other = phantom_arrays(1024, seed=41, rotation=14, field_px=4, unrelated=True)
    rgb = pair.ihc.rgb.copy()
    rgb[:, 512:] = other.ihc.rgb[:, 512:]
    result = _registered(pair, ArraySource(rgb, pair.ihc.um_per_px))
    assert result.verdict.level is Level.CHECK
    assert {"lost_in_places", "few_windows_agree"} & set(_codes(result.verdict))
    assert result.expected is not None
    on_left = result.expected.over(Box(280, 400, 96, 256))
    on_right = result.expected.over(Box(680, 400, 80, 256))
    assert on_left < 6
    assert on_right >= 50


def test_glass_instead_of_the_other_section_is_no_overlap(pair: PhantomArrays) -> None:
    rgb = np.full_like(pair.ihc.rgb, 243)
    rgb[:64] = pair.ihc.rgb[:64]
    result = _registered(pair, ArraySource(rgb, pair.ihc.um_per_px))
    assert result.refused
    assert _codes(result.verdict) == ["no_overlap"]
    assert result.expected is not None
    assert np.isfinite(result.expected.p90[result.expected.measured]).all()
    assert result.expected.over(BOX) >= 50


@pytest.mark.parametrize("consecutive", [False, True])
def test_same_and_consecutive_sections_are_told_apart(consecutive: bool) -> None:
    pair = phantom_arrays(1024, seed=43, rotation=14, consecutive=consecutive)
    found = detect_section(pair.he, pair.ihc, _start(pair), 8.0, ACCURATE)
    assert found.kind is (SectionKind.CONSECUTIVE if consecutive else SectionKind.SAME)
    assert found.share is not None
    assert (found.share < 0.5) is consecutive
    assert ("single cells match" in found.message) is not consecutive


def test_coarse_slides_say_nothing_of_cells(pair: PhantomArrays) -> None:
    coarse = [ArraySource(source.rgb, (4.0, 4.0)) for source in (pair.he, pair.ihc)]
    found = detect_section(coarse[0], coarse[1], _start(pair), 1.0, ACCURATE)
    assert (found.kind, found.share) == (SectionKind.UNKNOWN, None)
    assert "4.0 um" in found.message


def test_blank_slides_have_no_spots(pair: PhantomArrays) -> None:
    blank = ArraySource(np.full((600, 500, 3), 244, np.uint8), (0.25, 0.25))
    assert spots(blank, pair.ihc, _start(pair)) == []
    assert detect_section(blank, pair.ihc, _start(pair), 8.0, ACCURATE).kind is SectionKind.UNKNOWN


@pytest.mark.parametrize(
    ("shares", "known", "kind"),
    [
        ([0.9, 0.95, 0.1], True, SectionKind.SAME),
        ([0.2, 0.1], True, SectionKind.CONSECUTIVE),
        ([0.55], True, SectionKind.UNKNOWN),
        ([0.1], False, SectionKind.UNKNOWN),
        ([], True, SectionKind.UNKNOWN),
    ],
)
def test_the_best_spots_decide(shares: list[float], known: bool, kind: SectionKind) -> None:
    assert section_of(shares, known).kind is kind


def test_disagreement_with_what_was_declared() -> None:
    same = section_of([0.9, 0.95], scale_known=True)
    other = section_of([0.1], scale_known=True, region_um=35.0)
    assert "35 um" in other.message
    assert disagreement(same, SectionKind.SAME) is None
    assert disagreement(Section(SectionKind.UNKNOWN, None, ""), SectionKind.SAME) is None
    assert disagreement(same, SectionKind.UNKNOWN) is None
    against = disagreement(other, SectionKind.SAME)
    assert against is not None
    assert "do not match" in against
    against = disagreement(same, SectionKind.CONSECUTIVE)
    assert against is not None
    assert "one section stained twice" in against
