"""The frames of one DICOM file: geometry and pixel layout as plain values, and the pixels on request.

pydicom parses from memory, so a forged length cannot make it allocate more than the size of the file. Nothing in the file is ever
used as a path.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.volumes.formats.signatures import SIGNATURE_BYTES, has_preamble
from anymod.volumes.formats.stored import GET_AGAIN, MOST_VOXELS

LARGEST_FILE = 2**31
CONVERT = "convert it with dcm2niix, or decompress it with gdcmconv --raw"

DEFLATED = b"1.2.840.10008.1.2.1.99"
NATIVE = {"1.2.840.10008.1.2": "<", "1.2.840.10008.1.2.1": "<", "1.2.840.10008.1.2.2": ">"}  # with byte order
PHILIPS_SLICES = (0x2001, 0x1018)
ENCODINGS = {
    (True, True): "1.2.840.10008.1.2",
    (False, True): "1.2.840.10008.1.2.1",
    (False, False): "1.2.840.10008.1.2.2",
}
"""Transfer syntax by (implicit, little-endian)."""
RUN_LENGTH = "1.2.840.10008.1.2.5"
RUN_LENGTH_RATIO = 64  # two bytes stand for at most 128

PARSE_ERRORS = (
    InvalidDicomError,
    BytesLengthException,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    OSError,
    struct.error,
    RuntimeError,
    MemoryError,
)  # raised by pydicom on malformed files


@dataclass(frozen=True)
class Identity:
    """The series that a file belongs to; `description` is the scanner's name for it, for messages only."""

    path: Path
    series: str
    description: str


@dataclass(frozen=True)
class PixelLayout:
    """Size and type of the stored pixels of a frame; all frames of a series must agree in it."""

    rows: int
    columns: int
    dtype: str
    bits_stored: int
    is_run_length: bool


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a series.

    Attributes:
        path, index: The file, and the number of the frame in it.
        layout: How its pixels are stored.
        position: [3] centre of the first pixel, mm, LPS.
        axes: [2, 3] directions along a row and along a column, LPS.
        steps_mm: Distance between neighbouring columns, and between neighbouring rows.
        thickness_mm: Distance between slices according to the header, 0 if it is missing.
        slope, intercept: value = stored * slope + intercept.
        number: Number of the image in its series (InstanceNumber), None if the file holds several frames or does not say.
        slices, images: What the header counts in the series and in the acquisition, 0 if it does not.
        is_annotated: According to the header, text that may name the patient is burnt into the pixels.
    """

    path: Path
    index: int
    layout: PixelLayout
    position: Array
    axes: Array
    steps_mm: tuple[float, float]
    thickness_mm: float
    slope: float
    intercept: float
    number: int | None
    slices: int
    images: int
    is_annotated: bool


def identify(path: Path) -> Identity | None:
    """Return the series of a DICOM file, or None for an object that is not an image (a report, a presentation state)."""
    with _guarded(path):
        dataset = _dataset(path)
        if dataset.get("Rows") is None:
            storage = dataset.file_meta.get("MediaStorageSOPClassUID") or dataset.SOPClassUID
            if "Image Storage" in storage.name:
                raise VolumeError("truncated file", path, "it ends before its image", GET_AGAIN)
            return None
        description = _printable(str(dataset.get("SeriesDescription", "")))
        return Identity(path, str(dataset.get("SeriesInstanceUID", "")), description)


def parse_frames(path: Path) -> list[Frame]:
    """Return the frames of a DICOM image.

    Raises:
        VolumeError: The file is damaged, truncated, in colour, without geometry, or compressed by anything but run lengths.
    """
    with _guarded(path):
        dataset = _dataset(path)
        count = int(dataset.get("NumberOfFrames") or 1)
        layout = _layout(dataset, count, path)
        return [_frame(dataset, index, layout, path) for index in range(count)]


def read_pixels(path: Path, frames: Sequence[Frame]) -> list[Array]:
    """Return the values [columns, rows], float32, of some frames of one file."""
    with _guarded(path):
        dataset = _dataset(path)
        return [_pixels(dataset, frame).T for frame in frames]


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    """Turn everything that pydicom raises on damaged bytes into one VolumeError, and ignore its warnings about sloppy values."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except PARSE_ERRORS as problem:
        why = f"it cannot be parsed ({type(problem).__name__}: {str(problem)[:120]})"
        raise VolumeError("damaged DICOM file", path, why, GET_AGAIN) from None


