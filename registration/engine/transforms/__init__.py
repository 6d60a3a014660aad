"""Transforms between the level-0 frames of two slides."""

from registration.engine.transforms.affine import AffineTransform
from registration.engine.transforms.base import Composite, FrameMismatch, Transform
from registration.engine.transforms.displacement import DisplacementField
from registration.engine.transforms.io import load_transform, save_transform

__all__ = [
    "AffineTransform",
    "Composite",
    "DisplacementField",
    "FrameMismatch",
    "Transform",
    "load_transform",
    "save_transform",
]
