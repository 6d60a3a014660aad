"""The patch grid: whole patches, inside the box, nothing twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registration.engine.errors import EngineError
from registration.engine.geometry import Box
from registration.engine.patches import PatchGrid

boxes = st.builds(
    Box, st.integers(0, 10_000), st.integers(0, 10_000), st.integers(64, 900), st.integers(64, 900)
)


@given(boxes, st.integers(16, 64))
def test_patches_tile_the_box_from_its_corner(box: Box, patch_size: int) -> None:
    patches = PatchGrid(box, patch_size).patches()
    assert len(patches) == (box.width // patch_size) * (box.height // patch_size)
    assert patches[0].box == Box(box.x, box.y, patch_size, patch_size)
    assert len({patch.stem for patch in patches}) == len(patches)
    for patch in patches:
        assert patch.box.intersection(box) == patch.box
        assert patch.box.x == box.x + patch.col * patch_size
        assert patch.box.y == box.y + patch.row * patch_size
    assert patches[-1].box.right + patch_size > box.right
    assert patches[-1].box.bottom + patch_size > box.bottom


@given(boxes, st.integers(16, 64), st.integers(8, 100))
def test_a_stride_sets_the_distance(box: Box, patch_size: int, stride: int) -> None:
    grid = PatchGrid(box, patch_size, stride)
    patches = grid.patches()
    assert len(patches) == grid.columns * grid.rows
    assert all(patch.box.intersection(box) == patch.box for patch in patches)
    assert patches[-1].box.x == box.x + (grid.columns - 1) * stride
    assert box.right - patches[-1].box.right < stride


def test_the_stem_says_where_the_patch_lies() -> None:
    patch = PatchGrid(Box(512, 300, 512, 256), 256).patches()[1]
    assert (patch.col, patch.row, patch.stem) == (1, 0, "x768_y300")


@pytest.mark.parametrize(
    ("patch_size", "stride", "code", "field"),
    [
        (0, None, "patch_too_small", "patch_size"),
        (-5, None, "patch_too_small", "patch_size"),
        (257, None, "patch_larger_than_region", "patch_size"),
        (64, 0, "bad_stride", "stride"),
    ],
)
def test_what_can_not_be_cut_is_refused(patch_size: int, stride: int | None, code: str, field: str) -> None:
    with pytest.raises(EngineError) as caught:
        PatchGrid(Box(0, 0, 1000, 256), patch_size, stride)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert str(patch_size if stride is None else stride) in caught.value.message
