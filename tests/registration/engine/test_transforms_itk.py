"""Files for ITK: SimpleITK itself reads them and maps points as we do; what comes back is what went out."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from registration.engine.errors import EngineError
from registration.engine.geometry import Frame, Points, Size
from registration.engine.transforms import AffineTransform, DisplacementField, Transform
from registration.engine.transforms.itk import Unit, covered, itk_files, read_itk
from registration.engine.transforms.metaimage import MetaField, decode, encode

FIXED = Frame("fixed", Size(4000, 3200), (0.25, 0.26))
MOVING = Frame("moving", Size(4800, 5000), (0.5, 0.49))
UNKNOWN = Frame("moving", Size(4800, 5000), None)
MATRIX = [[0.8, -0.61, 2160.3], [0.59, 0.83, -20.7], [0.0, 0.0, 1.0]]
UNITS: tuple[Unit, ...] = ("px", "um")


@pytest.fixture(scope="module")
def sitk() -> Any:
    return pytest.importorskip("SimpleITK")


def affine(moving: Frame = MOVING) -> AffineTransform:
    return AffineTransform(MATRIX, FIXED, moving)


def bent(moving: Frame = MOVING) -> Transform:
    values = np.random.default_rng(5).normal(0, 5, (12, 9, 2))
    return affine(moving) @ DisplacementField(values, (703.5, 510.25), (64.25, 80.0), FIXED)


def written(folder: Path, transform: Transform, unit: Unit = "px") -> Path:
    for name, content in itk_files(transform, unit).items():
        (folder / name).write_bytes(content)
    return folder


def as_itk(sitk: Any, folder: Path) -> Any:
    parts = [sitk.ReadTransform(str(folder / "affine.tfm"))]
    if (folder / "field.mha").exists():
        image = sitk.ReadImage(str(folder / "field.mha"), sitk.sitkVectorFloat64)
        parts.append(sitk.DisplacementFieldTransform(image))
    return sitk.CompositeTransform(parts)


def on_the_slide(count: int = 400) -> Points:
    """Points all over the fixed slide, its corners among them."""
    inside = np.random.default_rng(1).uniform((0, 0), (4000, 3200), (count, 2))
    return np.concatenate((inside, FIXED.size.box.corners()))


def mapped_by_itk(transform: Any, points: Points, unit: Unit) -> Points:
    fixed, moving = ((1, 1), (1, 1)) if unit == "px" else (FIXED.um_per_px, MOVING.um_per_px)
    assert fixed is not None
    assert moving is not None
    physical = (points - 0.5) * fixed
    there = np.array([transform.TransformPoint(point) for point in physical.tolist()])
    return np.asarray(there / moving + 0.5)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("make", [affine, bent])
def test_simpleitk_maps_points_as_we_do(
    sitk: Any, tmp_path: Path, unit: Unit, make: Callable[[], Transform]
) -> None:
    points = on_the_slide()
    theirs = mapped_by_itk(as_itk(sitk, written(tmp_path, make(), unit)), points, unit)
    assert_allclose(theirs, make()(points), atol=1e-5 if unit == "um" else 1e-9)


def test_half_a_pixel_would_be_seen(sitk: Any, tmp_path: Path) -> None:
    """Negative control: the points given to ITK without the shift to pixel centres come out elsewhere."""
    transform = as_itk(sitk, written(tmp_path, bent()))
    points = on_the_slide(50)
    there = np.array([transform.TransformPoint(point) for point in points.tolist()])
    assert np.hypot(*(there - bent()(points)).T).min() > 0.05


def test_simpleitk_pulls_the_image_that_we_pull(sitk: Any, tmp_path: Path) -> None:
    """A blurred dot on the moving image, resampled by SimpleITK: its centroid is where the inverse says."""
    place = np.array([[1500.0, 1200.0]])
    spot = bent()(place)[0]
    left, top = np.floor(spot).astype(int) - 150
    x, y = np.arange(300) + left, np.arange(300)[:, None] + top
    dot = np.exp(-((x + 0.5 - spot[0]) ** 2 + (y + 0.5 - spot[1]) ** 2) / 18).astype(np.float32)
    moving = sitk.GetImageFromArray(dot)
    moving.SetOrigin((float(left), float(top)))
    reference = sitk.Image(100, 100, sitk.sitkFloat32)
    reference.SetOrigin((1450.0, 1150.0))  # the centre of pixel 1450 is at 1450.5 in our px
    pulled = sitk.GetArrayFromImage(
        sitk.Resample(moving, reference, as_itk(sitk, written(tmp_path, bent())), sitk.sitkLinear)
    )
    weight = pulled.sum()
    columns = np.arange(100) + 1450.5
    lines = np.arange(100) + 1150.5
    found = ((pulled.sum(0) * columns).sum() / weight, (pulled.sum(1) * lines).sum() / weight)
    assert_allclose(found, place[0], atol=0.06)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("make", [affine, bent])
def test_what_we_wrote_comes_back(tmp_path: Path, unit: Unit, make: Callable[[], Transform]) -> None:
    written(tmp_path, make(), unit)
    field = tmp_path / "field.mha"
    back = read_itk(tmp_path / "affine.tfm", field if field.exists() else None, FIXED, MOVING, unit)
    points = np.concatenate((on_the_slide(), on_the_slide() * 3 - 4000))
    assert_allclose(back(points), make()(points), atol=1e-5)
    assert (back.fixed, back.moving) == (FIXED, MOVING)


def test_the_same_transform_gives_the_same_bytes() -> None:
    assert itk_files(bent()) == itk_files(bent())


def test_what_simpleitk_wrote_is_read(sitk: Any, tmp_path: Path) -> None:
    values = np.random.default_rng(2).normal(0, 4, (7, 9, 2))
    image = sitk.GetImageFromArray(values, isVector=True)
    image.SetOrigin((100.0, 50.0))
    image.SetSpacing((300.0, 350.0))
    affine_itk = sitk.AffineTransform(2)
    affine_itk.SetMatrix([0.9, 0.2, -0.25, 1.1])
    affine_itk.SetTranslation((40.0, -12.5))
    affine_itk.SetCenter((1000.0, 2000.0))
    sitk.WriteTransform(affine_itk, str(tmp_path / "a.tfm"))
    sitk.WriteImage(image, str(tmp_path / "double.mha"))
    sitk.WriteImage(sitk.Cast(image, sitk.sitkVectorFloat32), str(tmp_path / "float.mha"), True)
    field = sitk.DisplacementFieldTransform(sitk.Image(image))
    theirs = sitk.CompositeTransform([affine_itk, field])
    points = np.random.default_rng(3).uniform((110, 60), (2490, 2140), (300, 2))
    for name in ("double.mha", "float.mha"):
        ours = read_itk(tmp_path / "a.tfm", tmp_path / name, FIXED, UNKNOWN)
        assert_allclose(ours(points), mapped_by_itk(theirs, points, "px"), atol=1e-5)
    alone = read_itk(None, tmp_path / "double.mha", FIXED, UNKNOWN)
    assert_allclose(alone(points), mapped_by_itk(field, points, "px"), atol=1e-5)


def test_the_unit_um_needs_um() -> None:
    assert set(itk_files(bent(UNKNOWN))) == {"affine.tfm", "field.mha"}
    with pytest.raises(EngineError, match="moving slide's um/px") as caught:
        itk_files(bent(UNKNOWN), "um")
    assert caught.value.code == "um_unknown"


def test_a_field_that_would_be_too_large_stays_as_it_is(tmp_path: Path) -> None:
    huge = Frame("fixed", Size(9_000_000, 9_000_000), None)
    field = DisplacementField(np.ones((4, 5, 2)), (1000, 2000), (64, 64), huge)
    written(tmp_path, AffineTransform(MATRIX, huge, MOVING) @ field)
    assert decode(tmp_path / "field.mha").values.shape == (4, 5, 2)
    box = covered(field)
    assert (box.x, box.y, box.right, box.bottom) == (968, 1968, 1288, 2224)
    tiny = DisplacementField(np.ones((2, 2, 2)), (0, 0), (1e-300, 1e-300), FIXED)
    assert covered(tiny) == FIXED.size.box
    assert decode_of(itk_files(tiny)["field.mha"], tmp_path).values.shape == (2, 2, 2)


def decode_of(content: bytes, folder: Path) -> MetaField:
    (folder / "some.mha").write_bytes(content)
    return decode(folder / "some.mha")


GOOD_TFM = "#Insight Transform File V1.0\nTransform: AffineTransform_double_2_2\nParameters: 1 0 0 1 5 6\n"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "transform_unreadable"),
        (b"\x89PNG\r\n\x1a\n\xff", "transform_unreadable"),
        (b"#Insight Transform File V1.0\n", "transform_unreadable"),
        (GOOD_TFM.replace("Affine", "BSpline").encode(), "transform_unreadable"),
        (GOOD_TFM.replace("_2_2", "_3_3").encode(), "transform_unreadable"),
        ((GOOD_TFM + "Transform: AffineTransform_double_2_2\n").encode(), "transform_unreadable"),
        (GOOD_TFM.replace("5 6", "5").encode(), "transform_malformed"),
        (GOOD_TFM.replace("5 6", "5 nan").encode(), "transform_malformed"),
        (GOOD_TFM.replace("5 6", "5 1e99").encode(), "transform_malformed"),
        (GOOD_TFM.replace("5 6", "5 six").encode(), "transform_malformed"),
        (GOOD_TFM.replace("1 0 0 1", "1 2 1 2").encode(), "bad_affine"),
        ((GOOD_TFM + "FixedParameters: 1\n").encode(), "transform_malformed"),
        (GOOD_TFM.encode() + b"#" * 200_000, "transform_unreadable"),
    ],
)
def test_bad_affine_files_are_refused(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "bad.tfm"
    path.write_bytes(content)
    with pytest.raises(EngineError) as caught:
        read_itk(path, None, FIXED, MOVING)
    assert caught.value.code == code
    with pytest.raises(EngineError):
        read_itk(tmp_path / "missing.tfm", None, FIXED, MOVING)


def meta(values: bytes | None = None, **changes: str) -> bytes:
    header = {
        "ObjectType": "Image",
        "NDims": "2",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": "1 0 0 1",
        "Offset": "0 0",
        "ElementSpacing": "10 10",
        "DimSize": "3 2",
        "ElementNumberOfChannels": "2",
        "ElementType": "MET_FLOAT",
        **changes,
        "ElementDataFile": changes.get("ElementDataFile", "LOCAL"),
    }
    lines = "".join(f"{key} = {value}\n" for key, value in header.items())
    return lines.encode() + (np.zeros(12, "<f4").tobytes() if values is None else values)


BOMB = zlib.compress(bytes(50_000_000))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no MetaImage"),
        (b"\x00" * 100_000, "no MetaImage"),
        (b"Comment = x\n" * 10_000, "no MetaImage"),
        (meta(NDims="3"), "two dimensions"),
        (meta(ElementNumberOfChannels="3"), "two numbers"),
        (meta(DimSize="3 2 1"), "DimSize"),
        (meta(DimSize="-3 2"), "DimSize"),
        (meta(DimSize="0 2"), "nodes"),
        (meta(DimSize="999999999 999999999"), "nodes"),
        (meta(DimSize="9" * 5000 + " 2"), "DimSize"),
        (meta(ElementType="MET_UCHAR"), "ElementType"),
        (meta(ElementDataFile="/etc/passwd"), "another file"),
        (meta(ElementDataFile="field.raw"), "another file"),
        (meta(BinaryData="False"), "not binary"),
        (meta(TransformMatrix="0 1 -1 0"), "turned"),
        (meta(TransformMatrix="1 0"), "direction"),
        (meta(ElementSpacing="0 10"), "spacing"),
        (meta(ElementSpacing="nan 10"), "ElementSpacing"),
        (meta(Offset="inf 0"), "Offset"),
        (meta(Offset="1e99 0"), "Offset"),
        (meta(values=b"\x00" * 40), "40 of 48"),
        (meta(values=np.full(12, np.nan, "<f4").tobytes()), "finite"),
        (meta(values=np.full(12, np.inf, "<f4").tobytes()), "finite"),
        (meta(CompressedData="Perhaps"), "neither"),
        (meta(CompressedData="True"), "unpacked"),
        (meta(values=zlib.compress(bytes(48))[:-8], CompressedData="True", DimSize="300 200"), "ends after"),
        (meta(values=BOMB, CompressedData="True"), "more values"),
    ],
)
def test_bad_field_files_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad.mha"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=words) as caught:
        read_itk(None, path, FIXED, MOVING)
    assert caught.value.code == "field_unreadable"
    assert "bad.mha" in caught.value.message


def test_bytes_the_other_way_round_are_read(tmp_path: Path) -> None:
    values = np.arange(12, dtype=">f8")
    content = meta(values.tobytes(), ElementType="MET_DOUBLE", BinaryDataByteOrderMSB="True")
    assert decode_of(content, tmp_path).values.ravel().tolist() == list(range(12))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_damage_to_a_file_ends_in_anything_but_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    field = MetaField(np.random.default_rng(0).normal(0, 1, (5, 4, 2)).astype(np.float32), (1, 2), (3, 4))
    content = bytearray(encode(field))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.mha"
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    with suppress(EngineError):
        read = decode(path)
        assert np.isfinite(read.values).all()
        assert all(map(math.isfinite, (*read.origin, *read.spacing)))
