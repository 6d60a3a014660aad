"""A pair with a known transform, and the request that exports a region of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registration.archives import ExportRequest
from registration.artefacts import SlideInfo, run_record
from registration.engine.config import preset
from registration.engine.expected import ErrorMap
from registration.engine.geometry import Box
from registration.engine.result import (
    Level,
    Reason,
    RegistrationResult,
    Section,
    SectionKind,
    Spread,
    StageReport,
    Verdict,
)
from registration.engine.synthetic import ArraySource, PhantomArrays, phantom_arrays

BOX = Box(5, 7, 750, 740)  # odd on purpose; 128 px patches leave a rest on both sides
HOSTILE = "../../etc/pass wd\\..:\n"


@cache
def phantom() -> PhantomArrays:
    """Affine and field, both known; at the corners the IHC slide ends before the H&E does."""
    return phantom_arrays(size=768, rotation=14.0, field_px=4.0, scale=1.01)


def slide(stain: str, source: ArraySource, stem: str = "") -> SlideInfo:
    return SlideInfo(f"/slides/{stain}.tiff", stem or f"{stain}-1", stain, stain * 32, source)


def result(box: Box | None = BOX, level: Level = Level.GOOD) -> RegistrationResult:
    return RegistrationResult(
        transform=phantom().truth,
        verdict=Verdict(
            level, () if level is Level.GOOD else (Reason("wrong_pair", "Not the same tissue."),)
        ),
        error_px=Spread(0.5, 1.0),
        error_um=Spread(0.125, 0.25),
        box=box,
        config=preset("accurate"),
        engine_version="0.1",
        stages=(StageReport("coarse", 1.25), StageReport("level 0", 0.5, residual_px=0.75)),
        expected=None if box is None else error_map(),
        section=Section(SectionKind.SAME, 0.9, "Single cells."),
    )


def error_map() -> ErrorMap:
    """Squares of 128 px that do not begin where the region does; one column and row beyond it."""
    values = np.random.default_rng(5).uniform(2.0, 9.0, (7, 7)) * np.linspace(0.1, 1, 7)
    return ErrorMap(values.astype(np.float32), (-10.0, 0.0), 128.0)


def request(layout: str = "native", **changes: Any) -> ExportRequest:
    pair = phantom()
    he, ihc = slide("he", pair.he), slide("ihc", pair.ihc)
    record = run_record(result(), he, ihc)
    base = ExportRequest(he, ihc, pair.truth, BOX, 128, layout, record, expected=error_map())
    return replace(base, **changes)


def naive_warp(moving: NDArray[np.uint8], box: Box) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The moving pixels that belong to `box`, one bilinear look-up a pixel written out, and which exist.

    Returns (rows, cols, 3) float64 and (rows, cols) bool.
    """
    columns, rows = np.meshgrid(np.arange(box.width) + 0.5 + box.x, np.arange(box.height) + 0.5 + box.y)
    points = phantom().truth(np.stack((columns.ravel(), rows.ravel()), axis=1))
    height, width = moving.shape[:2]
    inside = ((points >= 0) & (points <= (width, height))).all(axis=1)
    index = points - 0.5
    low = np.floor(index).astype(int)
    right, below = (index - low).T[..., None]
    image = moving.astype(np.float64)

    def at(dx: int, dy: int) -> Any:
        return image[np.clip(low[:, 1] + dy, 0, height - 1), np.clip(low[:, 0] + dx, 0, width - 1)]

    values = (at(0, 0) * (1 - right) + at(1, 0) * right) * (1 - below)
    values += (at(0, 1) * (1 - right) + at(1, 1) * right) * below
    return values.reshape(box.height, box.width, 3), inside.reshape(box.height, box.width)
