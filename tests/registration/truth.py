"""How far a stored transform is from the known truth of the restained pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.registration.commands import run


def errors(transform: Path, restained: Path, scratch: Path) -> NDArray[np.float64]:
    """Distances (level-0 px) at the points of truth.csv, mapped by the command transform_points."""
    truth = np.loadtxt(restained / "truth.csv", delimiter=",", skiprows=1)
    points, mapped = scratch / "points.csv", scratch / "mapped.csv"
    np.savetxt(points, truth[:, :2], delimiter=",", header="x,y", comments="")
    done = run("transform_points", transform, points, "--out", mapped, environment={})
    assert done.returncode == 0, done.stderr
    found = np.loadtxt(mapped, delimiter=",", skiprows=1)
    distances: NDArray[np.float64] = np.hypot(*(found - truth[:, 2:]).T)
    return distances
