"""The same input gives the same bytes: twice, in another process, with one thread or two."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from registration.engine.config import config_hash, preset
from registration.engine.config.slides import SlideConfig
from registration.engine.geometry import Box
from registration.engine.pipeline import align_slides, register
from registration.engine.result import RegistrationResult
from registration.engine.synthetic import phantom_arrays

QUICK = replace(preset("accurate"), slides=SlideConfig(overview_px=320))
BOX = Box(96, 96, 256, 224)
ROOT = Path(__file__).resolve().parents[3]


def run() -> str:
    """The digest of an alignment and of a region registered on it."""
    pair = phantom_arrays(416, 3, rotation=31)
    slides = align_slides(pair.he, pair.ihc, QUICK)
    region = register(pair.he, pair.ihc, BOX, QUICK, initial=slides.transform)
    assert not slides.refused
    assert not region.refused
    return digest(slides) + digest(region)


def digest(result: RegistrationResult) -> str:
    points = np.random.default_rng(1).uniform(0, 416, (400, 2))
    expected = result.expected.p90.tobytes() if result.expected is not None else b""
    parts = (
        result.transform(points).tobytes(),
        expected,
        repr(sorted(result.evidence.items())).encode(),
        repr((result.verdict, result.error_px, result.error_um, result.section)).encode(),
        repr([(stage.name, stage.residual_px) for stage in result.stages]).encode(),
        config_hash(result.config).encode(),
    )
    return hashlib.sha256(b"|".join(parts)).hexdigest()[:16]


@pytest.fixture(scope="module")
def wanted() -> str:
    return run()


@contextmanager
def opencv_threads(count: int) -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize("threads", [1, 2])
def test_opencv_s_threads_change_nothing(wanted: str, threads: int) -> None:
    with opencv_threads(threads):
        assert run() == wanted


def test_the_engine_s_own_threads_change_nothing(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pools with one worker each."""

    class Single(ThreadPoolExecutor):
        def __init__(self, *_: Any, **__: Any) -> None:
            super().__init__(max_workers=1)

    changed = 0
    for name, module in list(sys.modules.items()):
        if name.startswith("registration.engine") and hasattr(module, "ThreadPoolExecutor"):
            monkeypatch.setattr(module, "ThreadPoolExecutor", Single)
            changed += 1
    assert changed > 2
    assert run() == wanted


def test_what_ran_before_changes_nothing(wanted: str) -> None:
    cv2.setRNGSeed(12345)
    np.random.seed(99)  # noqa: NPY002 - nobody may draw from it
    other = phantom_arrays(300, 8, rotation=100, um_per_px=None)
    align_slides(other.he, other.ihc, QUICK)
    assert run() == wanted


def test_another_process_gives_the_same_bytes(wanted: str) -> None:
    """With other hashes, so that no order of a set or dict matters."""
    code = "from tests.registration.engine.test_determinism import run; print(run())"
    environment = {**os.environ, "PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == wanted, done.stderr


def test_every_setting_changes_the_hash_that_is_stored() -> None:
    slides = replace(QUICK, slides=replace(QUICK.slides, step_degrees=9))
    level_zero = replace(QUICK, level_zero=replace(QUICK.level_zero, bending=0.05))
    midscale = replace(QUICK, midscale=replace(QUICK.midscale, bending=0.2))
    hashes = [config_hash(each) for each in (QUICK, slides, level_zero, midscale, replace(QUICK, seed=1))]
    assert len(set(hashes)) == len(hashes)
    assert config_hash(replace(QUICK)) == hashes[0]