def _dataset(path: Path) -> pydicom.FileDataset:
    if path.stat().st_size > LARGEST_FILE:
        raise VolumeError("image too large", path, f"it has more than {LARGEST_FILE} bytes", CONVERT)
    content = path.read_bytes()
    # pydicom would expand a deflated file without limit while it reads the first element.
    if DEFLATED in content:
        raise VolumeError("unsupported DICOM file", path, "it is deflated as a whole", CONVERT)
    if has_preamble(content[:SIGNATURE_BYTES]):
        return pydicom.dcmread(io.BytesIO(content))
    return _bare_dataset(content, path)


def _bare_dataset(content: bytes, path: Path) -> pydicom.FileDataset:
    """Return a data set without preamble, as old archives and some scanners write it; its encoding is found from its first bytes."""
    dataset = pydicom.dcmread(io.BytesIO(content), force=True)
    if dataset.file_meta.get("TransferSyntaxUID") is None:
        if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
            why = "it has no preamble and no meta header, so the compression of its pixels is unknown"
            raise VolumeError("unsupported DICOM file", path, why, CONVERT)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(ENCODINGS[dataset.original_encoding])
    return dataset


def _layout(dataset: pydicom.FileDataset, count: int, path: Path) -> PixelLayout:
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax not in NATIVE and syntax != RUN_LENGTH:
        name = getattr(syntax, "name", None) or "missing"
        raise VolumeError("unsupported DICOM file", path, f"its transfer syntax is {name}", CONVERT)
    rows, columns, bits = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated)
    kind, samples = str(dataset.get("PhotometricInterpretation", "")), int(dataset.get("SamplesPerPixel", 1))
    if samples != 1 or kind != "MONOCHROME2":
        why = f"its pixels are {kind[:20] or 'of unknown kind'}, not grey values (MONOCHROME2)"
        raise VolumeError("unsupported DICOM file", path, why, "export it in grey values")
    if bits not in (8, 16, 32) or min(rows, columns, count) < 1:
        why = f"it claims {count} frames of {rows} x {columns} with {bits} bits"
        raise VolumeError("broken header", path, why, GET_AGAIN)
    if dataset.get("PixelData") is None:
        raise VolumeError("truncated file", path, "it has no pixel data", GET_AGAIN)
    is_run_length = syntax == RUN_LENGTH
    held = len(dataset.PixelData) * (RUN_LENGTH_RATIO if is_run_length else 1)
    needed = rows * columns * count * bits // 8
    if needed > held or rows * columns * count > MOST_VOXELS:
        why = f"{count} frames of {rows} x {columns} take {needed} bytes, and it holds {len(dataset.PixelData)}"
        raise VolumeError("truncated file", path, why, GET_AGAIN)
    order = NATIVE.get(str(syntax), "<")
    sign = "i" if int(dataset.get("PixelRepresentation") or 0) else "u"
    stored = int(dataset.get("BitsStored") or bits)
    if not 1 <= stored <= bits or int(dataset.get("HighBit", stored - 1)) != stored - 1:
        raise VolumeError("unsupported DICOM file", path, f"{stored} of {bits} bits are used, not the lowest", CONVERT)
    return PixelLayout(rows, columns, f"{order}{sign}{bits // 8}", stored, is_run_length)


