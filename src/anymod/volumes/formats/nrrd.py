"""NRRD (.nrrd, .nhdr), parsed without SimpleITK (decision 8)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.volumes.affines import LPS_TO_RAS, NO_ORIENTATION, check_affine
from anymod.volumes.formats.header_text import FIX_HEADER, TextHeader, affine_from, read_start
from anymod.volumes.formats.parsed import ParsedImage, three_sizes
from anymod.volumes.formats.stored import StoredVoxels

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
DTYPES = {name: np.dtype(code) for code, names in TYPES.items() for name in names}
SYNONYMS = {"datafile": "data file", "byteskip": "byte skip", "lineskip": "line skip"}
LAS_TO_RAS = np.diag([-1.0, 1.0, 1.0, 1.0])
TO_RAS = {
    **dict.fromkeys(("right-anterior-superior", "ras"), np.eye(4)),
    **dict.fromkeys(("left-anterior-superior", "las"), LAS_TO_RAS),
    **dict.fromkeys(("left-posterior-superior", "lps"), LPS_TO_RAS),
}


def parse_nrrd(path: Path) -> ParsedImage:
    """Return a .nrrd or .nhdr image.

    Raises:
        VolumeError: The header is malformed, claims more than the file holds, or describes anything but one scalar volume.
    """
    header = _header(path)
    sizes = header.integers("sizes")
    if header.integer("dimension") != len(sizes):
        raise header.broken(f"dimension is {header.text('dimension')} and sizes {sizes}")
    affine, spatial, notes = _affine(header, len(sizes))
    others = [size for axis, size in enumerate(sizes) if axis not in spatial]
    shape = three_sizes([*(sizes[axis] for axis in spatial), *[1] * (3 - len(spatial)), *others], path)
    return _voxels(header, shape).image(affine, notes)


def _header(path: Path) -> TextHeader:
    """Return the fields up to the empty line that ends them."""
    start = read_start(path)
    blank = re.search(rb"\r?\n\r?\n", start)
    text = start[: blank.start()] if blank else start
    fields: dict[str, str] = {}
    for line in text.decode("latin-1").splitlines()[1:]:
        name, colon, value = line.partition(":")
        if line.startswith("#") or value.startswith("="):  # comments and key-value pairs
            continue
        if not colon:
            raise VolumeError("broken header", path, f"{line[:60]!r} is no 'field: value'", FIX_HEADER)
        name = name.strip().lower()
        fields[SYNONYMS.get(name, name)] = value.strip()
    if blank is None and "data file" not in fields:
        raise VolumeError("broken header", path, "no empty line ends it", FIX_HEADER)
    return TextHeader(path, fields, blank.end() if blank else len(start))


def _affine(header: TextHeader, dimensions: int) -> tuple[Array, list[int], tuple[str, ...]]:
    """Return the affine, the axes that lie in space, and notes."""
    units = set(re.findall(r"[a-zA-Zµ]+", header.text("space units", "mm"))) - {"none", "mm"}
    if units:
        raise header.unsupported(f"its lengths are in {sorted(units)}, not mm", FIX_HEADER)
    if "space directions" in header.fields:
        affine, spatial = _oriented(header, dimensions)
        is_oriented = "space" in header.fields
    else:
        affine, spatial = _unoriented(header, dimensions)
        is_oriented = False
    check_affine(affine, header.path)
    return affine, spatial, () if is_oriented else (NO_ORIENTATION,)


def _oriented(header: TextHeader, dimensions: int) -> tuple[Array, list[int]]:
    # A space of two dimensions has no name; SimpleITK writes a single slice this way.
    is_plane = "space" not in header.fields and header.text("space dimension", "") == "2"
    space = "lps" if is_plane else header.text("space").lower()
    if space not in TO_RAS:
        raise header.unsupported(f"its space is {space[:40]!r}", f"use one of {sorted(TO_RAS)}")
    vectors = re.findall(r"none|\([^)]*\)", header.text("space directions"))
    spatial = [axis for axis, vector in enumerate(vectors) if vector != "none"]
    if len(vectors) != dimensions or not 2 <= len(spatial) <= 3:
        raise header.broken(f"it has {len(spatial)} space directions")
    third = " 0" if is_plane else ""
    columns = [header.vector("space directions", vectors[axis] + third, 3) for axis in spatial]
    origin = header.vector("space origin", header.text("space origin", "0 0" if is_plane else "0 0 0") + third, 3)
    return TO_RAS[space] @ affine_from(np.stack(columns, axis=1), origin), spatial


def _unoriented(header: TextHeader, dimensions: int) -> tuple[Array, list[int]]:
    steps = header.text("spacings").lower().split()
    spatial = [axis for axis, step in enumerate(steps) if step != "nan"]
    if len(steps) != dimensions or not 2 <= len(spatial) <= 3:
        raise header.broken(f"its spacings are {' '.join(steps)[:60]!r}")
    spacing = header.vector("spacings", " ".join(steps[axis] for axis in spatial), len(spatial))
    return LPS_TO_RAS @ affine_from(np.eye(3)[:, : len(spatial)] * spacing, np.zeros(3)), spatial


def _voxels(header: TextHeader, shape: tuple[int, int, int]) -> StoredVoxels:
    encoding = header.text("encoding").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise header.unsupported(f"its encoding is {encoding[:40]!r}", "save it as raw or gzip")
    is_compressed = encoding != "raw"
    is_detached = "data file" in header.fields
    path = header.voxel_file(header.text("data file")) if is_detached else header.path
    dtype, skip = _dtype(header), header.integer("byte skip", "0")
    if skip < -1 or (skip == -1 and is_compressed) or header.text("line skip", "0") != "0":
        raise header.unsupported("it skips lines or bytes")
    start = 0 if is_detached else header.end
    voxels = StoredVoxels(header.path, path, shape, dtype, start, max(skip, 0), is_compressed)
    return voxels.at_end() if skip == -1 else voxels


def _dtype(header: TextHeader) -> np.dtype:
    name = header.text("type").lower()
    if name not in DTYPES:
        raise header.unsupported(f"its voxels are of type {name[:40]!r}", "convert it to float")
    dtype = DTYPES[name]
    if dtype.itemsize == 1:
        return dtype
    endian = header.text("endian").lower()
    if endian not in ("little", "big"):
        raise header.broken(f"endian is {endian[:40]!r}")
    return dtype.newbyteorder(">" if endian == "big" else "<")
