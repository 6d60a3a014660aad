"""Slides of any resolution and small ones, the stains a slide carries, and settings that can't be run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from registration.engine.config import METHODS, RegistrationConfig, config_hash, preset
from registration.engine.config.levelzero import CostPass, LevelZeroConfig
from registration.engine.counterstain import Counterstain, counterstain, hematoxylin_beside
from registration.engine.errors import EngineError
from registration.engine.geometry import Box, Size
from registration.engine.inputs import frame
from registration.engine.matrices import shift
from registration.engine.pipeline import register
from registration.engine.result import Level
from registration.engine.synthetic import ArraySource, phantom_arrays
from registration.engine.transforms import AffineTransform
from registration.engine.transforms.sampled import split
from registration.engine.workingscale import WorkingScale, fit_box

CONFIG = LevelZeroConfig()


def _slide(um: float | None, side: int = 4096) -> ArraySource:
    """Only its size and scale are looked at."""
    rgb = np.broadcast_to(np.uint8(255), (side, side, 3))
    return ArraySource(rgb, None if um is None else (um, um))


@pytest.mark.parametrize(
    ("um", "downsample", "passes", "finest"),
    [(0.25, 1, 6, 1), (None, 1, 6, 1), (0.5, 1, 5, 1), (0.12, 2, 6, 1), (0.17, 2, 6, 1), (2.0, 1, 1, 1)],
)
def test_passes_are_halvings_of_the_slide_and_never_finer_than_it(
    um: float | None, downsample: int, passes: int, finest: int
) -> None:
    scale = WorkingScale.of(_slide(um), CONFIG)
    steps = scale.steps(CONFIG)
    assert scale.downsample == downsample
    assert (len(steps), steps[-1].downsample) == (passes, finest)
    for step, wanted in zip(steps, CONFIG.passes, strict=False):
        assert step.downsample * scale.um == pytest.approx(wanted.um_per_px, rel=0.42)


def test_a_coarse_slide_shows_no_cells_but_still_has_a_step() -> None:
    scale = WorkingScale.of(_slide(8.0), CONFIG)
    assert not scale.shows_cells(CONFIG)
    assert len(scale.steps(CONFIG)) == 1
    assert scale.spacing(CONFIG) >= 2 * scale.steps(CONFIG)[-1].cell_px


@pytest.mark.parametrize("um", [0.12, 0.25, 0.5, 2.0])
def test_the_box_of_the_fit_holds_the_region_on_a_lattice_of_the_slide(um: float) -> None:
    slide = Size(4096, 3000)
    scale = WorkingScale.of(_slide(um), CONFIG)
    unit = scale.spacing(CONFIG) * scale.downsample
    rng = np.random.default_rng(3)
    for _ in range(50):
        x, y = (int(rng.integers(0, side - 64)) for side in (slide.width, slide.height))
        box = Box(
            x, y, int(rng.integers(64, slide.width - x + 1)), int(rng.integers(64, slide.height - y + 1))
        )
        fit = fit_box(box, slide, scale, CONFIG)
        assert fit.inside(slide)
        assert fit.intersection(box) == box
        assert fit.x % unit == fit.y % unit == 0
        assert fit.right % unit == 0 or fit.right == slide.width
        assert fit.width >= min(CONFIG.context_um / scale.um * scale.downsample - unit, slide.width)


@pytest.mark.parametrize("weak", [1.0, 0.6])
def test_each_slide_s_own_stains_are_told(weak: float) -> None:
    pair = phantom_arrays(640, strength=(weak, weak, weak))
    assert counterstain(pair.he) is Counterstain.EOSIN
    assert counterstain(pair.ihc) is Counterstain.DAB
    assert counterstain(ArraySource(np.full((500, 500, 3), 240, np.uint8))) is Counterstain.UNKNOWN


@pytest.mark.data
def test_real_slides_stains_are_told(data_dir: Path) -> None:
    folder = data_dir / "landmarks" / "lung-lesion-3"
    for name, expected in (("He", "eosin"), ("Ki67", "dab"), ("proSPC", "dab")):
        read = cv2.imread(str(folder / f"{name}.jpg"))
        assert read is not None
        rgb: NDArray[np.uint8] = np.ascontiguousarray(read[..., ::-1], np.uint8)
        assert counterstain(ArraySource(rgb, (8.0, 8.0))) == expected


def test_the_other_stain_does_not_show_among_the_nuclei() -> None:
    """Pure eosin and pure DAB leave nothing; with the other slide's stains they would."""
    eosin = np.rint(255 * 10 ** -(0.8 * np.array((0.072, 0.990, 0.105))))
    dab = np.rint(255 * 10 ** -(0.8 * np.array((0.268, 0.570, 0.776))))
    for colour, own, other in (
        (eosin, Counterstain.EOSIN, Counterstain.DAB),
        (dab, Counterstain.DAB, Counterstain.EOSIN),
    ):
        rgb = np.broadcast_to(colour.astype(np.uint8), (4, 4, 3))
        assert hematoxylin_beside(rgb, own).max() <= 3
        assert hematoxylin_beside(rgb, other).max() > 10 or own is Counterstain.EOSIN


