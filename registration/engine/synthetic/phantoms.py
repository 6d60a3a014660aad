"""Phantoms as material for cases: small and quick to draw."""

from __future__ import annotations

from registration.engine.synthetic.material import Material
from registration.engine.synthetic.specimen import phantom_arrays


def phantom_material(seed: int, count: int, size: int = 1536) -> list[Material]:
    """`count` specimens, size x size px, 0.25 um/px, H&E and IHC; every third shows consecutive sections."""
    return [_phantom(seed * 1000 + number, size, consecutive=number % 3 == 2) for number in range(count)]


def _phantom(seed: int, size: int, *, consecutive: bool) -> Material:
    pair = phantom_arrays(size, seed, rotation=0, field_px=0, consecutive=consecutive)
    name = f"phantom {seed}{' consecutive' * consecutive}"
    return Material(name, f"phantom {seed}", pair.he, pair.ihc, pair.truth, same_section=not consecutive)
