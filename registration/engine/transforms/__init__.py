"""Transforms between the level-0 frames of two slides."""

from registration.engine.transforms.affine import AffineTransform
from registration.engine.transforms.base import Composite, FrameMismatch, Transform
from registration.engine.transforms.displacement import DisplacementField
from registration.engine.transforms.io import load_transform, save_transform
from registration.engine.transforms.sampled import Sampled, sampled, split

__all__ = [
    "AffineTransform",
    "Composite",
    "DisplacementField",
    "FrameMismatch",
    "Sampled",
    "Transform",
    "load_transform",
    "sampled",
    "save_transform",
    "split",
]
