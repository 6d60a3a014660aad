"""Fresh regions on which the error map is held against the truth: none of them was used to calibrate it.

True errors are to span 0.2 to 20 px: phantoms of one section and of two, bent by little and by much, sharp
and blurred, whole and damaged, and the real section under known warps.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks import real
from benchmarks.case import DATA, Case
from benchmarks.made import of_phantom
from registration.engine.geometry import Box
from registration.engine.synthetic import ArraySource, Defects, PhantomSpec, make_phantom
from registration.engine.synthetic.warped import WarpedSource, developed, frame_of, smooth_field

#: The calibration draws from other seeds; see calibrate.py.
FIRST_SEED = 770_000
PHANTOMS, WARPS = 24, 8
SIZE, BOX = 2048, Box(384, 384, 1280, 1280)
#: Smaller ones say nothing: the truth of real pairs is no better.
SMALLEST_ERROR = 0.2
SHIFTS = (4.0, 10.0, 20.0, 40.0)


def names() -> tuple[str, ...]:
    warps = WARPS if (DATA / real.RESTAINED).is_dir() else 0
    return tuple([f"phantom {n}" for n in range(PHANTOMS)] + [f"warp {n}" for n in range(warps)])


def case(name: str) -> Case:
    kind, _, number = name.partition(" ")
    return _phantom(int(number)) if kind == "phantom" else _warp(int(number))


def _phantom(number: int) -> Case:
    """Every third shows consecutive sections, every fifth is damaged; the IHC is bent by a known field."""
    seed = FIRST_SEED + number
    rng = np.random.default_rng(seed)
    harmed = (
        Defects(tears=1, folds=1, missing=2, bubbles=2, stain_drift=0.3) if number % 5 == 1 else Defects()
    )
    spec = PhantomSpec(
        SIZE,
        seed,
        rotation=float(rng.uniform(0, 360)),
        field_px=0,
        consecutive=number % 3 == 2,
        ihc_defects=harmed,
    )
    pair = make_phantom(spec)
    largest = SHIFTS[number % len(SHIFTS)]
    bent = smooth_field(
        frame_of(pair.ihc, "moving"), seed, largest, max(160.0, largest * rng.uniform(12, 24))
    )
    shown = developed(
        WarpedSource(pair.ihc, bent),
        blur=float(rng.choice((0, 0, 1.2))),
        noise=float(rng.choice((0, 3, 8))),
        jpeg=int(rng.choice((50, 80))),
        seed=seed,
    )
    moving = ArraySource(shown.rgb, pair.ihc.um_per_px)
    seen = of_phantom(replace(pair, ihc=moving, truth=bent.inverse() @ pair.truth), BOX, SMALLEST_ERROR)
    return replace(seen, same_section=not spec.consecutive)


def _warp(number: int) -> Case:
    return real.bent_restained(SHIFTS[number % len(SHIFTS)], FIRST_SEED + 500 + number)
