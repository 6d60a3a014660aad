"""The walk in docs/api.md, word for word: its script runs against a real server and a real worker."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from PIL import Image
from rest_framework.authtoken.models import Token

from registration.models import Archive, Registration
from tests.processes import ManagedProcess
from viewer.wsi import open_slide

if TYPE_CHECKING:
    from registration.engine.synthetic import Phantom

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "api.md"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The Python block of the document, as a file."""
    (block,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    path = tmp_path / "align.py"
    path.write_text(block)
    return path


def _walk(script: Path, url: str, user: User, *arguments: object) -> subprocess.CompletedProcess[str]:
    token = Token.objects.get_or_create(user=user)[0].key
    return subprocess.run(
        [sys.executable, script.name, *map(str, arguments)],
        cwd=script.parent,
        env=os.environ | {"SLIDEPAIR_URL": url, "SLIDEPAIR_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
def test_the_walk(
    script: Path, worker: ManagedProcess, user: User, live_server: Any, settings: Any, phantom_pair: Phantom
) -> None:
    settings.SLIDE_ROOTS = [phantom_pair.he.parent.resolve()]
    walked = _walk(script, live_server.url, user, phantom_pair.he, phantom_pair.ihc, 200, 200, 256)
    assert walked.returncode == 0, walked.stderr + worker.text()
    assert walked.stdout.split()[0] in {"good", "check"}
    with zipfile.ZipFile(script.parent / "pairs.zip") as archive:
        assert archive.testzip() is None
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open("manifest.csv"))))
        assert 0 < len(rows) <= 16
        for row in rows:
            he, ihc = (_picture(archive, f"{stain}/{row['stem']}.png") for stain in ("he", "ihc"))
            assert he.shape == ihc.shape == (256, 256, 3)
        assert _same_as_slide(phantom_pair.he, _picture(archive, f"he/{rows[0]['stem']}.png"), rows[0])
    for patch_size in (128, 256):
        again = _walk(script, live_server.url, user, phantom_pair.he, phantom_pair.ihc, 200, 200, patch_size)
        assert again.returncode == 0, again.stderr
        assert _patch_shape(script.parent / "pairs.zip") == (patch_size, patch_size, 3)
    assert (Registration.objects.count(), Archive.objects.count()) == (1, 2)


def _patch_shape(pairs: Path) -> Any:
    with zipfile.ZipFile(pairs) as archive:
        return _picture(archive, next(name for name in archive.namelist() if name.startswith("ihc/"))).shape


def _picture(archive: zipfile.ZipFile, name: str) -> Any:
    return np.asarray(Image.open(archive.open(name)))


def _same_as_slide(slide: Path, patch: Any, row: dict[str, str]) -> bool:
    """The H&E patch is the slide's own pixels at the place that the manifest names."""
    with open_slide(slide) as reader:
        pixels, _ = reader.read(float(row["fixed_x"]), float(row["fixed_y"]), 256, 256, 1.0)
    return bool(np.array_equal(patch, pixels))


def test_a_walk_to_nowhere_ends_with_a_reason(
    script: Path, user: User, live_server: Any, settings: Any, phantom_pair: Phantom
) -> None:
    settings.SLIDE_ROOTS = []
    walked = _walk(script, live_server.url, user, phantom_pair.he, phantom_pair.ihc, 200, 200, 256)
    assert walked.returncode == 1
    assert json.loads(walked.stderr)["code"] == "no_slide_roots"
