"""docs/transforms.md: its stand-alone reader, taken from the page and run, agrees with ours."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from registration.engine.geometry import Frame, Size
from registration.engine.transforms import AffineTransform, DisplacementField, Transform, save_transform

PAGE = Path(__file__).parents[3] / "docs" / "transforms.md"
FIXED, MOVING = Frame("fixed", Size(4000, 3000), (0.25, 0.25)), Frame("moving", Size(5000, 6000), None)
AFFINE = AffineTransform([[0.8, -0.61, 300.5], [0.59, 0.83, -20.7], [0.0, 0.0, 1.0]], FIXED, MOVING)
READ = """
import sys
points = np.loadtxt(sys.argv[2])
np.savetxt(sys.argv[3], moving_from_fixed(sys.argv[1], points), fmt="%.17g")
"""


def bent(rows: int, columns: int) -> Transform:
    values = np.random.default_rng(rows).normal(0, 3, (rows, columns, 2))
    return AFFINE @ DisplacementField(values, (100.5, 90.0), (64.0, 80.0), FIXED)


@pytest.mark.parametrize("transform", [AFFINE, bent(7, 9), bent(1, 6), bent(1, 1)])
def test_the_snippet_on_the_page_maps_points_as_we_do(tmp_path: Path, transform: Transform) -> None:
    snippet = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)[0]
    assert "registration" not in snippet  # it must stand on its own
    assert len(snippet.strip().splitlines()) <= 20
    points = np.random.default_rng(1).uniform(-200, 1200, (300, 2))
    save_transform(tmp_path / "transform.json", transform, verdict="good", engine_version="0.1")
    np.savetxt(tmp_path / "points.txt", points, fmt="%.17g")
    (tmp_path / "reader.py").write_text(snippet + READ, encoding="utf-8")
    names = ("reader.py", "transform.json", "points.txt", "mapped.txt")
    subprocess.run([sys.executable, "-I", *names], cwd=tmp_path, check=True)
    assert_allclose(np.loadtxt(tmp_path / "mapped.txt"), transform(points), atol=1e-9)
