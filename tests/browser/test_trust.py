"""What the pages say about trust: possible accuracy before a run, expected error after it."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Page, expect

from registration import errormaps
from registration.engine.expected import UNMEASURED_PX, ErrorMap
from registration.engine.geometry import Box
from registration.engine.reasons import no_texture
from registration.models import PairAlignment, Registration
from tests.browser.test_result import difference, picture, registration
from viewer.models import SlidePair

__all__ = ["registration"]  # the fixture
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SCALE = (0.25, 0.25)


def give_error_map(made: Registration) -> ErrorMap:
    """Small at the left, large at the right, and one corner about which nothing is known."""
    box = Box(*made.metrics["box"])
    values = np.tile(np.linspace(1, 8, 8, dtype=np.float32), (8, 1))
    values[:2, :2] = UNMEASURED_PX
    errors = ErrorMap(values, (float(box.x), float(box.y)), box.width / 8)
    place = Path(settings.DATA_DIR) / made.folder
    (place / errormaps.FILE).write_bytes(errormaps.error_map_bytes(errors))
    (place / errormaps.PICTURE).write_bytes(errormaps.picture(errors, box, SCALE))
    stated: dict[str, Any] = {"error_map": errormaps.legend(errors, box, SCALE)}
    stated |= errormaps.figures(errors, box, SCALE) | {
        "residual_px": {"matching": 0.8},
        "seconds": {"matching": 2},
    }
    Registration.objects.filter(pk=made.pk).update(metrics=made.metrics | stated)
    return errors


def test_the_expected_error_is_shown_as_figures_and_as_a_map(page: Page, registration: Registration) -> None:
    give_error_map(registration)
    page.goto(f"/registrations/{registration.pk}/")
    page.wait_for_function("() => window.slidepair?.overlay.errors && slidepair.overlay.ihc.getFullyLoaded()")
    metrics = Registration.objects.get().metrics
    for name, kind in (("median", "error_um"), ("p90", "error_um"), ("worst", "expected_error_um")):
        expect(page.locator(".numbers")).to_contain_text(f"{metrics[kind][name]:.2f} µm")

    legend, before = page.locator("#legend"), picture(page)
    expect(legend).to_be_hidden()
    page.keyboard.press("e")
    expect(legend).to_contain_text("≥ 2 µm")
    page.wait_for_function("() => window.slidepair.overlay.errors.getFullyLoaded()")
    shown = picture(page)
    assert difference(before[:60, :60], shown[:60, :60]) < 2  # nothing is known of that corner
    change = np.abs(shown.astype(float) - before)[300:, :].mean(axis=(0, 2))
    assert change.min() > 5
    blue, red = (shown[300:, :, channel].mean(axis=0) for channel in (2, 0))
    assert (blue - red)[:100].mean() > (blue - red)[-100:].mean() + 40  # dark blue is small, yellow large
    page.get_by_role("button", name="Expected error").click()
    assert difference(picture(page), before) < 2
    expect(page.get_by_role("button", name="Expected error")).to_have_attribute("aria-pressed", "false")

    stages = page.locator(".stages")
    expect(stages.get_by_role("table")).to_be_hidden()
    stages.locator("summary").click()
    expect(stages.get_by_role("row", name="matching")).to_contain_text("2.0 s")
    expect(stages.get_by_role("row", name="matching")).to_contain_text("0.20 µm")


def test_without_a_map_there_is_nothing_to_switch_on(page: Page, registration: Registration) -> None:
    known = {key: value for key, value in registration.metrics.items() if "expected" not in key}
    Registration.objects.update(metrics={key: known[key] for key in known if key != "error_map"})
    page.goto(f"/registrations/{registration.pk}/")
    page.wait_for_function("() => window.slidepair?.overlay.ihc?.getFullyLoaded()")
    expect(page.get_by_role("button", name="Expected error")).to_have_count(0)
    expect(page.locator(".verdict")).to_contain_text("matches that took no part in the fit")
    page.keyboard.press("e")  # does nothing, and breaks nothing


FOUND = {
    "kind": "consecutive",
    "share": 0.12,
    "message": "Consecutive sections: region-level accuracy, about 8 um.",
}


def test_the_possible_accuracy_is_said_before_anything_is_run(workspace: Page) -> None:
    """The pair of `workspace` is declared as one section stained twice."""
    possible = workspace.locator("#possible")
    expect(possible).to_contain_text("Declared: one section, stained twice")
    expect(possible).to_contain_text("not looked at by this alignment")
    expect(possible.locator(".notice")).to_have_count(0)
    doubt = {"code": "thin_evidence", "message": "It rests on little."}
    PairAlignment.objects.update(section=FOUND, verdict="check", reasons=[doubt])
    workspace.reload()
    expect(possible).to_contain_text("region-level accuracy, about 8 µm")
    expect(possible).to_contain_text("consecutive sections (12 % of the cells agree)")
    expect(possible.locator(".notice")).to_have_count(2)
    expect(possible.locator(".notice").first).to_contain_text("consecutive sections")
    expect(possible.locator(".notice").last).to_have_text("It rests on little.")
    possible.get_by_role("button", name="Declare as consecutive sections").click()
    expect(possible).to_contain_text("Declared: consecutive sections")
    expect(possible.locator(".notice")).to_have_count(1)
    assert SlidePair.objects.get().sections == "consecutive"


def test_refused_slides_do_not_move_together_and_are_said_to_have_been_tried(workspace: Page) -> None:
    lock = workspace.get_by_role("button", name="Move together")
    expect(lock).to_have_attribute("aria-pressed", "true")
    reasons = [asdict(no_texture())]
    note = workspace.locator("#landmarks-note")
    expect(note).to_be_hidden()
    PairAlignment.objects.update(status="refused", verdict="refused", reasons=reasons)
    workspace.reload()
    expect(workspace.locator("#possible")).to_contain_text("not known, since the alignment was refused")
    expect(workspace.locator("#alignment")).to_contain_text("The panes move on their own")
    expect(note).to_contain_text("--landmarks")
    expect(note.get_by_role("link", name="API")).to_have_attribute("href", "/api/docs/")
    expect(lock).to_be_disabled()
    expect(lock).to_have_attribute("aria-pressed", "false")


def test_a_piece_is_left_out_and_taken_in_again(workspace: Page) -> None:
    expect(workspace.locator("#pieces")).to_be_hidden()  # nothing is known of any
    rings = [[[10.0, 10.0], [400.0, 10.0], [400.0, 500.0]], [[600.0, 600.0], [900.0, 600.0], [900.0, 900.0]]]
    areas = (3000, 1000)
    found = [
        {"number": number, "box": [0, 0, 9, 9], "outline": ring, "area": area}
        for number, (ring, area) in enumerate(zip(rings, areas, strict=True), start=1)
    ]
    mine = [[5.0, 5.0], [9.0, 5.0], [9.0, 9.0]]
    PairAlignment.objects.update(
        pieces={"he": found, "ihc": found[:1]}, finished_at=timezone.now(), exclude_he=[mine]
    )
    workspace.reload()
    pieces = workspace.locator("#pieces")
    expect(pieces).to_contain_text("Piece 2, 25 % of the tissue")
    second = pieces.get_by_role("group", name="H&E").get_by_role("checkbox", name="Piece 2")
    second.uncheck()
    pieces.get_by_role("button", name="Show piece 2 of the H&E").click()
    workspace.wait_for_function("() => Math.abs(slidepair.panes.he.view().centre[0] - 750) < 60")
    pieces.get_by_role("button", name="Align with these pieces").click()
    expect(workspace.locator("#alignment")).to_contain_text("Aligning the slides")
    asked = PairAlignment.objects.get(version=2)
    assert (asked.exclude_he, asked.exclude_ihc) == ([mine, rings[1]], [])

    line = "const line = document.getElementById('message')"
    workspace.evaluate(f"() => {{ {line}; line.textContent = 'It did not work.'; line.hidden = false; }}")
    PairAlignment.objects.filter(version=2).update(
        status="succeeded", finished_at=timezone.now(), affine=PairAlignment.objects.get(version=1).affine
    )
    workspace.wait_for_selector("#alignment[data-state=aligned]")
    expect(workspace.locator("#message")).to_have_text("It did not work.")  # until a person's next step
    expect(second).not_to_be_checked()
    second.check()
    pieces.get_by_role("button", name="Align with these pieces").click()
    expect(workspace.locator("#alignment")).to_contain_text("Aligning the slides")
    assert PairAlignment.objects.get(version=3).exclude_he == [mine]


def test_each_method_is_explained_where_it_is_chosen(workspace: Page) -> None:
    workspace.locator("#options summary").click()
    choice = workspace.get_by_role("group", name="Method")
    expect(choice.get_by_role("radio", name=re.compile("^accurate"))).to_be_checked()
    for name, word in (("fast", "accurate"), ("rigid", "angles"), ("roialign", "ORB")):
        expect(choice.get_by_role("radio", name=re.compile(f"^{name}"))).to_be_visible()
        expect(choice).to_contain_text(word)
    choice.get_by_role("radio", name=re.compile("^rigid")).check()
    assert workspace.evaluate("document.querySelector('#options').elements.method.value") == "rigid"