def test_methods_differ_in_their_hash_and_only_in_known_ways() -> None:
    assert list(METHODS) == ["accurate", "fast", "rigid", "roialign"]
    hashes = {config_hash(preset(name)) for name in METHODS}
    assert len(hashes) == len(METHODS)
    assert config_hash(preset("accurate")) == config_hash(preset("accurate"))
    changed = replace(preset("accurate"), level_zero=replace(CONFIG, bending=0.2))
    assert config_hash(changed) not in hashes
    assert preset("fast").level_zero.finest_um == 0.5


@pytest.mark.parametrize(
    "change",
    [
        {"node_um": 0},
        {"bending": -1.0},
        {"robust_px": float("nan")},
        {"context_um": float("inf")},
        {"passes": ()},
        {"passes": (CostPass(1.0, 6, 4, 2.0),)},
        {"passes": (CostPass(1.0, 8, 0, 2.0),)},
        {"check": CostPass(1.0, 4, 8, 0.0)},
    ],
)
def test_settings_that_can_t_be_run_are_named(change: dict[str, object]) -> None:
    with pytest.raises(EngineError) as caught:
        replace(CONFIG, **change)  # type: ignore[arg-type]
    assert caught.value.code == "bad_config"


def test_an_unknown_model_or_method_is_named() -> None:
    with pytest.raises(EngineError) as caught:
        RegistrationConfig(method="mine", model="magic")
    assert caught.value.code == "bad_config"
    with pytest.raises(EngineError) as caught:
        preset("magic")
    assert caught.value.code == "unknown_method"


@pytest.mark.parametrize("side", [64, 128, 256])
def test_small_regions_are_judged_by_what_they_show(side: int) -> None:
    """Of a slide no larger than that, too: then there is nothing around the region to learn from."""
    pair = phantom_arrays(384, 3, rotation=20)
    part = ArraySource(np.ascontiguousarray(pair.he.rgb[64 : 64 + side, 64 : 64 + side]), (0.25, 0.25))
    exact = split(pair.truth)[0]
    points = np.random.default_rng(0).uniform(64, 64 + side, (50, 2))
    for fixed, corner in ((pair.he, 64), (part, 0)):
        moved = exact.matrix @ shift(64 - corner, 64 - corner)
        initial = AffineTransform(moved, frame("fixed", fixed), exact.moving)
        for method in ("accurate", "rigid", "fast"):
            box = Box(corner, corner, side, side)
            result = register(fixed, pair.ihc, box, preset(method), initial=initial)
            off = np.linalg.norm(result.transform(points - 64 + corner) - pair.truth(points), axis=1)
            codes = [reason.code for reason in result.verdict.reasons]
            assert result.verdict.level is Level.REFUSED or np.median(off) < 4
            few = result.evidence["region_windows"] < 48 and method != "rigid"
            assert not few or "rigid_only" in codes or result.verdict.level is Level.REFUSED
