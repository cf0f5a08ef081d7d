"""MetaImage headers (.mha, .mhd): what they claim, and where their voxels lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.volumes.affines import check_affine
from anymod.volumes.formats.header_text import (
    LPS_TO_RAS,
    MEND,
    data_file,
    geometry,
    read_beginning,
    real_numbers,
    required,
    whole_numbers,
)
from anymod.volumes.formats.shapes import three_sizes
from anymod.volumes.formats.stored import GET_AGAIN, StoredImage

TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
# The format has three names for the same thing.
SAME_FIELDS = {
    "position": "offset",
    "origin": "offset",
    "rotation": "transformmatrix",
    "orientation": "transformmatrix",
    "elementbyteordermsb": "binarydatabyteordermsb",
}


def parse_metaimage(path: Path) -> StoredImage:
    """Return what a .mha or .mhd header claims; raise VolumeError where that cannot be believed."""
    fields, end = _fields(path)
    dimensions = _one(fields, "ndims", path)
    sizes = whole_numbers(required(fields, "dimsize", path), "DimSize", path)
    if not 2 <= dimensions <= 4 or len(sizes) != dimensions:
        raise VolumeError("broken header", path, f"NDims is {dimensions} and DimSize {sizes}", MEND)
    channels = _one(fields, "elementnumberofchannels", path, default="1")
    if channels != 1:
        raise VolumeError("unsupported image", path, f"it has {channels} channels", "convert it to one channel")
    shape = three_sizes(sizes, path)
    affine = _affine(fields, dimensions, path)
    name = required(fields, "elementdatafile", path)
    image = StoredImage(
        source=path,
        path=_data_path(path, name),
        shape=shape,
        dtype=_dtype(fields, path),
        affine=affine,
        is_packed=_is_true(fields, "compresseddata"),
    )
    return _placed(image, fields, end if name.upper() == "LOCAL" else 0)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Return the fields up to ElementDataFile, which is the last, and the byte where the header ends."""
    beginning = read_beginning(path)
    fields: dict[str, str] = {}
    end = 0
    while end < len(beginning) and "elementdatafile" not in fields:
        line, newline, _ = beginning[end : end + 4096].partition(b"\n")
        name, equals, value = line.decode("latin-1").partition("=")
        if not newline or not equals:
            raise VolumeError("broken header", path, f"line {len(fields) + 1} is no 'key = value'", MEND)
        name = name.strip().lower()
        fields[SAME_FIELDS.get(name, name)] = value.strip()
        end += len(line) + 1
    return fields, end


def _data_path(path: Path, name: str) -> Path:
    if name.upper() == "LOCAL":
        return path
    if name.upper().startswith("LIST") or "%" in name:
        raise VolumeError("unsupported image", path, "its voxels lie in many files", "convert it to .nii.gz")
    return data_file(path, name)


def _dtype(fields: dict[str, str], path: Path) -> np.dtype:
    name = required(fields, "elementtype", path).upper()
    if name not in TYPES:
        raise VolumeError("unsupported image", path, f"its voxels are of type {name[:40]!r}", "convert it to MET_FLOAT")
    if not _is_true(fields, "binarydata", default="True"):
        raise VolumeError("unsupported image", path, "its voxels are written as text", "convert it to .nii.gz")
    return np.dtype(TYPES[name]).newbyteorder(">" if _is_true(fields, "binarydatabyteordermsb") else "<")


def _affine(fields: dict[str, str], dimensions: int, path: Path) -> Array:
    spacing_text = fields.get("elementspacing", fields.get("elementsize"))
    if spacing_text is None:
        raise VolumeError("no geometry", path, "there is no 'ElementSpacing'", MEND)
    spacing = real_numbers(spacing_text, dimensions, "ElementSpacing", path)
    identity = " ".join(map(str, np.eye(dimensions).ravel()))
    matrix = real_numbers(fields.get("transformmatrix", identity), dimensions**2, "TransformMatrix", path)
    origin = real_numbers(fields.get("offset", "0 " * dimensions), dimensions, "Offset", path)
    # Each row of the matrix is the direction of one axis.
    axes = matrix.reshape(dimensions, dimensions)[:3, :3].T * spacing[:3]
    directions, place = np.zeros((3, axes.shape[1])), np.zeros(3)
    directions[: axes.shape[0]] = axes
    place[: axes.shape[0]] = origin[:3]
    affine = LPS_TO_RAS @ geometry(directions, place)
    check_affine(affine, path)
    return affine


def _placed(image: StoredImage, fields: dict[str, str], start: int) -> StoredImage:
    """Return the image with the place of its voxels in their file."""
    skip = _one(fields, "headersize", image.source, default="0")
    size = image.path.stat().st_size
    if skip < -1 or (skip == -1 and image.is_packed):
        raise VolumeError("broken header", image.source, f"HeaderSize is {skip}", MEND)
    start = max(0, size - image.byte_count) if skip == -1 else start + skip
    packed = _one(fields, "compresseddatasize", image.source, default="0")
    if image.is_packed and start + packed > size:
        why = f"it claims {packed} compressed bytes and has {max(0, size - start)}"
        raise VolumeError("truncated file", image.source, why, GET_AGAIN)
    return replace(image, start=start)


def _one(fields: dict[str, str], name: str, path: Path, default: str | None = None) -> int:
    text = required(fields, name, path) if default is None else fields.get(name, default)
    numbers = whole_numbers(text, name, path)
    if len(numbers) != 1:
        raise VolumeError("broken header", path, f"'{name}' is {text[:60]!r}", MEND)
    return numbers[0]


def _is_true(fields: dict[str, str], name: str, default: str = "False") -> bool:
    return fields.get(name, default).lower() in ("true", "t", "1", "yes")
