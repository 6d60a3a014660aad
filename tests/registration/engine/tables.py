"""Tables of points beside the real slides."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from registration.engine.geometry import Points


def table(path: Path) -> Points:
    """The numbers below the heading of a csv file, a row each."""
    with path.open(newline="") as file:
        return np.array([[float(value) for value in row] for row in list(csv.reader(file))[1:]])
