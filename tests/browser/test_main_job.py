"""The main job in a browser: two slides, a box, the overlay, accept, the zip; and the pairs do agree."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests.browser.blockmatch import agreement, mosaic
from tests.browser.conftest import all_tiles
from tests.browser.geometry import shown
from viewer.services import add_slide, make_pair

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.data,
    pytest.mark.django_db(transaction=True),
]
JOB_MS = 150_000


def test_from_two_slides_to_aligned_patch_pairs(
    page: Page, worker: Any, user: User, data_dir: Path, tmp_path: Path
) -> None:
    slides = data_dir / "restained"
    he, ihc = add_slide(slides / "he.tiff", user), add_slide(slides / "ihc.tiff", user)
    make_pair(he, ihc, user, "same", "Restained")

    page.goto("/")
    page.get_by_role("link", name="Restained", exact=True).click()
    page.wait_for_selector("#alignment[data-state=aligned]", timeout=JOB_MS)
    all_tiles(page)

    page.keyboard.press("r")
    centre = shown(page, "he").on_page(np.array([[768.0, 1600.0]]))[0]
    page.mouse.click(*centre)
    expect(page.locator("#region-list button")).to_have_count(1)
    page.keyboard.press("Enter")
    run = page.locator("#runs .job")
    expect(run).to_have_attribute("data-status", "succeeded", timeout=JOB_MS)
    run.get_by_role("link").click()

    expect(page.locator(".verdict-word")).to_have_text("✓ Good")
    expect(page.locator(".numbers")).to_contain_text("µm")
    expect(page.get_by_role("link", name="Download the zip")).to_be_visible(
        timeout=JOB_MS
    )  # loaded anew by then
    both_stains_are_shown(page)
    page.get_by_role("button", name="Accept").click()
    expect(page.locator(".review")).to_contain_text("✓ Accepted by pathologist")

    with page.expect_download(timeout=JOB_MS) as download:
        page.get_by_role("link", name="Download the zip").click(timeout=JOB_MS)
    archive = tmp_path / "pairs.zip"
    download.value.save_as(archive)
    pairs_agree(archive, slides)


def both_stains_are_shown(page: Page) -> None:
    """The slider's ends look different from each other, and its middle from both."""
    page.wait_for_function("() => window.slidepair?.overlay.ihc?.getFullyLoaded()")
    looks = []
    for share in ("0", "50", "100"):
        page.locator("#opacity").fill(share)
        page.wait_for_timeout(300)
        looks.append(page.locator("#overlay").screenshot())
    assert len(set(looks)) == 3


def pairs_agree(archive: Path, slides: Path) -> None:
    with zipfile.ZipFile(archive) as files:
        assert {"manifest.csv", "run.json", "transform.json"} <= set(files.namelist())
    he, (x, y) = mosaic(archive, "he")
    ihc, corner = mosaic(archive, "ihc")
    assert ihc.shape == he.shape
    assert corner == (x, y)
    registered = agreement(he, ihc)
    assert registered.holds, f"median {registered.median:.2f} px, p90 {registered.p90:.2f} px"

    rows, columns = he.shape[:2]
    with openslide.OpenSlide(slides / "ihc.tiff") as slide:
        same_place = np.array(slide.read_region((x, y), 0, (columns, rows)).convert("RGB"))
    assert not agreement(he, same_place).holds
