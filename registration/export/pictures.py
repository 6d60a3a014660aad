"""Encoded pictures: lossless patches and large images, JPEG previews."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import tifffile
from isal import isal_zlib

from registration.engine.geometry import Box
from registration.engine.resample import warp_region
from registration.engine.source import PixelSource, Rgb
from registration.engine.transforms import Transform
from registration.export.blocks import in_order

_TILE = 512
_GAP = 8
_UM_PER_CM = 10_000
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB8 = (8, 2, 0, 0, 0)  # bits, colour type RGB, deflate, the standard filters, not interlaced
_FILTER_UP = 2


def png(rgb: Rgb) -> bytes:
    """rgb : (rows, cols, 3) uint8. Lossless, by the PNG specification (ISO/IEC 15948).

    Every row is stored as its difference to the row above and deflated at ISA-L's level 1: on tissue about
    six times faster than OpenCV's smallest file, and about an eighth larger.
    """
    rows, columns = rgb.shape[:2]
    flat = np.ascontiguousarray(rgb).reshape(rows, columns * 3)
    filtered = np.empty((rows, 1 + columns * 3), dtype=np.uint8)
    filtered[:, 0] = _FILTER_UP
    filtered[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=filtered[1:, 1:])  # modulo 256, as the filter is defined
    header = struct.pack(">IIBBBBB", columns, rows, *_RGB8)
    body = isal_zlib.compress(filtered, 1)
    return _PNG_SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def jpeg(rgb: Rgb) -> bytes:
    """rgb : (rows, cols, 3) uint8."""
    done, content = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), _JPEG)
    if not done:
        raise ValueError(f"OpenCV can't encode {rgb.shape} {rgb.dtype} as JPEG")
    return content.tobytes()


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = isal_zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def preview_pair(
    fixed: PixelSource, moving: PixelSource, transform: Transform, box: Box, longest_side: int
) -> tuple[Rgb, Rgb]:
    """The box on both slides, small: two RGB pictures of the same size, no side above `longest_side`."""
    downsample = max(1.0, max(box.width, box.height) / longest_side)
    moving_rgb, _ = warp_region(moving, transform, box, downsample)
    rows, columns = moving_rgb.shape[:2]
    fixed_rgb, _ = fixed.read(box.x, box.y, columns, rows, downsample)
    return fixed_rgb, moving_rgb


def side_by_side(left: Rgb, right: Rgb) -> Rgb:
    """Both pictures (of the same height) with a white gap between them."""
    gap = np.full((left.shape[0], _GAP, 3), 255, dtype=np.uint8)
    return np.concatenate((left, gap, right), axis=1)


def write_tiff(
    path: Path, box: Box, um_per_px: tuple[float, float] | None, read: Callable[[Box], Rgb]
) -> None:
    """`box` as a tiled, losslessly compressed RGB TIFF of any size, a few tiles in memory at a time.

    read : pixels of a box in the frame of `box`, (height, width, 3) uint8; called from two threads.
    """
    resolution = None if um_per_px is None else (_UM_PER_CM / um_per_px[0], _UM_PER_CM / um_per_px[1])
    tifffile.imwrite(
        path,
        in_order(lambda part: _padded(read(part)), _tiles(box)),
        shape=(box.height, box.width, 3),
        dtype=np.uint8,
        photometric="rgb",
        tile=(_TILE, _TILE),
        compression="zlib",
        predictor=True,
        resolution=resolution,
        resolutionunit=None if resolution is None else "CENTIMETER",
        metadata=None,
        software=False,
    )


def _tiles(box: Box) -> Iterator[Box]:
    for y in range(box.y, box.bottom, _TILE):
        for x in range(box.x, box.right, _TILE):
            yield Box(x, y, _TILE, _TILE).intersection(box)


def _padded(rgb: Rgb) -> Rgb:
    """A full tile, as the format wants it at the right and bottom edges too."""
    tile = np.zeros((_TILE, _TILE, 3), dtype=np.uint8)
    tile[: rgb.shape[0], : rgb.shape[1]] = rgb
    return tile
