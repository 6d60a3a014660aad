"""Deep-zoom tiles: how many, how large, which pixels."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from openslide import OpenSlide
from openslide.deepzoom import DeepZoomGenerator

from tests.viewer.pyramids import Image, block_means, noise, write_pyramid
from viewer.wsi import open_slide
from viewer.wsi.deepzoom import TILE_SIZE, DeepZoom, DeepZoomLayout

REAL = ["slides/cmu-small-region.svs", "slides/tcga-cr-7395-ts1.svs"]


@pytest.mark.parametrize(
    "size", [(1, 1), (2, 1), (512, 512), (513, 512), (1000, 3), (2220, 2967), (4443, 3567)]
)
def test_layout_is_openslides(tmp_path: Path, size: tuple[int, int]) -> None:
    """The same levels, sizes and tile counts as OpenSlide's own generator for the same image."""
    layout = DeepZoomLayout(*size)
    white = np.full((size[1], size[0], 3), 255, np.uint8)
    with OpenSlide(write_pyramid(tmp_path / "white.tif", [white])) as slide:
        generator = DeepZoomGenerator(slide, tile_size=TILE_SIZE, overlap=0)
        assert layout.level_count == generator.level_count
        assert tuple(layout.size(level) for level in range(layout.level_count)) == generator.level_dimensions


@pytest.mark.parametrize(
    ("level", "column", "row"), [(-1, 0, 0), (12, 0, 0), (11, 4, 0), (11, 0, 3), (11, -1, 0)]
)
def test_no_such_tile(level: int, column: int, row: int) -> None:
    with pytest.raises(IndexError):
        DeepZoomLayout(2000, 1100).box(level, column, row)


def test_tiles_cover_each_level_once() -> None:
    layout = DeepZoomLayout(2049, 1100)
    for level in range(layout.level_count):
        width, height = layout.size(level)
        columns, rows = math.ceil(width / TILE_SIZE), math.ceil(height / TILE_SIZE)
        boxes = [layout.box(level, column, row) for column in range(columns) for row in range(rows)]
        assert sum(box[2] * box[3] for box in boxes) == width * height
        assert max(x + w for x, _, w, _ in boxes) == width
        assert max(y + h for _, y, _, h in boxes) == height


def test_descriptor_is_valid_xml() -> None:
    image = ElementTree.fromstring(DeepZoomLayout(2220, 2967).dzi("png"))  # noqa: S314
    assert image.attrib == {"Format": "png", "Overlap": "0", "TileSize": "512"}
    assert image[0].attrib == {"Width": "2220", "Height": "2967"}


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_tiles_at_stored_levels_are_the_files_pixels(data_dir: Path, name: str) -> None:
    with OpenSlide(data_dir / name) as slide, open_slide(data_dir / name) as reader:
        zoom = DeepZoom(reader)
        for number, stored in enumerate(reader.levels):
            size = stored.width, stored.height
            whole = np.asarray(slide.read_region((0, 0), number, size))[..., :3]
            level = zoom.layout.level_count - 1 - int(math.log2(stored.downsample[0]))
            width, height = zoom.layout.size(level)
            for column in range(math.ceil(width / TILE_SIZE)):
                for row in range(math.ceil(height / TILE_SIZE)):
                    x, y, columns, rows = zoom.layout.box(level, column, row)
                    expected = whole[y : y + rows, x : x + columns]
                    tile = zoom.tile(level, column, row)
                    assert tile.shape == (rows, columns, 3)
                    assert np.array_equal(tile[: expected.shape[0], : expected.shape[1]], expected)


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_levels_in_between_are_area_means_within_one_gray_level(data_dir: Path, name: str) -> None:
    with OpenSlide(data_dir / name) as slide, open_slide(data_dir / name) as reader:
        zoom = DeepZoom(reader)
        finest = slide.level_count - 1
        ratio = int(reader.levels[finest].downsample[0])
        stored = np.asarray(slide.read_region((0, 0), finest, slide.level_dimensions[finest]))[..., :3]
        for level in range(zoom.layout.level_count - 1 - int(math.log2(ratio))):
            step = zoom.layout.downsample(level) // ratio
            tile = zoom.tile(level, 0, 0).astype(np.float64)
            expected = whole_block_means(stored, step)[: tile.shape[0], : tile.shape[1]]
            assert np.abs(tile[: expected.shape[0], : expected.shape[1]] - expected).max() <= 1


def whole_block_means(image: Image, step: int) -> NDArray[np.float64]:
    """Means of step x step blocks, of what there is of them at the right and bottom; float64."""
    starts = [np.arange(0, side, step) for side in image.shape[:2]]
    sums = np.add.reduceat(np.add.reduceat(image, starts[0], axis=0, dtype=np.int64), starts[1], axis=1)
    rows, columns = (np.minimum(step, side - at) for at, side in zip(starts, image.shape[:2], strict=True))
    means: NDArray[np.float64] = sums / np.outer(rows, columns)[..., None]
    return means


def test_edges_of_an_odd_pyramid(tmp_path: Path) -> None:
    """The last tile of a level that the file rounds down: its own last px is repeated, never white."""
    full = noise(2051, 1027) // 2
    levels = [full, block_means(full, 4)]
    with open_slide(write_pyramid(tmp_path / "odd.tif", levels)) as reader:
        zoom = DeepZoom(reader)
        level = zoom.layout.level_count - 3
        assert zoom.layout.size(level) == (513, 257)
        tile = zoom.tile(level, 1, 0)
    assert tile.shape == (257, 1, 3)
    assert np.array_equal(tile[:256, 0], levels[1][:, 511])
    assert np.array_equal(tile[256], tile[255])
