"""Two panes on the same tissue: what one shows, the other shows too, mirrored and turned as it must be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from tests.browser.blockmatch import nuclei
from tests.browser.conftest import MirroredFiles, all_tiles
from tests.browser.geometry import mapped, shown

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ROOM = {"x": 120, "y": 90, "width": 320, "height": 320}  # of a pane: clear of scale bar and minimap


def assert_same_tissue(page: Page, affine: list[list[float]]) -> None:
    """The panes' centres are twins within a px, and so are places far from them: scale, turn, mirror."""
    he, ihc = shown(page, "he"), shown(page, "ihc")
    x, y, width, height = he.frame
    places = np.array([[x + width * a, y + height * b] for a, b in ((0.5, 0.5), (0.1, 0.2), (0.9, 0.7))])
    twins = ihc.on_page(mapped(affine, he.in_image(places))) - ihc.frame[:2]
    assert np.abs(twins - (places - he.frame[:2])).max() < 1.0


def picture(page: Page, frame: str) -> NDArray[np.float32]:
    """The nuclei as the screen shows them in the middle of a pane."""
    box = page.locator(f"#pane-{frame}").bounding_box()
    assert box is not None
    clip = {**ROOM, "x": box["x"] + ROOM["x"], "y": box["y"] + ROOM["y"]}
    png = page.screenshot(clip=clip)  # type: ignore[arg-type]
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return nuclei(np.ascontiguousarray(image[..., ::-1]).astype(np.uint8))


def likeness(page: Page) -> float:
    """Correlation of what the two panes show."""
    page.mouse.move(5, 300)  # no ghost cursor in the picture
    all_tiles(page)
    return float(np.corrcoef(picture(page, "he").ravel(), picture(page, "ihc").ravel())[0, 1])


def drag(page: Page, frame: str, by: tuple[int, int]) -> None:
    box = page.locator(f"#pane-{frame}").bounding_box()
    assert box is not None
    x, y = box["x"] + 250, box["y"] + 300
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by[0], y + by[1], steps=5)
    page.mouse.up()
    page.wait_for_timeout(200)


def wheel(page: Page, frame: str, notches: int) -> None:
    box = page.locator(f"#pane-{frame}").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 200, box["y"] + 150)
    for _ in range(notches):
        page.mouse.wheel(0, -120)
        page.wait_for_timeout(80)
    page.wait_for_timeout(200)


def test_mouse_in_either_pane_moves_both_through_the_transform(
    workspace: Page, mirrored_files: MirroredFiles
) -> None:
    affine = mirrored_files[2]
    assert_same_tissue(workspace, affine)
    assert shown(workspace, "ihc").flip != shown(workspace, "he").flip

    before = shown(workspace, "he")
    drag(workspace, "he", (90, -60))
    wheel(workspace, "he", 3)
    assert shown(workspace, "he").scale > 1.5 * before.scale
    assert_same_tissue(workspace, affine)

    before = shown(workspace, "he")
    drag(workspace, "ihc", (-70, 40))
    wheel(workspace, "ihc", 1)
    assert np.abs(shown(workspace, "he").centre - before.centre).max() > 20
    assert_same_tissue(workspace, affine)


def test_turned_and_mirrored_views_stay_together(workspace: Page, mirrored_files: MirroredFiles) -> None:
    for button in ("Turn by 90 degrees", "Mirror left and right", "Turn by 90 degrees"):
        workspace.get_by_role("button", name=button).click()
        workspace.wait_for_timeout(200)
        assert_same_tissue(workspace, mirrored_files[2])
    assert shown(workspace, "he").flip


def test_the_screen_shows_the_same_nuclei_in_both_panes(workspace: Page) -> None:
    workspace.locator("[data-view=x20]").click()
    drag(workspace, "he", (30, 20))
    assert likeness(workspace) > 0.6

    workspace.get_by_role("button", name="Move together").click()
    drag(workspace, "ihc", (60, 45))
    assert likeness(workspace) < 0.4


def test_unlocked_panes_move_alone_and_meet_again(workspace: Page, mirrored_files: MirroredFiles) -> None:
    workspace.keyboard.press("s")
    expect(workspace.get_by_role("button", name="Move together")).to_have_attribute("aria-pressed", "false")
    before = shown(workspace, "he")
    drag(workspace, "ihc", (80, 80))
    assert np.allclose(shown(workspace, "he").centre, before.centre)
    workspace.keyboard.press("s")
    workspace.wait_for_timeout(200)
    assert_same_tissue(workspace, mirrored_files[2])


def test_magnification_is_um_per_screen_px(workspace: Page) -> None:
    """10 / NUMBER um per screen px: with 0.25 um/px, 20 means half a screen px per image px."""
    for key, number in (("3", 5.0), ("5", 20.0), ("6", 40.0)):
        workspace.keyboard.press(key)
        workspace.wait_for_timeout(150)
        assert shown(workspace, "he").scale == pytest.approx(0.25 * number / 10)
    bar = workspace.locator("#pane-he .scalebar")
    box = bar.bounding_box()
    assert box is not None
    um = float(bar.inner_text().split()[0])
    assert box["width"] * 0.25 == pytest.approx(um, abs=0.6)


def test_pointer_is_told_in_both_frames(workspace: Page, mirrored_files: MirroredFiles) -> None:
    he = shown(workspace, "he")
    place = np.array([[he.frame[0] + 210.0, he.frame[1] + 260.0]])
    workspace.mouse.move(*place[0])
    points = [he.in_image(place), mapped(mirrored_files[2], he.in_image(place))]
    for frame, point in zip(("he", "ihc"), points, strict=True):
        text = workspace.locator(f"#pointer [data-at={frame}]").inner_text()
        numbers = [float(part.replace(",", "")) for part in text.removesuffix(" px").split(", ")]
        assert np.abs(np.array(numbers) - point).max() <= 1.0
    expect(workspace.locator("#pane-ihc .ghost")).to_have_count(1)


def test_arrows_pan_and_zero_fits(workspace: Page) -> None:
    fitted = shown(workspace, "he")
    workspace.keyboard.press("5")
    workspace.keyboard.press("ArrowRight")
    workspace.wait_for_timeout(150)
    assert shown(workspace, "he").centre[0] > fitted.centre[0] + 50
    workspace.keyboard.press("0")
    workspace.wait_for_timeout(150)
    assert np.allclose(shown(workspace, "he").centre, fitted.centre)
