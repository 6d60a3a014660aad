"""Writes DICOM slides the way scanners do: one file a level, in one folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, VLWholeSlideMicroscopyImageStorage, generate_uid

TILE = 256


def write_dicom_slide(folder: Path, rgb: NDArray[np.uint8], um_per_px: float, levels: int = 2) -> Path:
    """A folder with one series: `rgb` and its halvings, uncompressed, tiled full. um_per_px : of level 0."""
    folder.mkdir(parents=True, exist_ok=True)
    series = generate_uid()
    for level in range(levels):
        step = 2**level
        pixels = np.ascontiguousarray(rgb[::step, ::step])
        dataset = _dataset(pixels, um_per_px * step, series, level)
        dataset.save_as(folder / f"level{level}.dcm", enforce_file_format=True)
    return folder


def _dataset(rgb: NDArray[np.uint8], um_per_px: float, series: str, level: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    dataset.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = series, generate_uid(entropy_srcs=[series, "study"])
    dataset.Modality = "SM"
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=[series, "frame"])
    dataset.ImageType = [
        "ORIGINAL" if level == 0 else "DERIVED",
        "PRIMARY",
        "VOLUME",
        "NONE" if level == 0 else "RESAMPLED",
    ]
    dataset.InstanceNumber = level + 1
    _describe_pixels(dataset, rgb, um_per_px)
    tiles = _tiles(rgb)
    dataset.NumberOfFrames = len(tiles)
    dataset.PixelData = b"".join(tile.tobytes() for tile in tiles)
    return dataset


def _describe_pixels(dataset: Dataset, rgb: NDArray[np.uint8], um_per_px: float) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    dataset.PlanarConfiguration = dataset.PixelRepresentation = 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.Rows = dataset.Columns = TILE
    dataset.TotalPixelMatrixRows, dataset.TotalPixelMatrixColumns = rgb.shape[:2]
    dataset.DimensionOrganizationType = "TILED_FULL"
    measures = Dataset()
    measures.PixelSpacing = [um_per_px / 1000, um_per_px / 1000]
    measures.SliceThickness = 0.001
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([measures])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])


def _tiles(rgb: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Tiles row by row, the last ones filled up with white."""
    rows, columns = (-(-side // TILE) for side in rgb.shape[:2])
    canvas = np.full((rows * TILE, columns * TILE, 3), 255, np.uint8)
    canvas[: rgb.shape[0], : rgb.shape[1]] = rgb
    return [
        canvas[r * TILE : (r + 1) * TILE, c * TILE : (c + 1) * TILE]
        for r in range(rows)
        for c in range(columns)
    ]
