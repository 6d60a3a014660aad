"""Rows to work on; the slides behind them are not opened by the tests that use these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from registration.models import JobStatus, PairAlignment, RegionOfInterest, Registration
from registration.scale import scale_of
from viewer.models import Slide, SlidePair, SlideStatus, Stain

MATRIX = [[1.0, 0.0, 100.0], [0.0, 1.0, 50.0], [0.0, 0.0, 1.0]]


@pytest.fixture
def pair(user: User) -> SlidePair:
    """H&E 20000 x 16000 px of 0.25 µm, IHC 10000 x 9000 px of 0.5 µm."""
    he = _slide(user, Stain.HE, 20000, 16000, 0.25)
    ihc = _slide(user, Stain.IHC, 10000, 9000, 0.5)
    return SlidePair.objects.create(owner=user, name="pair", fixed=he, moving=ihc)


def _slide(owner: User, stain: str, width: int, height: int, mpp: float) -> Slide:
    return Slide.objects.create(
        owner=owner,
        path=f"/nowhere/{stain}.tiff",
        name=f"{stain}.tiff",
        fingerprint=stain * 20,
        stain=stain,
        status=SlideStatus.READY,
        width=width,
        height=height,
        mpp_x=mpp,
        mpp_y=mpp,
    )


@pytest.fixture
def region(pair: SlidePair) -> RegionOfInterest:
    return RegionOfInterest.objects.create(
        pair=pair, owner=pair.owner, x=1000, y=2000, width=1024, height=2048
    )


@pytest.fixture
def alignment(pair: SlidePair) -> PairAlignment:
    """Version 1, succeeded, with the um/px it was made with."""
    done: dict[str, Any] = {"status": JobStatus.SUCCEEDED, "verdict": "good", "affine": MATRIX}
    return PairAlignment.objects.create(pair=pair, owner=pair.owner, version=1, scale=scale_of(pair), **done)


@pytest.fixture
def queued(region: RegionOfInterest, alignment: PairAlignment) -> Registration:
    return new_registration(region, alignment)


def new_registration(region: RegionOfInterest, alignment: PairAlignment, **fields: Any) -> Registration:
    values: dict[str, Any] = {"config_hash": "abc", "engine_version": "1", "method": "accurate", **fields}
    return Registration.objects.create(owner=region.owner, region=region, alignment=alignment, **values)


MakeRegistration = Callable[..., Registration]
