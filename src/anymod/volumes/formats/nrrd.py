"""NRRD headers (.nrrd, .nhdr): what they claim, and where their voxels lie."""

from __future__ import annotations

import re
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
from anymod.volumes.formats.stored import StoredImage

TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
SAME_FIELDS = {"datafile": "data file", "byteskip": "byte skip", "lineskip": "line skip"}
TO_RAS = {
    "right-anterior-superior": np.eye(4),
    "ras": np.eye(4),
    "left-anterior-superior": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "las": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "left-posterior-superior": LPS_TO_RAS,
    "lps": LPS_TO_RAS,
}
NO_ORIENTATION = "the file states no orientation; left, right, front and back are a guess"


def parse_nrrd(path: Path) -> StoredImage:
    """Return what a .nrrd or .nhdr header claims; raise VolumeError where that cannot be believed."""
    fields, end = _fields(path)
    sizes = whole_numbers(required(fields, "sizes", path), "sizes", path)
    if [len(sizes)] != whole_numbers(required(fields, "dimension", path), "dimension", path):
        raise VolumeError("broken header", path, f"dimension is {fields['dimension']!r} and sizes {sizes}", MEND)
    affine, spatial, notes = _affine(fields, sizes, path)
    others = [size for axis, size in enumerate(sizes) if axis not in spatial]
    shape = three_sizes([*(sizes[axis] for axis in spatial), *[1] * (3 - len(spatial)), *others], path)
    is_packed = _is_packed(fields, path)
    image = StoredImage(
        source=path,
        path=_data_path(fields, path),
        shape=shape,
        dtype=_dtype(fields, path),
        affine=affine,
        is_packed=is_packed,
        notes=notes,
    )
    return _placed(image, fields, 0 if "data file" in fields else end)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Return the fields and the byte after the empty line that ends them."""
    beginning = read_beginning(path)
    blank = re.search(rb"\r?\n\r?\n", beginning)
    text = beginning[: blank.start()] if blank else beginning
    fields: dict[str, str] = {}
    for line in text.decode("latin-1").splitlines()[1:]:
        name, colon, value = line.partition(":")
        if line.startswith("#") or value.startswith("="):  # comments, and key-value pairs, which mean nothing here
            continue
        if not colon:
            raise VolumeError("broken header", path, f"{line[:60]!r} is no 'field: value'", MEND)
        name = name.strip().lower()
        fields[SAME_FIELDS.get(name, name)] = value.strip()
    if blank is None and "data file" not in fields:
        raise VolumeError("broken header", path, "no empty line ends it", MEND)
    return fields, blank.end() if blank else len(beginning)


def _affine(fields: dict[str, str], sizes: list[int], path: Path) -> tuple[Array, list[int], tuple[str, ...]]:
    """Return the affine, the axes that lie in space, and notes."""
    units = set(re.findall(r"[a-zA-Zµ]+", fields.get("space units", "mm"))) - {"none"}
    if units - {"mm"}:
        raise VolumeError("unsupported image", path, f"its lengths are in {sorted(units)}, not mm", MEND)
    if "space directions" in fields:
        affine, spatial = _oriented(fields, len(sizes), path)
        notes: tuple[str, ...] = () if "space" in fields else (NO_ORIENTATION,)
    else:
        affine, spatial = _unoriented(fields, len(sizes), path)
        notes = (NO_ORIENTATION,)
    check_affine(affine, path)
    return affine, spatial, notes


def _oriented(fields: dict[str, str], dimensions: int, path: Path) -> tuple[Array, list[int]]:
    # A space of two dimensions has no name; SimpleITK writes single slices so.
    is_plane = "space" not in fields and fields.get("space dimension") == "2"
    space = "lps" if is_plane else required(fields, "space", path).lower()
    if space not in TO_RAS:
        raise VolumeError("unsupported image", path, f"its space is {space[:40]!r}", f"give one of {sorted(TO_RAS)}")
    vectors = re.findall(r"none|\([^)]*\)", fields["space directions"])
    spatial = [axis for axis, vector in enumerate(vectors) if vector != "none"]
    if len(vectors) != dimensions or not 2 <= len(spatial) <= 3:
        raise VolumeError("broken header", path, f"it has {len(spatial)} space directions", MEND)
    beyond = ["0"] if is_plane else []
    columns = [
        real_numbers([*vectors[axis].strip("()").split(","), *beyond], 3, "space directions", path) for axis in spatial
    ]
    corner = fields.get("space origin", "(0,0)" if is_plane else "(0,0,0)").strip("() ").split(",")
    origin = real_numbers([*corner, *beyond], 3, "space origin", path)
    return TO_RAS[space] @ geometry(np.stack(columns, axis=1), origin), spatial


def _unoriented(fields: dict[str, str], dimensions: int, path: Path) -> tuple[Array, list[int]]:
    steps = required(fields, "spacings", path).lower().split()
    spatial = [axis for axis, step in enumerate(steps) if step != "nan"]
    if len(steps) != dimensions or not 2 <= len(spatial) <= 3:
        raise VolumeError("broken header", path, f"its spacings are {' '.join(steps)[:60]!r}", MEND)
    numbers = real_numbers([steps[axis] for axis in spatial], len(spatial), "spacings", path)
    return LPS_TO_RAS @ geometry(np.eye(3)[:, : len(spatial)] * numbers, np.zeros(3)), spatial


def _dtype(fields: dict[str, str], path: Path) -> np.dtype:
    name = required(fields, "type", path).lower()
    code = next((code for code, names in TYPES.items() if name in names), None)
    if code is None:
        raise VolumeError("unsupported image", path, f"its voxels are of type {name[:40]!r}", "convert it to float")
    dtype = np.dtype(code)
    if dtype.itemsize == 1:
        return dtype
    endian = required(fields, "endian", path).lower()
    if endian not in ("little", "big"):
        raise VolumeError("broken header", path, f"endian is {endian[:40]!r}", MEND)
    return dtype.newbyteorder(">" if endian == "big" else "<")


def _is_packed(fields: dict[str, str], path: Path) -> bool:
    encoding = required(fields, "encoding", path).lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise VolumeError("unsupported image", path, f"its encoding is {encoding[:40]!r}", "save it as raw or gzip")
    return encoding != "raw"


def _data_path(fields: dict[str, str], path: Path) -> Path:
    name = fields.get("data file")
    if name is None:
        return path
    if name.upper().startswith("LIST") or "%" in name:
        raise VolumeError("unsupported image", path, "its voxels lie in many files", "convert it to .nii.gz")
    return data_file(path, name)


def _placed(image: StoredImage, fields: dict[str, str], start: int) -> StoredImage:
    """Return the image with the place of its voxels in their file."""
    skips = whole_numbers(fields.get("byte skip", "0"), "byte skip", image.source)
    lines = fields.get("line skip", "0")
    if len(skips) != 1 or skips[0] < -1 or lines != "0" or (skips[0] == -1 and image.is_packed):
        raise VolumeError("unsupported image", image.source, "it skips lines or bytes", "convert it to .nii.gz")
    if skips[0] == -1:  # the voxels are the last bytes of the file
        return replace(image, start=max(start, image.path.stat().st_size - image.byte_count))
    return replace(image, start=start, skip=skips[0])
