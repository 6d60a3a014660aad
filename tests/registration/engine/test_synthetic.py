"""The phantom: its truth must be true, its blocks seamless, its files readable by others."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import openslide
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from registration.engine.geometry import Points, Size
from registration.engine.source import Mask, Rgb
from registration.engine.synthetic import (
    ArraySource,
    Phantom,
    PhantomArrays,
    painter,
    phantom_arrays,
    write_phantom_pair,
)
from registration.engine.synthetic.phantom import make_truth
from registration.engine.synthetic.scene import make_scene
from registration.engine.synthetic.stain import HE, IHC, Stain
from registration.engine.transforms import load_transform


def dark_spots(rgb: Rgb, share: float) -> tuple[NDArray[np.int32], Points, NDArray[np.float64]]:
    """(labels, centroids (n, 2) corner-based xy, areas (n,)) of what absorbs red: nuclei of any stain."""
    red = cv2.GaussianBlur(rgb[..., 0], (0, 0), 1)
    count, labels, stats, centroids = cv2.connectedComponentsWithStats((red < share * 255).astype(np.uint8))
    assert count > 20
    areas = np.asarray(stats[:, cv2.CC_STAT_AREA], np.float64)
    return np.asarray(labels, np.int32), np.asarray(centroids + 0.5, np.float64), areas


def centroid_errors(pair: PhantomArrays, scale: float) -> NDArray[np.float64]:
    """(n, 2): truth(centroid on the H&E) - centroid on the IHC, for nuclei that stand alone in both."""
    labels, centroids, areas = dark_spots(pair.he.rgb, 0.5)
    moving_labels, moving_centroids, moving_areas = dark_spots(pair.ihc.rgb, 0.55)
    places = pair.truth(pair.nuclei)
    inside = ((places > 0) & (places < (pair.ihc.width, pair.ihc.height))).all(axis=1)
    column, row = pair.nuclei[inside].astype(int).T
    moving_column, moving_row = places[inside].astype(int).T
    spots, moving_spots = labels[row, column], moving_labels[moving_row, moving_column]
    ratio = moving_areas[moving_spots] / areas[spots] / scale**2
    alone = np.bincount(spots, minlength=len(areas))[spots] == 1
    chosen = (spots > 0) & (moving_spots > 0) & alone & (np.abs(ratio / np.median(ratio) - 1) < 0.12)
    errors: Points = pair.truth(centroids[spots[chosen]]) - moving_centroids[moving_spots[chosen]]
    return errors


@pytest.mark.parametrize(
    ("rotation", "mirror", "scale", "shift"),
    [(34.0, False, 1.008, (12.5, -20.25)), (-117.0, True, 1.0, (0.0, 0.0)), (5.0, False, 1.25, (-30.0, 8.0))],
)
def test_nuclei_lie_where_the_truth_says(
    rotation: float, mirror: bool, scale: float, shift: tuple[float, float]
) -> None:
    pair = phantom_arrays(1536, 3, rotation=rotation, mirror=mirror, scale=scale, shift=shift, field_px=5)
    errors = centroid_errors(pair, scale)
    assert len(errors) > 80
    assert_allclose(np.median(errors, axis=0), 0, atol=0.1)  # half a pixel anywhere would show here
    assert np.percentile(np.hypot(*errors.T), 90) < 0.5


def test_the_truth_is_made_of_what_was_asked_for() -> None:
    pair = phantom_arrays(512, rotation=90, scale=0.5, shift=(7, -3), field_px=0, moving_um_per_px=0.5)
    assert pair.he.size == Size(512, 512)
    assert pair.ihc.size == Size(256, 256)
    assert (pair.he.um_per_px, pair.ihc.um_per_px) == ((0.25, 0.25), (0.5, 0.5))
    assert_allclose(pair.truth([[256, 256]]), [[128 + 7, 128 - 3]], atol=1e-9)
    assert_allclose(pair.truth([[356, 256]]), [[128 + 7, 128 + 50 - 3]], atol=1e-9)  # clockwise as seen


def test_the_field_is_as_large_as_asked_for_and_smooth() -> None:
    bent, straight = (make_truth(512, 7, 0, False, 1, (0, 0), px, None) for px in (4, 0))
    xs = np.arange(0.0, 513.0, 2.0)
    shift = bent.on_grid(xs, xs) - straight.on_grid(xs, xs)
    assert_allclose(np.hypot(shift[..., 0], shift[..., 1]).max(), 4, rtol=1e-3)
    assert np.abs(np.diff(shift, axis=0)).max() < 0.3


@pytest.mark.parametrize("stain", [HE, IHC])
def test_blocks_of_any_size_give_the_same_picture(stain: Stain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the sensor's noise a pixel depends on its place alone, so there are no seams."""
    quiet = replace(stain, noise=0.0)
    truth = make_truth(256, 7, 25, False, 1, (0, 0), 3, None)
    scene = make_scene(256, 7)
    pictures = []
    for block in (128, 256):
        monkeypatch.setattr(painter, "BLOCK", block)
        pictures.append(painter.Painter(scene, truth, quiet, 7).whole())
    assert_array_equal(pictures[0], pictures[1])


