"""What the panes show, worked out in Python from OpenSeadragon's own numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page

Points = NDArray[np.float64]
_STATE = """frame => {
  const { viewer } = window.slidepair.panes[frame];
  const { viewport } = viewer;
  const centre = viewport.getCenter(true);
  const width = viewer.world.getItemAt(0).getContentSize().x;
  const { x: left, y: top } = viewer.element.getBoundingClientRect();
  const { x: columns, y: rows } = viewport.getContainerSize();
  return { centre: [centre.x * width, centre.y * width], scale: viewport.getZoom(true) * columns / width,
           turn: viewport.getRotation(true), flip: viewport.getFlip(), frame: [left, top, columns, rows] };
}"""


@dataclass(frozen=True)
class Shown:
    """centre : image px. scale : screen px per image px. turn : degrees clockwise, before the flip.

    frame : x, y, width, height of the pane on the page.
    """

    centre: Points
    scale: float
    turn: float
    flip: bool
    frame: tuple[float, float, float, float]

    @property
    def linear(self) -> Points:
        angle = np.radians(self.turn)
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        sides = np.diag([-self.scale if self.flip else self.scale, self.scale])
        return np.asarray(sides @ rotation)

    def on_page(self, points: Points) -> Points:
        """Page px of image px."""
        x, y, width, height = self.frame
        return np.asarray((points - self.centre) @ self.linear.T + np.array([x + width / 2, y + height / 2]))

    def in_image(self, points: Points) -> Points:
        """Image px of page px."""
        x, y, width, height = self.frame
        offset = points - np.array([x + width / 2, y + height / 2])
        return np.asarray(offset @ np.linalg.inv(self.linear).T + self.centre)


def shown(page: Page, frame: str) -> Shown:
    state = page.evaluate(_STATE, frame)
    return Shown(
        np.array(state["centre"]), state["scale"], state["turn"], state["flip"], tuple(state["frame"])
    )


def mapped(affine: list[list[float]], points: Points) -> Points:
    matrix = np.array(affine)
    return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2])


def polygon(page: Page, frame: str, region: str = ".selected") -> Points:
    """The four corners of a drawn box in page px."""
    pane = page.locator(f"#pane-{frame}")
    text = pane.locator(f".region{region} .over").get_attribute("points") or ""
    box = pane.bounding_box()
    assert box is not None
    corners = [[float(value) for value in pair.split(",")] for pair in text.split()]
    return np.asarray(np.array(corners) + np.array([box["x"], box["y"]]))
