"""Drawing on small RGB pictures with OpenCV and numpy; nothing here knows of stages.

All pictures are (rows, cols, 3) uint8 RGB, all points (N, 2) float64 xy in corner-based px of the picture.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Points, index_from_point
from registration.engine.source import Mask, Rgb

Values = NDArray[np.floating]
Colour = tuple[int, int, int]

#: Told apart by colour-blind people, too (Okabe and Ito 2008).
BLUE: Colour = (0, 114, 178)
ORANGE: Colour = (213, 94, 0)
BLACK: Colour = (20, 20, 20)
#: Two pictures of this side fit beside each other.
HALF = 490
_HIDDEN = np.array((170, 185, 205))
_UNKNOWN: Colour = (205, 205, 205)
_GAP = 8
_BAR_ROWS, _TEXT_ROWS = 12, 20
_SUBPIXEL_BITS = 4  # of cv2's line positions
_LARGEST_POSITION = 30_000.0


def gray(values: Values, known: Mask | None = None) -> Rgb:
    """(rows, cols) as grey, dark where large, from the 5th to the 99th percentile of what is `known`.

    known : (rows, cols) bool; white elsewhere. All of it if None.
    """
    shown = np.isfinite(values) if known is None else known & np.isfinite(values)
    low, high = np.percentile(values[shown], (5, 99)) if shown.any() else (0.0, 1.0)
    share = np.clip((np.nan_to_num(values) - low) / max(high - low, 1e-9), 0, 1)
    return _rgb(np.repeat(np.where(shown, 250 - 220 * share, 255)[..., None], 3, axis=2))


def shaded(rgb: Rgb, mask: Mask) -> Rgb:
    """What the mask leaves out becomes pale blue, with a line around what it keeps."""
    shown = np.where(mask[..., None], rgb, (rgb * 0.35 + _HIDDEN * 0.65)).astype(np.uint8)
    edges, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(shown, edges, -1, BLUE, 1)
    return shown


def checkerboard(first: Rgb, second: Rgb, squares: int = 10) -> Rgb:
    """Squares of one and the other in turn; both of the same size. squares : along the longer side."""
    rows, columns = first.shape[:2]
    side = max(4, -(-max(rows, columns) // squares))
    y, x = np.mgrid[:rows, :columns] // side
    return _rgb(np.where(((x + y) % 2 == 0)[..., None], first, second))


def fused(first: Rgb, second: Rgb) -> Rgb:
    """Grey where both are equally dark, green where only the first is, magenta where only the second is."""
    one, two = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, second))
    return np.stack((one, two, one), axis=-1)


def heat(values: Values, low: float, high: float) -> Rgb:
    """(rows, cols) in the colours of viridis, dark at `low` and yellow at `high`; grey where not finite."""
    share = np.nan_to_num((values - low) / max(high - low, 1e-12), nan=0, posinf=1, neginf=0)
    indexed = _rgb(255 * np.clip(share, 0, 1))
    coloured = cv2.cvtColor(cv2.applyColorMap(indexed, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    return _rgb(np.where(np.isfinite(values)[..., None], coloured, _UNKNOWN))


def change(ratio: Values, most: float) -> Rgb:
    """A ratio: white at 1, blue down to 1 / most, orange up to most, black where it is 0 or less."""
    share = np.clip(np.log(np.maximum(ratio, 1e-9)) / np.log(most), -1, 1)[..., None]
    ends = np.where(share < 0, np.array(BLUE), np.array(ORANGE))
    mixed = 255 + (ends - 255.0) * np.abs(share)
    return _rgb(np.where((ratio <= 0)[..., None], 0, mixed))


def with_scale(picture: Rgb, bar: Rgb, low: str, middle: str, high: str) -> Rgb:
    """`picture` with a bar of its colours below, and what its ends and its middle mean.

    bar : (1, N, 3), from low to high.
    """
    columns = picture.shape[1]
    strip = np.asarray(cv2.resize(bar, (columns, _BAR_ROWS), interpolation=cv2.INTER_NEAREST))
    text = np.full((_TEXT_ROWS, columns, 3), 255, np.uint8)
    places = [(0.0, low), (0.5, middle), (1.0, high)]
    if _width(low) + _width(middle) + 2 * _width(high) > columns - 20:
        del places[1]
    for share, word in places:
        x = int(np.clip(share * columns - _width(word) / 2, 2, max(2, columns - _width(word) - 2)))
        _write(text, word, (x, 14))
    gap = np.full((_GAP, columns, 3), 255, np.uint8)
    return np.concatenate((picture, gap, strip, text))


def heat_with_scale(values: Values, high: float, unit: str, side: int = 480) -> Rgb:
    """`heat` from 0 to `high`, enlarged to about `side` px, with its scale. unit : for the scale's words."""
    bar = heat(np.linspace(0, 1, 256)[None], 0, 1)
    words = ("0", f"{high / 2:.3g}", f"{high:.3g} {unit} +")
    return with_scale(enlarged(heat(values, 0, high), side), bar, *words)


