"""Tiles, descriptors and thumbnails over HTTP."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from PIL import Image

from tests.viewer.pyramids import noise, write_pyramid
from viewer import services
from viewer.models import Slide


@pytest.fixture
def slide(user: User, he_file: Path) -> Slide:
    return services.add_slide(he_file, user)


@pytest.fixture
def viewer(client: Client, user: User) -> Client:
    client.force_login(user)
    return client


def picture(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(BytesIO(content)).convert("RGB"))


def addresses(slide: Slide) -> list[str]:
    """600 x 500 px: full size is level 10, of two tiles."""
    files = ["jpeg.dzi", "png.dzi", "jpeg_files/10/1_0.jpeg", "png_files/9/0_0.png", "thumbnail.jpg"]
    return [f"/slides/{slide.pk}/{name}" for name in files]


def test_descriptor(viewer: Client, slide: Slide) -> None:
    response = viewer.get(f"/slides/{slide.pk}/png.dzi")
    assert response["Content-Type"] == "application/xml"
    assert b'Format="png"' in response.content
    assert b'Width="600" Height="500"' in response.content


def test_png_tiles_are_the_slides_pixels(viewer: Client, slide: Slide) -> None:
    response = viewer.get(f"/slides/{slide.pk}/png_files/10/1_0.png")
    assert response["Content-Type"] == "image/png"
    assert np.array_equal(picture(response.content), noise(600, 500)[:, 512:])


@pytest.mark.data
def test_jpeg_tiles_stay_within_their_tolerance(viewer: Client, user: User, data_dir: Path) -> None:
    """Real tissue: less than 5 gray levels from the lossless tile on average, at every kind of level."""
    slide = services.add_slide(data_dir / "slides/cmu-small-region.svs", user)
    for tile in ("12/1_2", "11/1_1", "9/0_0"):
        lossless = picture(viewer.get(f"/slides/{slide.pk}/png_files/{tile}.png").content).astype(int)
        response = viewer.get(f"/slides/{slide.pk}/jpeg_files/{tile}.jpeg")
        assert response["Content-Type"] == "image/jpeg"
        assert np.abs(picture(response.content) - lossless).mean() < 5


def test_thumbnail(viewer: Client, slide: Slide) -> None:
    content = viewer.get(f"/slides/{slide.pk}/thumbnail.jpg").content
    assert picture(content).shape == (427, 512, 3)


@pytest.mark.parametrize(
    "address",
    ["png_files/10/2_0.png", "png_files/11/0_0.png", "png_files/10/0_1.png", "png_files/99999999999/0_0.png"],
)
def test_no_such_tile(viewer: Client, slide: Slide, address: str) -> None:
    assert viewer.get(f"/slides/{slide.pk}/{address}").status_code == 404


@pytest.mark.parametrize(
    "name", ["label.jpg", "macro.jpg", "label.png", "associated/label", "label_files/10/0_0.png"]
)
def test_label_and_macro_are_never_served(viewer: Client, slide: Slide, name: str) -> None:
    assert viewer.get(f"/slides/{slide.pk}/{name}").status_code == 404


def test_only_those_who_may_see_it(client: Client, slide: Slide, other_user: User, admin_user: User) -> None:
    for address in addresses(slide):
        assert client.get(address).status_code == 302
    client.force_login(other_user)
    for address in addresses(slide):
        assert client.get(address).status_code == 404
        assert client.get(address, headers={"If-None-Match": "*"}).status_code == 404
    client.force_login(admin_user)
    for address in addresses(slide):
        assert client.get(address).status_code == 200


def test_unchanged_is_304_and_caches_stay_private(viewer: Client, slide: Slide) -> None:
    etags = set()
    for address in addresses(slide):
        first = viewer.get(address)
        assert "private" in first["Cache-Control"]
        assert "Cookie" in first["Vary"]
        again = viewer.get(address, headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again["ETag"] == first["ETag"]
        assert viewer.get(address, headers={"If-None-Match": '"other"'}).status_code == 200
        etags.add(first["ETag"])
    assert len(etags) == len(addresses(slide))


def test_only_reading(viewer: Client, slide: Slide) -> None:
    for address in addresses(slide):
        assert viewer.post(address).status_code == 405
        assert viewer.head(address).status_code == 200


def test_replaced_file_is_noticed(viewer: Client, slide: Slide, he_file: Path) -> None:
    address = f"/slides/{slide.pk}/png_files/10/0_0.png"
    assert viewer.get(address).status_code == 200
    original = he_file.read_bytes()
    write_pyramid(he_file, [noise(600, 500, seed=5)])
    response = viewer.get(address)
    assert response.status_code == 409
    assert response.json()["code"] == "changed"
    he_file.write_bytes(original)
    assert viewer.get(address).status_code == 200
    he_file.unlink()
    assert viewer.get(address).json()["code"] == "not_found"


def test_damaged_tile_does_not_spoil_the_others(viewer: Client, user: User, tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "damaged.tif", [noise(1200, 900)])
    content = bytearray(path.read_bytes())
    content[300_000:300_400] = bytes(400)
    path.write_bytes(content)
    slide = services.add_slide(path, user)
    Slide.objects.filter(pk=slide.pk).update(status="ready", width=1200, height=900)
    codes = [
        viewer.get(f"/slides/{slide.pk}/png_files/11/{x}_{y}.png").status_code
        for y in (0, 1)
        for x in (0, 1, 2)
    ]
    assert sorted(codes) == [200, 200, 200, 200, 200, 409]


def test_unreadable_slide_has_no_tiles(viewer: Client, user: User, tmp_path: Path) -> None:
    path = tmp_path / "text.svs"
    path.write_text("hello")
    slide = services.add_slide(path, user)
    for address in addresses(slide):
        assert viewer.get(address).status_code == 404
