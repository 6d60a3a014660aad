"""A real Chromium on a live server, and small pairs whose transform is known."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from registration.engine.synthetic import phantom_arrays
from registration.models import JobStatus, PairAlignment, Verdict
from registration.scale import scale_of
from viewer.models import SlidePair
from viewer.services import add_slide, make_pair

SIZE = 1024
MirroredFiles = tuple[Path, Path, list[list[float]]]
FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """SLIDEPAIR_CHROMIUM, else the system's Chromium, else playwright's own."""
    program = os.environ.get("SLIDEPAIR_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield started
        started.close()


@dataclass
class Watch:
    """What a page must not do. `allowed`: parts of console messages that a test provokes."""

    origin: str
    troubles: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def follow(self, context: BrowserContext) -> None:
        context.on("request", lambda request: self._request(request.url))
        context.on("console", lambda message: self._console(message.type, message.text))
        context.on("weberror", lambda error: self.troubles.append(f"uncaught: {error.error}"))

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and parts.netloc != urlsplit(self.origin).netloc:
            self.troubles.append(f"asks another host: {url}")

    def _console(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not any(part in text for part in self.allowed):
            self.troubles.append(f"{kind}: {text}")


@pytest.fixture
def watch(live_server: Any) -> Watch:
    return Watch(live_server.url)


@pytest.fixture
def anonymous_page(browser: Browser, live_server: Any, watch: Watch) -> Iterator[Page]:
    """A window of 1440 x 900; console errors (a CSP violation is one) and foreign hosts fail the test."""
    context = browser.new_context(
        base_url=live_server.url, viewport={"width": 1440, "height": 900}, reduced_motion="reduce"
    )
    context.set_default_timeout(20_000)
    watch.follow(context)
    yield context.new_page()
    context.close()
    assert watch.troubles == []


@pytest.fixture
def page(anonymous_page: Page, live_server: Any, user: User) -> Page:
    """Signed in as `user`."""
    client = Client()
    client.force_login(user)
    session = client.cookies["sessionid"].value
    anonymous_page.context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
    return anonymous_page


@pytest.fixture(scope="session")
def mirrored_files(tmp_path_factory: pytest.TempPathFactory) -> MirroredFiles:
    """H&E and a mirrored, turned IHC as plain images, and the true ihc_from_he; no field, so exact."""
    arrays = phantom_arrays(SIZE, rotation=25.0, mirror=True, field_px=0.0)
    folder = tmp_path_factory.mktemp("mirrored")
    for name, source in (("he", arrays.he), ("ihc", arrays.ihc)):
        rgb, _ = source.read(0, 0, source.width, source.height, 1.0)
        cv2.imwrite(str(folder / f"{name}.png"), rgb[..., ::-1])
    corners = np.array([[0.0, 0.0], [SIZE, 0.0], [0.0, SIZE]])
    origin, right, down = arrays.truth(corners)
    columns = [(right - origin) / SIZE, (down - origin) / SIZE, origin]
    return folder / "he.png", folder / "ihc.png", np.vstack([np.column_stack(columns), [0, 0, 1]]).tolist()


@pytest.fixture
def make_aligned_pair(
    redis_server: Any,
    transactional_db: None,
    user: User,
    mirrored_files: MirroredFiles,
) -> Callable[[], SlidePair]:
    """The pair with its true alignment on record; no worker needed."""
    he, ihc, affine = mirrored_files

    def make() -> SlidePair:
        scale = (0.25, 0.25)
        fixed = add_slide(he, user, stain="he", um_per_px=scale)
        moving = add_slide(ihc, user, stain="ihc", um_per_px=scale)
        pair = make_pair(fixed, moving, user, "same", "Mirrored pair")
        PairAlignment.objects.filter(pair=pair).update(
            status=JobStatus.SUCCEEDED,
            verdict=Verdict.GOOD,
            affine=affine,
            percent=100,
            scale=scale_of(pair),
        )
        return pair

    return make


@pytest.fixture
def workspace(page: Page, make_aligned_pair: Callable[[], SlidePair]) -> Page:
    """The pair's page, aligned, with all tiles there."""
    pair = make_aligned_pair()
    page.goto(f"/pairs/{pair.pk}/")
    page.wait_for_selector("#alignment[data-state=aligned]")
    all_tiles(page)
    return page


def all_tiles(page: Page) -> None:
    """Waits until both panes show all their tiles."""
    loaded = "pane => pane.viewer.world.getItemAt(0)?.getFullyLoaded()"
    page.wait_for_function(f"() => window.slidepair && Object.values(window.slidepair.panes).every({loaded})")
