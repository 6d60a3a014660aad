"""Tissue-like slide pairs with a known transform, for tests, benchmarks and the demo."""

from registration.engine.synthetic.phantom import Phantom, PhantomArrays, phantom_arrays, write_phantom_pair
from registration.engine.synthetic.source import ArraySource

__all__ = ["ArraySource", "Phantom", "PhantomArrays", "phantom_arrays", "write_phantom_pair"]
