"""Cases that are drawn or bent here: phantoms, the random sweep, wrong pairs, large regions, lost fits."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace

from benchmarks import real
from benchmarks.case import OUT, Case, Truth, grid
from benchmarks.digests import digest
from registration.engine.geometry import Box, Size
from registration.engine.matrices import Matrix, scaling, shift, turn
from registration.engine.synthetic import (
    Defects,
    PhantomArrays,
    PhantomSpec,
    make_phantom,
    phantom_arrays,
    write_phantom_pair,
)
from registration.engine.synthetic import cases as swept
from registration.engine.synthetic.cases import Material
from registration.engine.transforms import AffineTransform
from registration.engine.transforms.io import load_transform
from registration.engine.transforms.sampled import split
from viewer.wsi import open_slide

#: No other part of the project draws these.
SWEEP_SEED, WRONG_SEED = 20261, 20262
PHANTOM_SIZE = 1536
DEMO_SIZE = 12288
MIDDLE = Box(512, 512, 1024, 1024)
#: Phantoms that a region is registered of.
LOOKS: Mapping[str, PhantomSpec] = {
    "upright": PhantomSpec(rotation=0),
    "turned": PhantomSpec(rotation=143),
    "mirrored": PhantomSpec(rotation=71, mirror=True),
    "scaled": PhantomSpec(rotation=-12, scale=1.4),
    "bent": PhantomSpec(rotation=8, field_px=12),
    "control tissue": PhantomSpec(rotation=25, control=True),
    "uneven stain": PhantomSpec(rotation=201, strength=(0.6, 0.7, 1.3), ihc_defects=Defects(stain_drift=0.4)),
    "torn and folded": PhantomSpec(rotation=55, ihc_defects=Defects(tears=2, folds=1)),
    "bubbles, pen, missing": PhantomSpec(rotation=310, ihc_defects=Defects(missing=2, bubbles=3, pen=1)),
    "consecutive": PhantomSpec(rotation=25, consecutive=True),
}
#: What is done to the truth before a registration starts from it, moving px about the region's middle.
SPOILT: Mapping[str, Matrix] = {
    "60 px off": shift(52, -30),
    "240 px off": shift(-190, 147),
    "900 px off": shift(700, 566),
    "turned by 4 degrees": turn(4.0),
    "turned by 30 degrees": turn(30.0),
    "mirrored": turn(0.0, mirrored=True),
    "a third too large": scaling(1.33),
}
#: Of phantoms that material is made of; every third shows consecutive sections.
PHANTOMS = tuple(f"phantom {number}" for number in range(6))


def phantom_names() -> tuple[str, ...]:
    return tuple(LOOKS)


def phantom_case(name: str) -> Case:
    """A region in the middle of a phantom, 1024 x 1024 px, measured in its undamaged tissue."""
    seed = 5100 + list(LOOKS).index(name)
    pair = make_phantom(replace(LOOKS[name], size=2048, seed=seed))
    return replace(of_phantom(pair, MIDDLE), same_section=not LOOKS[name].consecutive)


def of_phantom(pair: PhantomArrays, box: Box, noise: float = 0.0) -> Case:
    """Measured where both sections show undamaged tissue."""
    points = pair.points[
        ((pair.points > (box.x, box.y)) & (pair.points < (box.right, box.bottom))).all(axis=1)
    ]
    diagonal = Size(pair.ihc.width, pair.ihc.height).diagonal
    return Case(pair.he, pair.ihc, box, Truth(points, pair.truth(points), diagonal, noise))


def demo_case(name: str) -> Case:
    """name : the side of a square region in the middle of the demo pair's files, px, or "slides".

    A region starts from the truth without its field, as from a stored alignment: its memory is its own.
    """
    folder = OUT / f"phantom-{digest('registration/engine/synthetic/*.py')}"
    he, ihc, truth = (folder / file for file in ("phantom-he.tiff", "phantom-ihc.tiff", "truth.json"))
    if not truth.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_phantom_pair(folder, DEMO_SIZE)
    box = None
    if name != "slides":
        side = int(name)
        box = Box((DEMO_SIZE - side) // 2, (DEMO_SIZE - side) // 2, side, side)
    fixed, moving, known = open_slide(he), open_slide(ihc), load_transform(truth)
    points = grid(box or Size(fixed.width, fixed.height).box, 16.0 if box else DEMO_SIZE / 64)
    diagonal = Size(moving.width, moving.height).diagonal
    start = split(known)[0] if box else None
    return Case(fixed, moving, box, Truth(points, known(points), diagonal), start=start, same_section=True)


def sweep_names(count: int) -> tuple[str, ...]:
    """ "number: material": the phantoms and the real pairs in turn."""
    real_ones = [*real.real_material()]
    return tuple(f"{number:03}: {_nth(number, real_ones)}" for number in range(count))


def sweep_case(name: str) -> Case:
    number, _, of = name.partition(": ")
    case = swept.random_case((SWEEP_SEED, int(number)), material(of))
    return _adopted(case)


def wrong_names() -> tuple[str, ...]:
    """Every fixed image with every other specimen's moving one, and both pairs of halves of each."""
    of = [*real.real_material(), *real.fields(), *PHANTOMS[:2]]
    mixtures = [f"{one} | {other}" for one in of for other in of if _specimen(one) != _specimen(other)]
    return tuple(mixtures + [f"{one} | half {half}" for one in of for half in (0, 1)])


