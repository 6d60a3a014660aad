"""A pair's alignment on the disk, and the way back to a transform between its slides."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from registration.engine.errors import EngineError
from registration.engine.geometry import Frame
from registration.engine.inputs import frame
from registration.engine.result import RegistrationResult
from registration.engine.source import PixelSource
from registration.engine.transforms import (
    AffineTransform,
    DisplacementField,
    Transform,
    load_transform,
    save_transform,
)
from registration.engine.transforms.sampled import sampled, split
from registration.export.files import new_folder
from registration.models import Frame as Stain
from registration.models import PairAlignment


def write_alignment(folder: Path, result: RegistrationResult) -> None:
    """transform.json, and field.npz where there is a field; the folder appears complete or not at all."""
    with new_folder(folder) as place:
        save_transform(
            place / "transform.json",
            result.transform,
            verdict=result.verdict.level.value,
            engine_version=result.engine_version,
        )


def alignment_transform(
    alignment: PairAlignment, grid: str, fixed: PixelSource, moving: PixelSource
) -> Transform:
    """From the slide that carries the patch grid (fixed) to the other one, as an affine or affine @ field.

    The frames are the slides' own: the stored ones may carry rounded or former um/px.
    Raises EngineError("alignment_files_gone"): without its field an alignment would be another one.
    """
    here, there = frame("fixed", fixed), frame("moving", moving)
    if grid == Stain.HE:
        return _between(alignment, here, there)
    forward = _between(alignment, there, here)
    affine, field = split(forward)
    if field is None:
        return affine.inverse()
    spacing = min(field.spacing) * affine.scale / 2  # finer than the field's own: the inverse bends elsewhere
    return sampled(forward.inverse(), here.size.box, spacing).transform


def _between(alignment: PairAlignment, he: Frame, ihc: Frame) -> Transform:
    affine, field = _parts(alignment, he, ihc)
    own = AffineTransform(affine.matrix, he, ihc)
    if field is None:
        return own
    return own @ DisplacementField(field.values, field.origin, field.spacing, he)


def _parts(
    alignment: PairAlignment, he: Frame, ihc: Frame
) -> tuple[AffineTransform, DisplacementField | None]:
    """The row's affine is all there is where no files were ever written."""
    if not alignment.folder:
        return AffineTransform(alignment.affine or (), he, ihc), None
    try:
        return _read(alignment)
    except EngineError as error:
        raise EngineError(
            "alignment_files_gone",
            f"The files of version {alignment.version} of the alignment are gone or damaged. Try again: "
            "the two slides are then aligned anew, and the region is registered after that.",
        ) from error


def is_lost(alignment: PairAlignment) -> bool:
    """Whether files were written and can no longer be read."""
    try:
        return bool(alignment.folder) and _read(alignment) is None
    except EngineError:
        return True


def _read(alignment: PairAlignment) -> tuple[AffineTransform, DisplacementField | None]:
    return split(load_transform(Path(settings.DATA_DIR) / alignment.folder / "transform.json"))
