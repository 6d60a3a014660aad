"""The other pages: signing in, gallery, library, one slide, jobs, errors; help and theme."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from registration.models import JobStatus, PairAlignment
from tests.browser.conftest import MirroredFiles, Watch
from viewer.models import Slide, SlidePair
from viewer.services import add_slide

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_signing_in_and_out(anonymous_page: Page, user: User) -> None:
    page = anonymous_page
    page.goto("/slides/")
    page.get_by_label("Username").fill(user.username)
    page.get_by_label("Password").fill("wrong")
    page.locator("main button[type=submit]").click()
    expect(page.locator(".errorlist")).to_contain_text("correct username and password")
    page.get_by_label("Password").fill("tissue-and-glass")
    page.locator("main button[type=submit]").click()
    expect(page.get_by_role("heading", name="Slides", exact=True)).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_empty_pages_say_what_to_do(page: Page) -> None:
    for address, words in (("/", "add_pair"), ("/slides/", "add_slides"), ("/jobs/", "press Enter")):
        page.goto(address)
        expect(page.locator(".empty")).to_contain_text(words)


def test_library_names_faults_takes_the_scale_and_makes_the_pair(
    page: Page, redis_server: Any, user: User, mirrored_files: MirroredFiles, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.svs"
    broken.write_text("not a slide")
    add_slide(broken, user)
    he = add_slide(mirrored_files[0], user, stain="he")
    add_slide(mirrored_files[1], user, stain="ihc", um_per_px=(0.25, 0.25))

    page.goto("/slides/")
    expect(page.get_by_role("row", name="broken.svs")).to_contain_text("✕ Can't be read")
    row = page.locator(f"[data-slide='{he.pk}']")
    expect(row).to_contain_text("! µm/px missing")
    row.get_by_label("µm/px").fill("0.25")
    row.get_by_role("button", name="Save").click()
    expect(page.locator(".message[data-kind=success]")).to_contain_text("0.25 µm/px")
    he.refresh_from_db()
    assert (he.mpp_x, he.mpp_y, he.mpp_stated) == (0.25, 0.25, True)

    page.get_by_label("H&E slide").select_option(label="he.png")
    page.get_by_label("IHC slide").select_option(label="ihc.png")
    page.get_by_role("button", name="Make the pair").click()
    expect(page.locator("#alignment")).to_contain_text("Aligning the slides")
    page.goto("/")
    expect(page.get_by_role("heading", name="Running now")).to_be_visible()


def test_a_slide_cannot_be_paired_with_itself(page: Page, user: User, mirrored_files: MirroredFiles) -> None:
    add_slide(mirrored_files[0], user, um_per_px=(0.25, 0.25))
    page.goto("/slides/")
    for label in ("H&E slide", "IHC slide"):
        page.get_by_label(label).select_option(label="he.png")
    page.get_by_role("button", name="Make the pair").click()
    expect(page.locator(".message[data-kind=error]")).to_be_visible()
    assert not SlidePair.objects.exists()


def test_one_slide_is_shown_with_its_scale(page: Page, user: User, mirrored_files: MirroredFiles) -> None:
    slide = add_slide(mirrored_files[0], user, um_per_px=(0.25, 0.25))
    page.goto(f"/slides/{slide.pk}/")
    page.wait_for_function("() => window.slidepair?.panes.slide.viewer.world.getItemAt(0)?.getFullyLoaded()")
    page.keyboard.press("4")
    expect(page.locator("[data-magnification]")).to_have_text("10× · 1.00 µm/px")


@pytest.mark.parametrize(
    ("status", "words"), [("failed", "Alignment failed"), ("refused", "Alignment refused")]
)
def test_alignment_that_did_not_work_says_why_and_can_be_repeated(
    page: Page, make_aligned_pair: Callable[[], SlidePair], status: str, words: str
) -> None:
    pair = make_aligned_pair()
    PairAlignment.objects.update(
        status=status,
        verdict="",
        error="Too little tissue.",
        reasons=[{"code": "x", "message": "No overlap."}],
    )
    page.goto(f"/pairs/{pair.pk}/")
    banner = page.locator("#alignment")
    expect(banner).to_contain_text(words)
    expect(page.locator("#possible .notice")).to_have_text("Too little tissue.")
    assert banner.bounding_box()["height"] < 50  # type: ignore[index]  # the slides keep their room
    banner.get_by_role("button", name="Align again").click()
    expect(banner).to_contain_text("Waiting for a worker")
    assert pair.alignments.filter(status=JobStatus.QUEUED).count() == 1


def test_jobs_page_cancels(page: Page, make_aligned_pair: Callable[[], SlidePair]) -> None:
    make_aligned_pair()
    PairAlignment.objects.update(status=JobStatus.QUEUED, verdict="")
    page.goto("/jobs/")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".job")).to_have_attribute("data-status", "cancelled")
    assert PairAlignment.objects.get().status == JobStatus.CANCELLED


def test_another_users_pair_is_not_found(
    page: Page, make_aligned_pair: Callable[[], SlidePair], other_user: User, watch: Watch
) -> None:
    watch.allowed.append("404 (Not Found)")
    pair = make_aligned_pair()
    Slide.objects.update(owner=other_user)
    SlidePair.objects.update(owner=other_user)
    page.goto(f"/pairs/{pair.pk}/")
    expect(page.get_by_role("heading")).to_have_text("There is nothing at this address")
    page.get_by_role("link", name="Go to the pairs").click()
    expect(page.get_by_role("heading", name="No pairs yet")).to_be_visible()


def test_help_lists_the_keys_and_closes(workspace: Page) -> None:
    workspace.keyboard.press("?")
    dialog = workspace.get_by_role("dialog")
    for words in ("Place a region", "Register the chosen region", "Magnification", "Fit the slide", "Pan"):
        expect(dialog).to_contain_text(words)
    workspace.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_dark_theme_is_chosen_and_kept(page: Page) -> None:
    page.goto("/jobs/")
    background = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Dark theme").click()
    dark = page.evaluate(background)
    assert dark != light
    page.goto("/slides/")
    assert page.evaluate(background) == dark
