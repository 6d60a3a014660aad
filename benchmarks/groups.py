"""Every group of cases, and the methods that are measured on it."""

from __future__ import annotations

from benchmarks import coverage, made, real
from benchmarks.case import DATA, Group
from benchmarks.methods import IDENTITY
from registration.engine.config import METHODS

#: The engine's own, without the peer that is among them.
OURS = tuple(name for name in METHODS if name != "roialign")
PEERS = (IDENTITY, "roialign", "sift", "elastix")
SWEEP = 204


def groups(sweep: int = SWEEP) -> list[Group]:
    """In the order in which they are measured; those whose data are not there are left out, with a line."""
    every = _all(sweep)
    for group in every:
        if group.needs and not (DATA / group.needs).is_dir():
            print(f"{group.name} is left out: there is no {DATA / group.needs} (set SLIDEPAIR_TEST_DATA).")
    return [group for group in every if not group.needs or (DATA / group.needs).is_dir()]


def _all(sweep: int) -> list[Group]:
    return [*_consecutive(), *_regions(), *_many(sweep), *_large()]


def _consecutive() -> list[Group]:
    pairs = real.landmark_pairs()
    return [
        Group(
            "landmarks",
            "Landmarks on consecutive sections, whole slides",
            "consecutive",
            pairs,
            real.landmark_case,
            _each(*PEERS, *OURS),
            needs=real.LANDMARKS,
        ),
        Group(
            "unknown-scale",
            "The same, um/px not stated",
            "consecutive",
            tuple(f"{pair} | {real.UNKNOWN_SCALE}" for pair in pairs),
            real.landmark_case,
            _each(IDENTITY, "accurate"),
            needs=real.LANDMARKS,
        ),
        Group(
            "turned",
            "The same landmarks, turned by odd angles and mirrored",
            "consecutive",
            real.turned_pairs(),
            real.turned_case,
            _each(*PEERS, "accurate") | dict.fromkeys(("roialign", "elastix", *OURS[1:]), 2),
            needs=real.LANDMARKS,
        ),
    ]


def _regions() -> list[Group]:
    on_regions = _each(IDENTITY, "roialign", "sift", "elastix", *OURS)
    return [
        Group(
            "restained",
            "One section stained twice, region of 512 x 3072 px at level 0",
            "region",
            tuple(f"run {number}" for number in (1, 2, 3)),
            real.restained_case,
            on_regions | {"elastix": 3},
            needs=real.RESTAINED,
        ),
        Group(
            "warped",
            "The same region, the IHC bent by known warps of 10 and 30 px",
            "region",
            real.warped_names((10, 30), 3),
            real.warped_case,
            on_regions | {"elastix": 3},
            needs=real.RESTAINED,
        ),
        Group(
            "phantoms",
            "Phantoms, regions of 1024 x 1024 px at level 0",
            "region",
            made.phantom_names(),
            made.phantom_case,
            on_regions | {"elastix": 5, "sift": 2, "roialign": 2},
        ),
        Group(
            "demo",
            "Demo slides, region of 4096 x 4096 px at level 0",
            "region",
            ("4096",),
            made.demo_case,
            _each("roialign", *OURS),
            quick=0,
        ),
    ]


# The steps of the sweep share no factor with its twelve kinds of material, which come in turn.
def _many(sweep: int) -> list[Group]:
    return [
        Group(
            "sweep",
            "Random sweep: turns, mirrors, crops, scales, stains, fillings, bends; phantoms and real pairs",
            "sweep",
            made.sweep_names(sweep),
            made.sweep_case,
            {IDENTITY: 13, "sift": 5, "roialign": 35, "elastix": 17, "fast": 5, "accurate": 1},
            alone=False,
            quick=6,
        ),
        Group(
            "wrong",
            "Wrong pairs: mixtures of other specimens, and disjoint halves of one slide",
            "wrong",
            made.wrong_names(),
            made.wrong_case,
            {"accurate": 1},
            alone=False,
            quick=4,
        ),
        Group(
            "expected",
            "The stated p90 on fresh phantoms and known warps",
            "expected",
            coverage.names(),
            coverage.case,
            {"accurate": 1},
            alone=False,
            quick=3,
        ),
        Group(
            "lost",
            "Deliberately lost: the region's registration starts from a spoilt transform",
            "lost",
            made.lost_names(),
            made.lost_case,
            {"accurate": 1},
            alone=False,
        ),
    ]


def _large() -> list[Group]:
    return [
        Group(
            "large",
            "A region of 8192 x 8192 px",
            "large",
            ("8192",),
            made.demo_case,
            _each(*OURS),
            quick=0,
        ),
        Group(
            "slides",
            "Whole slides of 12288 x 12288 px (stages A to D)",
            "large",
            ("slides",),
            made.demo_case,
            _each(*OURS),
            quick=0,
        ),
    ]


def _each(*methods: str) -> dict[str, int]:
    return dict.fromkeys(methods, 1)
