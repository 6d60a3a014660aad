"""One user's complete set of rows with real files, and clients for four kinds of caller."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from PIL import Image
from rest_framework.authtoken.models import Token

from registration.models import Archive, JobStatus, PairAlignment, RegionOfInterest, Registration
from registration.scale import scale_of
from viewer import services
from viewer.models import Slide, SlidePair


class Api(Client):
    """Speaks JSON as `user`, by token; `user` None is nobody."""

    def __init__(self, user: User | None = None) -> None:
        headers = {"Authorization": f"Token {Token.objects.get_or_create(user=user)[0].key}"} if user else {}
        super().__init__(headers=headers)

    def send(self, method: str, path: str, body: Any) -> Any:
        return self.generic(method, path, json.dumps(body), content_type="application/json")


@pytest.fixture
def api(user: User) -> Api:
    return Api(user)


@pytest.fixture
def slide_root(tmp_path: Path, settings: Any) -> Path:
    """The one folder from which slides may be added by path."""
    root = tmp_path / "slides"
    root.mkdir()
    settings.SLIDE_ROOTS = [root]
    return root


@pytest.fixture
def image_slide(slide_root: Path) -> Callable[[str], Path]:
    """Writes a small plain image, different for each name, under the slide folder."""

    def write(name: str) -> Path:
        noise = np.random.default_rng(len(name) + sum(name.encode())).integers(
            0, 256, (512, 640, 3), np.uint8
        )
        Image.fromarray(noise).save(slide_root / name, compress_level=1)
        return slide_root / name

    return write


@dataclass(frozen=True)
class Rows:
    """What one user has: from two slides to an archive, everything finished."""

    fixed: Slide
    moving: Slide
    pair: SlidePair
    alignment: PairAlignment
    region: RegionOfInterest
    registration: Registration
    archive: Archive


@pytest.fixture
def rows(user: User, image_slide: Callable[[str], Path], redis_server: Any, settings: Any) -> Rows:
    fixed, moving = (
        services.add_slide(image_slide(f"{stain}.png"), user, stain=stain, um_per_px=(0.5, 0.5))
        for stain in ("he", "ihc")
    )
    pair = services.make_pair(fixed, moving, user)
    done = {"status": JobStatus.SUCCEEDED, "percent": 100, "verdict": "good"}
    alignment = PairAlignment.objects.update_or_create(
        pair=pair,
        version=1,
        defaults={**done, "owner": user, "affine": np.eye(3).tolist(), "scale": scale_of(pair)},
    )[0]
    region = RegionOfInterest.objects.create(pair=pair, owner=user, x=0, y=0, width=256, height=256)
    registration = Registration.objects.create(
        owner=user, region=region, alignment=alignment, method="accurate", config_hash="0" * 16,
        engine_version="0", metrics={"box": [0, 0, 256, 256]}, folder="registrations/test/1", **done,
    )  # fmt: skip
    archive = Archive.objects.create(
        owner=user, registration=registration, status=JobStatus.SUCCEEDED, file="archives/test/1/pairs.zip"
    )
    _write_files(Path(settings.DATA_DIR), registration.folder, archive.file)
    return Rows(fixed, moving, pair, alignment, region, registration, archive)


def _write_files(data: Path, folder: str, file: str) -> None:
    (data / folder).mkdir(parents=True, exist_ok=True)
    (data / folder / "transform.json").write_text("{}")
    (data / file).parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(data / file, "w") as archive:
        archive.writestr("he/x0_y0.png", b"pixels")