def wrong_case(name: str) -> Case:
    """Raises LookupError where the pair can't be cut into halves that have nothing in common."""
    one, _, other = name.partition(" | ")
    seed = WRONG_SEED + zlib.crc32(name.encode())
    if other.startswith("half"):
        halves = list(swept.wrong_cases([material(one)], seed))
        if not halves:
            raise LookupError("its halves are not the same halves on both slides")
        return _adopted(halves[int(other[-1])])
    pair = [material(one), material(other)]
    wanted = f"{pair[0].name} against {pair[1].name}"
    return _adopted(next(case for case in swept.wrong_cases(pair, seed) if case.name == wanted))


def material(name: str) -> Material:
    if name not in PHANTOMS:
        return real.material(name)
    number = PHANTOMS.index(name)
    pair = phantom_arrays(PHANTOM_SIZE, 5200 + number, rotation=0, field_px=0, consecutive=number % 3 == 2)
    return Material(name, name, pair.he, pair.ihc, pair.truth, same_section=number % 3 != 2)


def lost_names() -> tuple[str, ...]:
    """How the start is spoilt, and what it is the start of."""
    return tuple(f"{how}, {what}" for what in ("phantom", real.RESTAINED) for how in SPOILT)


def lost_case(name: str) -> Case:
    """A region whose registration starts from a spoilt truth."""
    how, _, what = name.partition(", ")
    if what == "phantom":
        pair = phantom_arrays(2048, 5300 + list(SPOILT).index(how), rotation=25.0)
        case = of_phantom(pair, MIDDLE)
    else:
        case = real.restained_case(name)
    assert case.truth is not None
    points, targets = case.truth.fixed, case.truth.moving
    truth = swept.from_landmarks("lost", "lost", case.fixed, case.moving, (points, targets)).moving_from_fixed
    x, y = targets.mean(axis=0)
    spoilt = shift(x, y) @ SPOILT[how] @ shift(-x, -y)
    start = AffineTransform(spoilt, truth.moving, truth.moving) @ truth
    return replace(case, start=start)


def _adopted(case: swept.Case) -> Case:
    truth = None if case.targets is None else Truth(case.points, case.targets, case.diagonal)
    same = None if truth is None else case.same_section
    return Case(case.fixed, case.moving, None, truth, case.overlap, same_section=same, label=case.name)


def _nth(number: int, real_ones: list[str]) -> str:
    """Phantoms and real pairs take turns."""
    if number % 2 == 0 or not real_ones:
        return PHANTOMS[number // 2 % len(PHANTOMS)]
    return real_ones[number // 2 % len(real_ones)]


def _specimen(name: str) -> str:
    return name.partition(":")[0]
