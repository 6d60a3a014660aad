"""What the pages say about trust: possible accuracy before a run, expected error after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from registration import errormaps
from registration.engine.expected import UNMEASURED_PX, ErrorMap
from registration.engine.geometry import Box
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
    figures = Registration.objects.get().metrics["expected_error_um"]
    for name in ("median", "p90", "worst"):
        expect(page.locator(".numbers")).to_contain_text(f"{figures[name]:.2f} µm")

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
    expect(possible.get_by_role("alert")).to_have_count(0)
    PairAlignment.objects.update(section=FOUND)
    workspace.reload()
    expect(possible).to_contain_text("region-level accuracy, about 8 um")
    expect(possible).to_contain_text("consecutive sections (12 % of the cells agree)")
    expect(possible.get_by_role("alert")).to_contain_text("consecutive sections")
    possible.get_by_role("button", name="Declare as consecutive sections").click()
    expect(possible).to_contain_text("Declared: consecutive sections")
    expect(possible.get_by_role("alert")).to_have_count(0)
    assert SlidePair.objects.get().sections == "consecutive"


def test_each_method_is_explained_where_it_is_chosen(workspace: Page) -> None:
    workspace.locator("#options summary").click()
    choice = workspace.get_by_role("group", name="Method")
    expect(choice.get_by_role("radio", name="accurate")).to_be_checked()
    for name, word in (("rigid", "angles"), ("roialign", "ORB")):
        expect(choice.get_by_role("radio", name=name)).to_be_visible()
        expect(choice).to_contain_text(word)
    choice.get_by_role("radio", name="rigid").check()
    assert workspace.evaluate("document.querySelector('#options').elements.method.value") == "rigid"
