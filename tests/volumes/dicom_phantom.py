"""A small oblique DICOM series, made in code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, generate_uid

ROWS, COLUMNS, SLICES = 5, 6, 4
VOXELS = np.random.default_rng(0).integers(0, 1000, (COLUMNS, ROWS, SLICES)).astype(np.int16)
EXPLICIT, MR_STORAGE = "1.2.840.10008.1.2.1", "1.2.840.10008.5.1.4.1.1.4"
SERIES = "1.2.3.4"


def dataset(syntax: str = EXPLICIT, storage: str = MR_STORAGE) -> FileDataset:
    """Return an empty image object."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(storage)
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["a"])
    meta.TransferSyntaxUID = UID(syntax)
    return FileDataset("", {}, file_meta=meta, preamble=bytes(128))


def with_pixels(made: FileDataset, pixels: np.ndarray) -> FileDataset:
    """Add the description of 16-bit pixels [..., rows, columns]."""
    made.Rows, made.Columns = pixels.shape[-2:]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.PixelData = pixels.astype("<i2").tobytes()
    made["PixelData"].VR = "OW"
    return made


def one_slice(index: int) -> FileDataset:
    """Return slice `index` of an oblique series."""
    made = with_pixels(dataset(), VOXELS[:, :, index].T)
    made.SeriesInstanceUID, made.SeriesDescription = SERIES, "T1 axial"
    made.PatientName = "Übel^Ärger/../../x"
    row, column = np.array([0.8, 0.6, 0.0]), np.array([-0.6, 0.8, 0.0])
    made.ImageOrientationPatient = [*row, *column]
    made.ImagePositionPatient = [10.0, -20.0, 30.0 + 2.5 * index]
    made.PixelSpacing = [1.5, 0.5]  # between rows, between columns
    made.SliceThickness = 2.5
    return made


def save(
    folder: Path, change: Callable[[int, FileDataset], None] | None = None, indices: range = range(SLICES)
) -> Path:
    """Write the series, each slice changed by `change`, under names that say nothing about the order; return the folder."""
    folder.mkdir(exist_ok=True)
    for index in indices:
        made = one_slice(index)
        if change is not None:
            change(index, made)
        made.save_as(folder / f"{(index * 7) % 5}.dcm")
    return folder
