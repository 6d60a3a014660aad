"""The separate pieces of tissue on a slide, so that one can be chosen or left out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Box, Points, point_from_index
from registration.engine.source import Mask, PixelSource
from registration.engine.tissue import constant_filling, tissue_mask

#: Square root of the area of the image that the pieces are looked for in, px.
SIDE_PX = 640
#: Gaps up to this share of that side do not part a piece.
JOINED = 0.02
#: A piece has at least this share of the largest one's area, and of the slide's.
SMALLEST_OF_LARGEST = 0.02
SMALLEST_OF_SLIDE = 0.001


@dataclass(frozen=True)
class Piece:
    """number : 1 is the largest. box : around it, level-0 px. outline : (N, 2) float64, xy, level-0 px, a
    polygon that holds the piece and no other one. area : tissue in it, level-0 px squared.
    """

    number: int
    box: Box
    outline: Points
    area: float


def find_pieces(source: PixelSource) -> tuple[Piece, ...]:
    """The pieces of tissue, the largest first; none on a blank slide."""
    downsample = max(1.0, math.sqrt(source.width * source.height) / SIDE_PX)
    columns, rows = (max(1, round(side / downsample)) for side in (source.width, source.height))
    rgb, valid = source.read(0, 0, columns, rows, downsample)
    labels, areas = labelled_pieces(tissue_mask(rgb, valid & ~constant_filling(rgb)))
    found = [_piece(labels, label + 1, area, downsample, source) for label, area in enumerate(areas)]
    return tuple(
        Piece(number + 1, piece.box, piece.outline, piece.area) for number, piece in enumerate(found)
    )


def labelled_pieces(tissue: Mask) -> tuple[NDArray[np.int32], list[int]]:
    """tissue : (rows, cols) bool. Returns labels (rows, cols), 1 for the largest piece, 0 for none, and each
    piece's tissue, px. Pieces less than JOINED of the side apart are one.
    """
    reach = max(1, round(JOINED * math.sqrt(tissue.size) / 2))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    joined = cv2.dilate(tissue.astype(np.uint8), kernel)
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    areas = np.bincount(labels[tissue], minlength=count)
    areas[0] = 0
    smallest = max(SMALLEST_OF_SLIDE * tissue.size, SMALLEST_OF_LARGEST * areas.max(), 1.0)
    order = [int(label) for label in np.argsort(-areas, kind="stable") if areas[label] >= smallest]
    renamed = np.zeros(count, np.int32)
    renamed[order] = np.arange(1, len(order) + 1)
    return renamed[labels], [int(areas[label]) for label in order]


def _piece(labels: NDArray[np.int32], label: int, area: int, downsample: float, source: PixelSource) -> Piece:
    """`labels` are wider than the tissue, so an outline through their outermost px holds it."""
    own = (labels == label).astype(np.uint8)
    contours, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    contour = cv2.approxPolyDP(max(contours, key=cv2.contourArea), 1.0, closed=True).reshape(-1, 2)
    outline = point_from_index(contour, downsample)
    if len(outline) < 3:
        x, y, width, height = cv2.boundingRect(own)
        outline = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)]) * downsample
    outline = np.clip(outline, 0, (source.width, source.height))
    left, top = np.floor(outline.min(axis=0)).astype(int)
    right, bottom = np.ceil(outline.max(axis=0)).astype(int)
    box = Box(int(left), int(top), max(1, int(right - left)), max(1, int(bottom - top)))
    return Piece(label, box, outline, area * downsample**2)