def _frame(dataset: pydicom.FileDataset, index: int, layout: PixelLayout, path: Path) -> Frame:
    levels = _levels(dataset, index, path)
    axes = _numbers(levels, "ImageOrientationPatient", 6, path).reshape(2, 3)
    between_rows, between_columns = _numbers(levels, "PixelSpacing", 2, path).tolist()
    return Frame(
        path=path,
        index=index,
        layout=layout,
        position=_numbers(levels, "ImagePositionPatient", 3, path),
        axes=axes,
        steps_mm=(between_columns, between_rows),
        thickness_mm=float(_first(levels, "SpacingBetweenSlices") or _first(levels, "SliceThickness") or 0),
        slope=_finite(_first(levels, "RescaleSlope"), 1.0),
        intercept=_finite(_first(levels, "RescaleIntercept"), 0.0),
        number=None if dataset.get("NumberOfFrames") else _count(dataset, "InstanceNumber"),
        slices=_count(dataset, "NumberOfSlices") or _count(dataset, PHILIPS_SLICES) or 0,
        images=_count(dataset, "ImagesInAcquisition") or 0,
        is_annotated=str(dataset.get("BurnedInAnnotation", "")) == "YES",
    )


def _levels(dataset: pydicom.FileDataset, index: int, path: Path) -> list[Any]:
    """Return the data sets that may describe a frame, the most specific first."""
    names = ("PlanePosition", "PlaneOrientation", "PixelMeasures", "PixelValueTransformation")
    of_frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    if not of_frames and int(dataset.get("NumberOfFrames") or 1) > 1:
        why = "it has several frames and no positions or spacing for them"
        raise VolumeError("no geometry", path, why, "export the scan with its geometry, or convert it to .nii.gz")
    items = [*of_frames[index : index + 1], *shared[:1]]
    groups = (item.get(f"{name}Sequence") or [] for item in items for name in names)
    return [*(level for group in groups for level in group[:1]), dataset]


def _count(dataset: pydicom.FileDataset, key: str | tuple[int, int]) -> int | None:
    """Return a whole number of the header, or None where it has none: counts are a help, and no reason to refuse a file."""
    element = dataset.get(key)
    value = getattr(element, "value", element)
    return int(value) if isinstance(value, (int, float)) or str(value).isdigit() else None


def _first(levels: Sequence[Any], keyword: str) -> Any:
    return next((level.get(keyword) for level in levels if level.get(keyword) is not None), None)


def _finite(value: Any, default: float) -> float:
    number = default if value is None else float(value)
    if not np.isfinite(number):
        raise ValueError("rescaling is not finite")
    return number


def _numbers(levels: Sequence[Any], keyword: str, count: int, path: Path) -> Array:
    value = _first(levels, keyword)
    if value is None:
        why = f"it has no {keyword}"
        raise VolumeError("no geometry", path, why, "export the scan with its geometry, or convert it to .nii.gz")
    numbers = np.array([float(number) for number in value])
    if numbers.size != count or not np.isfinite(numbers).all():
        raise VolumeError("broken geometry", path, f"its {keyword} is {numbers.tolist()}", GET_AGAIN)
    return numbers


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:40]


def _pixels(dataset: pydicom.FileDataset, frame: Frame) -> Array:
    """Return the values [rows, columns] of one frame, float32."""
    layout = frame.layout
    dtype = np.dtype(layout.dtype)
    if layout.is_run_length:
        from pydicom.pixels import pixel_array

        stored = pixel_array(dataset, index=frame.index).reshape(layout.rows, layout.columns)
    else:
        count = layout.rows * layout.columns
        start = frame.index * count * dtype.itemsize
        stored = np.frombuffer(dataset.PixelData, dtype, count, start).reshape(layout.rows, layout.columns)
    unused = dtype.itemsize * 8 - layout.bits_stored
    if unused:  # old files store overlays in the bits above the value
        stored = (stored << unused) >> unused
    return stored.astype(np.float32) * np.float32(frame.slope) + np.float32(frame.intercept)
