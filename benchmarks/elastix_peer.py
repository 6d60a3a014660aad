"""elastix, tuned, in a process of its own: where OpenCV is imported first, itk does not work.

    python benchmarks/elastix_peer.py FIXED.npy MOVING.npy OUT.npz

Runs in the environment of scripts/setup-benchmark, which holds itk-elastix and nothing of this project.
Images: (rows, columns) uint8, grey. OUT: `field`, (rows, columns, 2) float32, xy px from fixed to moving at
each fixed px's centre; `seconds`, of the registration alone; `peak_mb`, of this process.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import itk  # before anything that could bring OpenCV along
import numpy as np

RIGID_LEVELS, AFFINE_LEVELS, SPLINE_LEVELS = 6, 5, 4
GRID_PX = 64
BENDING = 20
SEED = 121212


def main(fixed_path: str, moving_path: str, out_path: str) -> None:
    fixed, moving = (_image(path) for path in (fixed_path, moving_path))
    started = time.perf_counter()
    _, parameters = itk.elastix_registration_method(
        fixed, moving, parameter_object=_settings(), log_to_console=False
    )
    seconds = time.perf_counter() - started
    field = itk.array_view_from_image(itk.transformix_deformation_field(moving, parameters))
    np.savez(out_path, field=np.asarray(field[..., :2], np.float32), seconds=seconds, peak_mb=_peak_mb())


def _image(path: str) -> Any:
    """Inverted, so that the tissue is bright and what lies outside the image is empty glass."""
    return itk.image_view_from_array((255 - np.load(path)).astype(np.float32))


def _settings() -> Any:
    settings = itk.ParameterObject.New()
    rigid = settings.GetDefaultParameterMap("rigid", RIGID_LEVELS)
    rigid["AutomaticTransformInitialization"] = ["true"]
    rigid["AutomaticTransformInitializationMethod"] = ["CenterOfGravity"]
    affine = settings.GetDefaultParameterMap("affine", AFFINE_LEVELS)
    spline = settings.GetDefaultParameterMap("bspline", SPLINE_LEVELS, GRID_PX)
    spline["Metric1Weight"] = [str(BENDING)]
    for stage in (rigid, affine, spline):
        stage["RandomSeed"] = [str(SEED)]
        stage["WriteResultImage"] = ["false"]
        settings.AddParameterMap(stage)
    return settings


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
