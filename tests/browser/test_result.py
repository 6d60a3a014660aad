"""The result of a registration: overlay, blink, checkerboard, review, archives, what a refusal shows."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from registration import jobs, services
from registration.models import Archive, JobStatus, Registration, Review, Verdict
from tests.browser.blockmatch import agreement
from viewer.models import SlidePair

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def registration(make_aligned_pair: Callable[[], SlidePair]) -> Registration:
    """A region of 512 px, registered by the job itself in this process."""
    pair = make_aligned_pair()
    region = services.create_region(pair, pair.owner, frame="he", x=250, y=250, width=512, height=512)
    made = services.request_registration(region, pair.owner)
    jobs.run_registration(made.pk, made.attempt)
    made.refresh_from_db()
    assert made.status == JobStatus.SUCCEEDED, made.error
    return made


@pytest.fixture
def result(page: Page, registration: Registration) -> Page:
    """Its page, with both pictures there."""
    page.goto(f"/registrations/{registration.pk}/")
    page.wait_for_function("() => window.slidepair?.overlay.ihc?.getFullyLoaded()")
    page.wait_for_timeout(300)
    return page


def picture(page: Page) -> NDArray[np.uint8]:
    """The middle of the overlay as the screen shows it, RGB."""
    page.wait_for_timeout(250)
    box = page.locator("#overlay").bounding_box()
    assert box is not None
    side = 600
    left, top = box["x"] + (box["width"] - side) / 2, box["y"] + (box["height"] - side) / 2
    png = page.screenshot(clip={"x": left, "y": top, "width": side, "height": side})
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1]).astype(np.uint8)


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def test_opacity_blink_and_checkerboard_show_what_they_say(result: Page) -> None:
    result.locator("#opacity").fill("0")
    he = picture(result)
    result.locator("#opacity").fill("100")
    ihc = picture(result)
    assert difference(he, ihc) > 10
    assert agreement(he, ihc).median < 2  # screen px, of about 0.7 image px

    result.locator("#opacity").fill("50")
    assert difference(picture(result), (he.astype(float) + ihc) / 2) < 2  # type: ignore[arg-type]

    result.locator("#opacity").fill("0")
    result.keyboard.down("b")
    assert difference(picture(result), ihc) < 2
    result.keyboard.up("b")
    assert difference(picture(result), he) < 2

    result.keyboard.press("v")
    board = picture(result)
    nearer_he = np.abs(board.astype(float) - he).sum(2) < np.abs(board.astype(float) - ihc).sum(2)
    assert 0.3 < nearer_he.mean() < 0.7
    expect(result.get_by_role("button", name="Checkerboard")).to_have_attribute("aria-pressed", "true")


def test_brackets_change_the_opacity(result: Page) -> None:
    for key, text in (("]", "60 %"), ("[", "50 %"), ("[", "40 %")):
        result.keyboard.press(key)
        expect(result.locator("#opacity-text")).to_have_text(text)


def test_review_by_key_keeps_the_note(result: Page, registration: Registration) -> None:
    result.get_by_label("Note (optional)").fill("folded at the edge")
    result.locator(".verdict-word").click()
    result.keyboard.press("n")
    expect(result.locator(".review")).to_contain_text("✕ Rejected by pathologist")
    registration.refresh_from_db()
    assert (registration.review, registration.review_note) == (Review.REJECTED, "folded at the edge")


def test_numbers_method_and_command_are_shown(result: Page, registration: Registration) -> None:
    for name, kind in (("median", "error_um"), ("p90", "error_um"), ("worst", "expected_error_um")):
        value = registration.metrics[kind][name]
        expect(result.locator(".numbers")).to_contain_text(f"{value:.2f} µm")
    expect(result.locator(".facts").first).to_contain_text("accurate, engine")
    command = result.locator("#command").inner_text()
    assert command.startswith(".venv/bin/python manage.py align --he ")
    assert "--x 250 --y 250 --width 512 --height 512" in command


def test_an_archive_is_asked_for_and_a_bad_one_refused(result: Page, registration: Registration) -> None:
    result.get_by_label("Patch size").fill("1024")
    result.get_by_role("button", name="Create the archive").click()
    expect(result.locator(".message[data-kind=error]")).to_contain_text("does not fit into the region")
    result.get_by_label("Layout").select_option("roialign")
    result.get_by_role("button", name="Create the archive").click()
    expect(result.locator(".side .job")).to_contain_text("Waiting for a worker")
    archive = Archive.objects.get()
    assert (archive.layout, archive.patch_size) == ("roialign", 256)
    jobs.run_archive(archive.pk, archive.attempt)
    expect(result.get_by_role("link", name="Download the zip")).to_be_visible()


def test_a_refused_registration_says_so_and_wants_a_reason(page: Page, registration: Registration) -> None:
    reasons = [{"code": "no_overlap", "message": "The two regions show different tissue."}]
    Registration.objects.update(status=JobStatus.REFUSED, verdict=Verdict.REFUSED, reasons=reasons)
    page.goto(f"/registrations/{registration.pk}/")
    expect(page.locator(".verdict-word")).to_have_text("✕ Refused")
    expect(page.locator(".verdict")).to_contain_text("different tissue")
    expect(page.locator(".verdict")).to_contain_text("The error is not known")
    expect(page.locator(".numbers")).to_have_count(0)
    expect(page.locator("#errors")).to_have_count(0)
    expect(page.locator("#landmarks-note")).to_be_hidden()
    expect(page.locator(".side")).to_contain_text("Tried, and not confirmed: affine")
    page.get_by_role("button", name="Accept").click()
    expect(page.locator(".message[data-kind=error]")).to_contain_text("say why in a note")
    expect(page.locator(".review")).to_have_count(0)
    page.get_by_role("button", name="Create the archive").click()
    expect(page.locator(".message[data-kind=error]")).to_contain_text("say why in a note")
    assert not Archive.objects.exists()
    page.get_by_label("Why export it although it was refused?").fill("teaching set of failures")
    page.get_by_role("button", name="Create the archive").click()
    expect(page.locator(".side .job")).to_contain_text("Waiting for a worker")


def test_a_failed_registration_is_repeated_as_a_new_one(page: Page, registration: Registration) -> None:
    Registration.objects.update(status=JobStatus.FAILED, verdict="", error="The slide is gone. Put it back.")
    page.goto(f"/registrations/{registration.pk}/")
    expect(page.locator(".job")).to_contain_text("The slide is gone. Put it back.")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url(lambda address: not address.endswith(f"/registrations/{registration.pk}/"))
    expect(page.locator(".job")).to_contain_text("Waiting for a worker")
