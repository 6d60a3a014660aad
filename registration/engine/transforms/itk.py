"""Transforms as ITK and SimpleITK read them: affine.tfm, and field.mha where there is a field.

ITK's physical points lie at pixel centres: with an origin of (0, 0) the first pixel's centre is at 0, which
is 0.5 in our corner-based px. So p_itk = (p - 0.5) * unit, where the unit is 1 ("px") or the slide's um/px
("um"). ITK, too, maps fixed points to moving ones, and applies the last transform of a composite first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from registration.engine.errors import EngineError
from registration.engine.geometry import Box, Frame, Size
from registration.engine.transforms import metaimage
from registration.engine.transforms.affine import AffineTransform
from registration.engine.transforms.base import Transform
from registration.engine.transforms.displacement import DisplacementField
from registration.engine.transforms.parsing import LARGEST_FIELD_NODES, LARGEST_NUMBER
from registration.engine.transforms.sampled import split

Unit = Literal["px", "um"]
AFFINE_NAME, FIELD_NAME = "affine.tfm", "field.mha"

_TITLE = "#Insight Transform File V1.0"
_KINDS = tuple(
    f"{kind}_{number}_2_2"
    for kind in ("AffineTransform", "MatrixOffsetTransformBase")
    for number in ("double", "float")
)
_LARGEST_TEXT = 100_000
Matrix = NDArray[np.float64]


def itk_files(transform: Transform, unit: Unit = "px") -> dict[str, bytes]:
    """File names and contents: affine.tfm, and field.mha where there is a field.

    transform : an affine, or an affine after one field (see `split`). The field is carried on, constant, to
    the fixed slide's edges, for ITK takes it as 0 beyond its nodes (`covered` says how far).
    Raises EngineError: transform_not_storable, um_unknown.
    """
    affine, field = split(transform)
    fixed, moving = _scale(transform.fixed, unit), _scale(transform.moving, unit)
    files = {AFFINE_NAME: _tfm(_physical(moving) @ affine.matrix @ np.linalg.inv(_physical(fixed)), unit)}
    if field is not None:
        wide = carried_on(field, transform.fixed.size)
        origin = (np.array(wide.origin) - 0.5) * fixed
        values = (wide.values * fixed).astype(np.float32)
        spacing = np.array(wide.spacing) * fixed
        written = metaimage.MetaField(values, _tuple(origin), _tuple(spacing))
        comment = f"Displacement in {unit}, moving_from_fixed, before the affine in {AFFINE_NAME}"
        files[FIELD_NAME] = metaimage.encode(written, comment)
    return files


def read_itk(
    affine: Path | None, field: Path | None, fixed: Frame, moving: Frame, unit: Unit = "px"
) -> Transform:
    """The transform in an affine .tfm (AffineTransform_double_2_2) and/or a displacement field .mha.

    Without an affine the field goes from frame to frame as it is (x -> x + field(x)). Beyond its nodes the
    field's edge value holds, where ITK has 0. Raises EngineError: transform_unreadable, transform_malformed,
    field_unreadable, bad_affine, um_unknown.
    """
    fixed_scale, moving_scale = _scale(fixed, unit), _scale(moving, unit)
    matrix = np.eye(3) if affine is None else _read_tfm(affine)
    inner = np.linalg.inv(_physical(moving_scale)) @ matrix @ _physical(fixed_scale)
    inner[2] = (0, 0, 1)
    found = AffineTransform(inner, fixed, moving)
    if field is None:
        return found
    read = metaimage.decode(field)
    origin = np.array(read.origin) / fixed_scale + 0.5
    spacing = np.array(read.spacing) / fixed_scale
    return found @ DisplacementField(read.values / fixed_scale, _tuple(origin), _tuple(spacing), fixed)


def carried_on(field: DisplacementField, size: Size) -> DisplacementField:
    """The same field with more nodes of its edge's value, so that ITK, too, has it on the whole slide.

    As it is where that would be more nodes than can be stored.
    """
    spacing, counts = np.array(field.spacing), np.array(field.values.shape[1::-1])
    first = np.array(field.origin)
    last = first + spacing * (counts - 1)
    # ITK takes half a step beyond the outermost nodes as theirs.
    before = np.maximum(0, np.ceil(first / spacing - 0.5))
    after = np.maximum(0, np.ceil(((size.width, size.height) - last) / spacing - 0.5))
    columns, rows = (counts + before + after).tolist()
    if not columns * rows <= LARGEST_FIELD_NODES:
        return field
    x, y = (tuple(map(int, pad)) for pad in zip(before, after, strict=True))
    values = np.pad(field.values, (y, x, (0, 0)), mode="edge")
    return DisplacementField(values, _tuple(first - spacing * before), field.spacing, field.fixed)


def covered(field: DisplacementField) -> Box:
    """The part of the slide that the field's nodes cover, whole px inwards; the whole slide if it is none.

    There ITK's field equals ours even without the added nodes of `carried_on`.
    """
    whole, half = field.fixed.size.box, np.array(field.spacing) / 2
    first = np.clip(np.array(field.origin) - half, 0, (whole.right, whole.bottom))
    length = np.array(field.spacing) * field.values.shape[1::-1]
    last = np.clip(np.array(field.origin) - half + length, 0, (whole.right, whole.bottom))
    (x, y), (right, bottom) = np.ceil(first).astype(int).tolist(), np.floor(last).astype(int).tolist()
    return Box(x, y, right - x, bottom - y) if right > x and bottom > y else whole


def _physical(scale: Matrix) -> Matrix:
    """(3, 3): ITK's physical coordinates from corner-based px."""
    return np.array([(scale[0], 0, -0.5 * scale[0]), (0, scale[1], -0.5 * scale[1]), (0, 0, 1.0)])