def test_it_looks_like_stained_tissue() -> None:
    pair = phantom_arrays(1024)
    for rgb in (pair.he.rgb, pair.ihc.rgb):
        glass = (rgb.min(axis=-1) > 215).mean()
        assert 0.3 < glass < 0.75
    he, ihc = pair.he.rgb.astype(int), pair.ihc.rgb.astype(int)
    pink = (he[..., 0] - he[..., 1] > 40).mean()
    brown = (ihc[..., 0] - ihc[..., 2] > 40).mean()
    blue = (ihc[..., 2] - ihc[..., 0] > 40).mean()
    assert pink > 0.2
    assert brown > 0.01
    assert blue > 0.01
    assert (he[..., 0] - he[..., 2] > 40).mean() < 0.001  # no brown without DAB


def test_pairs_that_must_not_match() -> None:
    pair = phantom_arrays(512)
    other, blank = phantom_arrays(512, unrelated=True), phantom_arrays(512, blank=True)
    assert_array_equal(other.he.rgb, pair.he.rgb)
    assert np.abs(other.ihc.rgb.astype(int) - pair.ihc.rgb).mean() > 10
    assert blank.ihc.rgb.min() > 200


def test_consecutive_sections_share_glands_but_not_nuclei() -> None:
    same, next_one = phantom_arrays(1200), phantom_arrays(1200, consecutive=True)
    coarse = [
        cv2.resize(pair.ihc.rgb, (32, 32), interpolation=cv2.INTER_AREA).astype(float)
        for pair in (same, next_one)
    ]
    assert np.corrcoef(coarse[0].ravel(), coarse[1].ravel())[0, 1] > 0.9
    nuclei = [make_scene(1200, 7, nuclei_seed=seed).nuclei.centre for seed in (1, 2)]
    apart = np.linalg.norm(nuclei[0][:, None] - nuclei[1][None], axis=-1).min(axis=1)
    assert np.median(apart) > 6


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Phantom:
    return write_phantom_pair(tmp_path_factory.mktemp("phantom"), size=1500)


def test_openslide_reads_the_files(written: Phantom) -> None:
    for path, size in ((written.he, 1500), (written.ihc, 1512)):
        with openslide.OpenSlide(path) as slide:
            assert slide.dimensions == (size, size)
            assert slide.level_dimensions == ((size, size), (size // 4, size // 4))
            assert slide.properties["openslide.vendor"] == "generic-tiff"
            assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25, abs=1e-6)
            assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.25, abs=1e-6)


def test_the_files_hold_the_picture_at_every_level(written: Phantom) -> None:
    arrays = phantom_arrays(1500, rotation=34.0, scale=1.008, shift=(16.5, -25.5), field_px=5.0)
    with openslide.OpenSlide(written.ihc) as slide:
        full = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
        small = np.asarray(slide.read_region((0, 0), 1, slide.level_dimensions[1]).convert("RGB"))
    assert np.abs(full.astype(int) - arrays.ihc.rgb).mean() < 4
    reduced = cv2.resize(arrays.ihc.rgb, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - reduced).mean() < 4


def test_the_truth_is_stored_beside_the_files(written: Phantom) -> None:
    points = np.random.default_rng(0).uniform(0, 1500, (100, 2))
    assert_array_equal(load_transform(written.truth_path)(points), written.truth(points))
    names = sorted(path.name for path in written.he.parent.iterdir())
    assert names == ["phantom-he.tiff", "phantom-ihc.tiff", "truth.field.npz", "truth.json"]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
    one, two = (write_phantom_pair(folder, size=700) for folder in folders)
    assert one.he.read_bytes() == two.he.read_bytes()
    assert one.ihc.read_bytes() == two.ihc.read_bytes()
    assert one.truth_path.read_bytes() == two.truth_path.read_bytes()


class TestArraySource:
    rgb: Rgb = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)

    def read(self, *place: float) -> tuple[Rgb, Mask]:
        x, y, columns, rows, downsample = place
        return ArraySource(self.rgb).read(x, y, int(columns), int(rows), downsample)

    def test_whole_pixels_come_as_they_are(self) -> None:
        values, valid = self.read(5, 7, 20, 10, 1)
        assert_array_equal(values, self.rgb[7:17, 5:25])
        assert valid.all()

    def test_outside_is_white_and_invalid(self) -> None:
        values, valid = self.read(-10, 50, 20, 20, 1)
        assert_array_equal(values[:10, 10:], self.rgb[50:60, :10])
        assert_array_equal(valid, np.pad(np.ones((10, 10), bool), ((0, 10), (10, 0))))
        assert (values[~valid] == 255).all()

    def test_reduced_reads_average(self) -> None:
        values, valid = self.read(4, 8, 15, 10, 4)
        blocks = self.rgb[8:48, 4:64].reshape(10, 4, 15, 4, 3).mean(axis=(1, 3))
        assert_allclose(values.astype(float), blocks, atol=0.51)
        assert valid.all()
