"""Tissue-like slide pairs with a known transform, for tests, benchmarks and the demo."""

from registration.engine.synthetic.defects import Defects
from registration.engine.synthetic.phantom import Phantom, write_phantom_pair
from registration.engine.synthetic.source import ArraySource
from registration.engine.synthetic.specimen import PhantomArrays, PhantomSpec, make_phantom, phantom_arrays

__all__ = [
    "ArraySource",
    "Defects",
    "Phantom",
    "PhantomArrays",
    "PhantomSpec",
    "make_phantom",
    "phantom_arrays",
    "write_phantom_pair",
]