def _scale(frame: Frame, unit: Unit) -> Matrix:
    if unit == "px":
        return np.ones(2)
    if frame.um_per_px is None:
        raise EngineError(
            "um_unknown", f"The {frame.name} slide's um/px is not known; use px as the unit.", field="unit"
        )
    return np.array(frame.um_per_px)


def _tfm(matrix: Matrix, unit: Unit) -> bytes:
    numbers = [*matrix[:2, :2].ravel().tolist(), *matrix[:2, 2].tolist()]
    lines = (
        _TITLE,
        f"#moving_from_fixed, {unit}, pixel centres at whole numbers",
        "#Transform 0",
        f"Transform: {_KINDS[0]}",
        f"Parameters: {' '.join(map(repr, numbers))}",
        "FixedParameters: 0 0",
    )
    return ("\n".join(lines) + "\n").encode("ascii")


def _read_tfm(path: Path) -> Matrix:
    """(3, 3), physical; y = M (x - c) + c + t as ITK defines it."""
    text = read_text(path, _LARGEST_TEXT)
    if not text.startswith("#Insight Transform File"):
        _unreadable(path, "it is no ITK transform in text form (.tfm or .txt)")
    lines = [line.partition(":") for line in text.splitlines() if line.strip() and line[0] != "#"]
    kinds = [value.strip() for key, _, value in lines if key == "Transform"]
    if len(kinds) != 1 or kinds[0] not in _KINDS:
        _unreadable(path, f"it must hold one {_KINDS[0]}; it holds {', '.join(kinds)[:200] or 'nothing'}")
    values = {key: value for key, _, value in lines}
    a, b, c, d, x, y = numbers(values.get("Parameters", ""), 6, path)
    centre = np.array(numbers(values.get("FixedParameters", "0 0"), 2, path))
    linear = np.array([(a, b), (c, d)])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, np.array((x, y)) + centre - linear @ centre
    return matrix


def read_text(path: Path, largest: int) -> str:
    """A small text file. Raises EngineError("transform_unreadable")."""
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        _unreadable(path, error.strerror or "it can't be opened")
    if len(content) > largest:
        _unreadable(path, f"it is larger than {largest} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        _unreadable(path, "it is no text")


def numbers(text: str, count: int, path: Path) -> list[float]:
    """Raises EngineError("transform_malformed") unless there are `count` finite numbers."""
    try:
        found = [float(word) for word in text.split()]
    except ValueError:
        found = []
    if len(found) != count or not all(abs(number) <= LARGEST_NUMBER for number in found):
        raise EngineError(
            "transform_malformed", f"{path.name} must hold {count} finite numbers up to {LARGEST_NUMBER:g}."
        )
    return found


def _tuple(pair: Matrix) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


def _unreadable(path: Path, why: str) -> NoReturn:
    raise EngineError("transform_unreadable", f"{path.name} can't be read as a transform: {why}.")
