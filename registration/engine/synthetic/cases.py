"""Pairs of slides with a known answer: a random sweep, and pairs that must be refused.

A case is made from material: two images of the same tissue whose transform is known. Each of the two is shown
cut, turned, mirrored, scaled, bent, filled up and stained otherwise; what that does to the truth is known.
"""

from registration.engine.synthetic.material import Case, Material, from_landmarks, same_image
from registration.engine.synthetic.phantoms import phantom_material
from registration.engine.synthetic.sweep import random_case, random_cases
from registration.engine.synthetic.wrong import wrong_cases

__all__ = [
    "Case",
    "Material",
    "from_landmarks",
    "phantom_material",
    "random_case",
    "random_cases",
    "same_image",
    "wrong_cases",
]