def arrows(rgb: Rgb, points: Points, shifts: Points, colour: Colour = BLUE) -> Rgb:
    """An arrow from each point by its shift, with a dot where it starts."""
    shown = rgb.copy()
    starts, ends = _positions(points), _positions(points + shifts)
    for start, end in zip(starts, ends, strict=True):
        cv2.line(shown, start, end, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.circle(shown, start, 24, colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
    return shown


def mesh(rgb: Rgb, nodes: Points, colour: Colour = BLUE) -> Rgb:
    """Lines between neighbouring nodes. nodes : (rows, cols, 2)."""
    shown = rgb.copy()
    flat = np.array(_positions(nodes.reshape(-1, 2)), np.int32).reshape(*nodes.shape[:2], 1, 2)
    lines = [*flat, *np.ascontiguousarray(flat.transpose(1, 0, 2, 3))]
    cv2.polylines(shown, lines, False, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    return shown


def outlined(rgb: Rgb, polygon: Points, colour: Colour = ORANGE) -> Rgb:
    """A closed line through the points."""
    shown = rgb.copy()
    line = np.array(_positions(polygon), np.int32).reshape(-1, 1, 2)
    cv2.polylines(shown, [line], True, colour, 2, cv2.LINE_AA, _SUBPIXEL_BITS)
    return shown


def labelled(rgb: Rgb, text: str) -> Rgb:
    """A line of text (ASCII) above the picture, which becomes wider where the text needs it."""
    columns = max(rgb.shape[1], _width(text) + 4)
    header = np.full((_TEXT_ROWS, columns, 3), 255, np.uint8)
    _write(header, text, (2, 14))
    wider = ((0, 0), (0, columns - rgb.shape[1]), (0, 0))
    return np.concatenate((header, np.pad(rgb, wider, constant_values=255)))


def beside(*pictures: Rgb) -> Rgb:
    """All in one row, aligned at the top, on white."""
    rows = max(picture.shape[0] for picture in pictures)
    parts: list[Rgb] = []
    for picture in pictures:
        if parts:
            parts.append(np.full((rows, _GAP, 3), 255, np.uint8))
        below = ((0, rows - picture.shape[0]), (0, 0), (0, 0))
        parts.append(np.pad(picture, below, constant_values=255))
    return np.concatenate(parts, axis=1)


def tiled(pictures: list[Rgb], columns: int) -> Rgb:
    """In rows of `columns`, on white."""
    rows = [beside(*pictures[first : first + columns]) for first in range(0, len(pictures), columns)]
    width = max(row.shape[1] for row in rows)
    return np.concatenate(
        [np.pad(row, ((0, _GAP), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    )


def fitted(rgb: Rgb, side: int = HALF) -> Rgb:
    """Brought down to `side` px on its longer side, or as it is."""
    longer = max(rgb.shape[:2])
    if longer <= side:
        return rgb
    rows, columns = (max(1, round(length * side / longer)) for length in rgb.shape[:2])
    return np.asarray(cv2.resize(rgb, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def enlarged(rgb: Rgb, side: int) -> Rgb:
    """A small picture by whole steps to about `side` px on its longer side, so that its px can be seen."""
    factor = side // max(rgb.shape[:2])
    return rgb if factor < 2 else np.repeat(np.repeat(rgb, factor, axis=0), factor, axis=1)


def _rgb(values: NDArray[np.generic]) -> Rgb:
    return np.ascontiguousarray(values, dtype=np.uint8) if values.dtype == np.uint8 else _rounded(values)


def _rounded(values: NDArray[np.generic]) -> Rgb:
    return np.ascontiguousarray(np.rint(values.astype(np.float64)), dtype=np.uint8)


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)[0][0])


def _write(rgb: Rgb, text: str, corner: tuple[int, int]) -> None:
    cv2.putText(rgb, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.42, BLACK, 1, cv2.LINE_AA)


def _positions(points: Points) -> list[tuple[int, int]]:
    """Whole numbers as cv2 takes them with _SUBPIXEL_BITS; what lies far away or nowhere is cut off."""
    near = np.clip(np.nan_to_num(index_from_point(points)), -_LARGEST_POSITION, _LARGEST_POSITION)
    return [(int(x), int(y)) for x, y in np.rint(near * 2**_SUBPIXEL_BITS).astype(int).tolist()]
