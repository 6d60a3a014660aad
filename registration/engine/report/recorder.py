"""Where stages leave their pictures. Drawing is put off: without a report nothing is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2

from registration.engine.report.draw import fitted
from registration.engine.source import Rgb

#: The stage of the pictures of the result itself; a page shows them first.
RESULT = "the result"
#: A picture's longer side is brought down to this.
LARGEST_SIDE = 1000
#: More than this is no report any more; later ones are left out.
_MOST = 120


class Recorder(Protocol):
    """Takes pictures of stages. stage : as in StageReport. name : the picture's title, in plain words."""

    @property
    def wants(self) -> bool:
        """Whether pictures are wanted at all: for values that are made for a picture alone."""
        ...

    def picture(self, stage: str, name: str, make: Callable[[], Rgb], caption: str = "") -> None:
        """make : called at once if the picture is wanted, and never otherwise; must not change anything."""
        ...


class NoRecorder:
    """The default: nobody wants a picture."""

    wants = False

    def picture(self, stage: str, name: str, make: Callable[[], Rgb], caption: str = "") -> None:
        """Does nothing; `make` is not called."""


NO_RECORDER = NoRecorder()


@dataclass(frozen=True)
class Shot:
    """png : the encoded picture."""

    stage: str
    name: str
    caption: str
    png: bytes


class Pictures:
    """Keeps every picture, encoded, in the order of their making."""

    wants = True

    def __init__(self) -> None:
        self._shots: list[Shot] = []

    def picture(self, stage: str, name: str, make: Callable[[], Rgb], caption: str = "") -> None:
        if len(self._shots) < _MOST:
            self._shots.append(Shot(stage, name, caption, png(make())))

    @property
    def shots(self) -> tuple[Shot, ...]:
        return tuple(self._shots)


def png(rgb: Rgb) -> bytes:
    """rgb : (rows, cols, 3) uint8. The picture as PNG, its longer side at most LARGEST_SIDE px."""
    rgb = fitted(rgb, LARGEST_SIDE)
    done, content = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"OpenCV can't encode {rgb.shape} {rgb.dtype} as PNG")
    return content.tobytes()
