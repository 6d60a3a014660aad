"""Regions in the workspace: placed, twinned, moved, edited, deleted, and refusals that say why."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from registration.models import JobStatus, PairAlignment, RegionOfInterest, Registration
from tests.browser.conftest import MirroredFiles, Watch
from tests.browser.geometry import mapped, polygon, shown
from viewer.models import SlidePair

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
BOX = np.array([[300.0, 350.0], [556.0, 350.0], [556.0, 606.0], [300.0, 606.0]])


@pytest.fixture
def with_region(page: Page, make_aligned_pair: Callable[[], SlidePair]) -> Page:
    """A workspace with one chosen region of 256 px at (300, 350) of the H&E."""
    pair = make_aligned_pair()
    RegionOfInterest.objects.create(
        pair=pair, owner=pair.owner, frame="he", x=300, y=350, width=256, height=256
    )
    page.goto(f"/pairs/{pair.pk}/")
    page.wait_for_selector("#alignment[data-state=aligned]")
    page.locator("#region-list button").click()
    for summary in page.locator("#side summary").all():
        summary.click()
    return page


def stored() -> RegionOfInterest:
    return RegionOfInterest.objects.get()


def field(page: Page, name: str) -> str:
    return page.locator(f"#region-form [name={name}]").input_value()


def test_click_on_the_other_slide_places_a_box_and_its_twin(
    workspace: Page, mirrored_files: MirroredFiles
) -> None:
    workspace.locator("#box-size").select_option("250 um")
    workspace.keyboard.press("r")
    place = shown(workspace, "ihc").on_page(np.array([[510.0, 480.0]]))[0]
    workspace.mouse.move(*place)
    expect(workspace.locator("#pane-he .region.draft")).to_have_count(1)
    workspace.mouse.click(*place)
    expect(workspace.locator("#region-list button")).to_have_count(1)

    region = stored()
    assert (region.frame, region.width, region.height) == ("ihc", 1000, 1000)  # 250 µm at 0.25 µm/px
    assert abs(region.x - (510 - 500)) <= 3
    assert region.y == 0  # centred it would begin at -20: moved into the slide
    own = np.add([[0, 0], [1000, 0], [1000, 1000], [0, 1000]], (region.x, region.y))
    back = np.linalg.inv(np.array(mirrored_files[2])).tolist()
    assert np.abs(polygon(workspace, "ihc") - shown(workspace, "ihc").on_page(own)).max() < 1.0
    twin = shown(workspace, "he").on_page(mapped(back, own))
    assert np.abs(polygon(workspace, "he") - twin).max() < 1.0


def test_drag_in_drawing_mode_makes_a_box_of_any_size(workspace: Page) -> None:
    workspace.locator("#draw").click()
    start, end = shown(workspace, "he").on_page(np.array([[700.0, 400.0], [400.0, 800.0]]))
    workspace.mouse.move(*start)
    workspace.mouse.down()
    workspace.mouse.move(*end, steps=5)
    workspace.mouse.up()
    expect(workspace.locator("#region-list button")).to_have_count(1)
    region = stored()
    got = np.array([region.x, region.y, region.width, region.height])
    assert np.abs(got - [400, 400, 300, 400]).max() <= 4


def test_drag_moves_the_chosen_box_on_either_slide(with_region: Page, mirrored_files: MirroredFiles) -> None:
    for frame in ("he", "ihc"):
        box = stored()
        middle = np.array([[box.x + 128.0, box.y + 128.0]])
        ends = np.vstack([middle, np.add(middle, (60.0, -40.0))])
        in_pane = ends if frame == "he" else mapped(mirrored_files[2], ends)
        start, end = shown(with_region, frame).on_page(in_pane)
        with_region.mouse.move(*start)
        with_region.mouse.down()
        with_region.mouse.move(*end, steps=6)
        with with_region.expect_response(lambda response: "/api/regions/" in response.url):
            with_region.mouse.up()
        moved = stored()
        assert abs(moved.x - box.x - 60) <= 2
        assert abs(moved.y - box.y + 40) <= 2
    assert field(with_region, "x") == str(stored().x)


def test_number_fields_move_the_box_and_delete_removes_it(with_region: Page) -> None:
    with_region.locator("#region-form [name=width]").fill("300")
    with with_region.expect_response(lambda response: "/api/regions/" in response.url):
        with_region.keyboard.press("Tab")
    assert stored().width == 300
    expect(with_region.locator("#region-list button")).to_contain_text("300 ×")  # drawn anew
    assert np.ptp(polygon(with_region, "he")[:, 0]) == pytest.approx(
        300 * shown(with_region, "he").scale, abs=0.1
    )
    with_region.locator(".bar-title").click()
    with_region.keyboard.press("Delete")
    expect(with_region.locator("#region-list button")).to_have_count(0)
    assert not RegionOfInterest.objects.exists()


def test_a_region_gets_a_name(with_region: Page) -> None:
    with_region.get_by_label("Name").fill("Glands")
    with with_region.expect_response(lambda response: "/api/regions/" in response.url):
        with_region.keyboard.press("Tab")
    expect(with_region.locator("#region-list button")).to_contain_text("Glands")
    expect(with_region.locator("#pane-ihc .region text")).to_have_text("Glands")
    assert stored().name == "Glands"


def test_no_key_acts_while_a_field_has_the_focus(with_region: Page) -> None:
    with_region.locator("#region-form [name=x]").focus()
    with_region.keyboard.press("Delete")
    with_region.keyboard.press("s")
    assert RegionOfInterest.objects.exists()
    expect(with_region.locator("#lock")).to_have_attribute("aria-pressed", "true")


def test_a_refused_box_says_why(with_region: Page, watch: Watch) -> None:
    watch.allowed.append("400 (Bad Request)")
    with_region.locator("#region-form [name=x]").fill("900")
    with_region.keyboard.press("Tab")
    expect(with_region.locator("#message")).to_contain_text("does not lie inside the slide")
    expect(with_region.locator("#message")).to_have_attribute("data-kind", "error")
    assert stored().x == 300


def test_patch_larger_than_the_region_is_said_before_and_refused(with_region: Page, watch: Watch) -> None:
    watch.allowed.append("400 (Bad Request)")
    with_region.locator("[name=patch_size]").fill("512")
    expect(with_region.locator("#patch-count")).to_contain_text("does not fit")
    with_region.get_by_role("button", name="Register the region").click()
    expect(with_region.locator("#message")).to_contain_text("smaller patches")
    assert not Registration.objects.exists()


def test_enter_queues_a_run_that_can_be_cancelled(with_region: Page) -> None:
    expect(with_region.locator("#patch-count")).to_contain_text("1 patch pairs of 256 px (64 µm)")
    with_region.locator(".bar-title").click()
    with_region.keyboard.press("Enter")
    card = with_region.locator("#runs .job")
    expect(card).to_contain_text("Waiting for a worker")
    card.get_by_role("button", name="Cancel").click()
    expect(card).to_have_attribute("data-status", "cancelled")
    assert Registration.objects.get().status == JobStatus.CANCELLED
    card.get_by_role("button", name="Try again").click()
    expect(with_region.locator("#runs .job")).to_have_count(2)


def test_a_box_with_results_stays_and_a_moved_one_is_new(with_region: Page, watch: Watch) -> None:
    watch.allowed.append("400 (Bad Request)")
    with_region.locator(".bar-title").click()
    with_region.keyboard.press("Enter")
    expect(with_region.locator("#runs .job")).to_have_count(1)
    with_region.locator("#region-form [name=x]").fill("320")
    with_region.keyboard.press("Tab")
    expect(with_region.locator("#region-list button")).to_have_count(2)
    assert sorted(RegionOfInterest.objects.values_list("x", flat=True)) == [300, 320]


def test_the_place_it_has_already_makes_no_copy_of_a_box_with_results(with_region: Page) -> None:
    with_region.locator(".bar-title").click()
    with_region.keyboard.press("Enter")
    expect(with_region.locator("#runs .job")).to_have_count(1)
    for value in ("10", "256"):  # too small, which the field says, then back
        with_region.locator("#region-form [name=width]").fill(value)
        with_region.keyboard.press("Tab")
    with_region.locator("#region-form [name=name]").fill("once")
    with_region.keyboard.press("Tab")
    expect(with_region.locator("#region-list button")).to_contain_text("once")
    assert stored().width == 256


@pytest.mark.parametrize("frame", ["he", "ihc"])
def test_choosing_a_region_shows_it_on_both_slides_whichever_was_touched_last(
    with_region: Page, mirrored_files: MirroredFiles, frame: str
) -> None:
    with_region.locator("[data-view=fit]").click()
    pane = with_region.locator(f"#pane-{frame}").bounding_box()
    assert pane is not None
    with_region.mouse.move(pane["x"] + 150, pane["y"] + 150)
    with_region.mouse.wheel(0, -300)
    with_region.wait_for_timeout(200)
    with_region.locator("#region-list button").click()
    with_region.wait_for_timeout(200)
    centres = {"he": BOX.mean(axis=0), "ihc": mapped(mirrored_files[2], BOX).mean(axis=0)}
    for name, centre in centres.items():
        view = shown(with_region, name)
        x, y, width, height = view.frame
        assert np.abs(view.on_page(centre[None]) - [[x + width / 2, y + height / 2]]).max() < 1.0


def test_a_region_of_the_ihc_is_shown_before_the_slides_are_aligned(
    page: Page, make_aligned_pair: Callable[[], SlidePair]
) -> None:
    pair = make_aligned_pair()
    PairAlignment.objects.filter(pair=pair).update(status=JobStatus.REFUSED, affine=None)
    RegionOfInterest.objects.create(
        pair=pair, owner=pair.owner, frame="ihc", x=100, y=200, width=256, height=128
    )
    page.goto(f"/pairs/{pair.pk}/")
    page.wait_for_selector("#alignment .banner")
    page.locator("#region-list button").click()
    page.wait_for_timeout(200)
    view = shown(page, "ihc")
    x, y, width, height = view.frame
    middle = view.on_page(np.array([[228.0, 264.0]]))
    assert np.abs(middle - [[x + width / 2, y + height / 2]]).max() < 1.0
    assert page.evaluate("() => slidepair.panes.he.view().centre.every(Number.isFinite)")


def test_escape_stops_placing_then_chooses_nothing(with_region: Page) -> None:
    with_region.keyboard.press("r")
    expect(with_region.locator("#draw")).to_have_attribute("aria-pressed", "true")
    with_region.keyboard.press("Escape")
    expect(with_region.locator("#draw")).to_have_attribute("aria-pressed", "false")
    expect(with_region.locator("#region-form")).to_be_visible()
    with_region.keyboard.press("Escape")
    expect(with_region.locator("#region-form")).to_be_hidden()
