"""MetaImage (.mha, .mhd), parsed without SimpleITK (decision 8)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.volumes.affines import LPS_TO_RAS, check_affine
from anymod.volumes.formats.header_text import FIX_HEADER, TextHeader, affine_from, read_start
from anymod.volumes.formats.parsed import ParsedImage, three_sizes
from anymod.volumes.formats.stored import GET_AGAIN, StoredVoxels

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
SYNONYMS = {
    "position": "offset",
    "origin": "offset",
    "rotation": "transformmatrix",
    "orientation": "transformmatrix",
    "elementbyteordermsb": "binarydatabyteordermsb",
}
BOOLEANS = {**dict.fromkeys(("true", "t", "1", "yes"), True), **dict.fromkeys(("false", "f", "0", "no"), False)}


def parse_metaimage(path: Path) -> ParsedImage:
    """Return a .mha or .mhd image.

    Raises:
        VolumeError: The header is malformed, claims more than the file holds, or describes anything but one scalar volume.
    """
    header = _header(path)
    dimensions, sizes = header.integer("NDims"), header.integers("DimSize")
    if not 2 <= dimensions <= 4 or len(sizes) != dimensions:
        raise header.broken(f"NDims is {dimensions} and DimSize {sizes}")
    channels = header.integer("ElementNumberOfChannels", "1")
    if channels != 1:
        raise header.unsupported(f"it has {channels} channels", "convert it to one channel")
    shape, affine = three_sizes(sizes, path), _affine(header, dimensions)
    return _voxels(header, shape).image(affine)


def _header(path: Path) -> TextHeader:
    """Return the fields up to ElementDataFile, which is the last one."""
    start = read_start(path)
    fields: dict[str, str] = {}
    end = 0
    while end < len(start) and "elementdatafile" not in fields:
        line, newline, _ = start[end : end + 4096].partition(b"\n")
        name, equals, value = line.decode("latin-1").partition("=")
        if not newline or not equals:
            raise VolumeError("broken header", path, f"line {len(fields) + 1} is no 'key = value'", FIX_HEADER)
        name = name.strip().lower()
        fields[SYNONYMS.get(name, name)] = value.strip()
        end += len(line) + 1
    return TextHeader(path, fields, end)


def _voxels(header: TextHeader, shape: tuple[int, int, int]) -> StoredVoxels:
    name = header.text("ElementDataFile")
    is_local = name.upper() == "LOCAL"
    path = header.path if is_local else header.voxel_file(name)
    dtype, is_compressed = _dtype(header), _boolean(header, "CompressedData")
    skip = header.integer("HeaderSize", "0")
    if skip < -1 or (skip == -1 and is_compressed):
        raise header.broken(f"HeaderSize is {skip}")
    start = (header.end if is_local else 0) + max(skip, 0)
    held, claimed = path.stat().st_size - start, header.integer("CompressedDataSize", "0")
    if is_compressed and claimed > held:
        why = f"it claims {claimed} compressed bytes and has {max(0, held)}"
        raise VolumeError("truncated file", header.path, why, GET_AGAIN)
    voxels = StoredVoxels(header.path, path, shape, dtype, start, is_compressed=is_compressed)
    return voxels.at_end() if skip == -1 else voxels


def _dtype(header: TextHeader) -> np.dtype:
    name = header.text("ElementType").upper()
    if name not in TYPES:
        raise header.unsupported(f"its voxels are of type {name[:40]!r}", "convert it to MET_FLOAT")
    if not _boolean(header, "BinaryData", "true"):
        raise header.unsupported("its voxels are written as text")
    return np.dtype(TYPES[name]).newbyteorder(">" if _boolean(header, "BinaryDataByteOrderMSB") else "<")


def _boolean(header: TextHeader, name: str, default: str = "false") -> bool:
    text = header.text(name, default)
    if text.lower() not in BOOLEANS:
        raise header.broken(f"'{name}' is {text[:60]!r} and not True or False")
    return BOOLEANS[text.lower()]


def _affine(header: TextHeader, dimensions: int) -> Array:
    spacing_text = header.fields.get("elementspacing", header.fields.get("elementsize"))
    if spacing_text is None:
        raise VolumeError("no geometry", header.path, "there is no 'ElementSpacing'", FIX_HEADER)
    spacing = header.vector("ElementSpacing", spacing_text, dimensions)
    identity = " ".join(map(str, np.eye(dimensions).ravel()))
    matrix = header.vector("TransformMatrix", header.text("TransformMatrix", identity), dimensions**2)
    origin = header.vector("Offset", header.text("Offset", "0 " * dimensions), dimensions)
    # Each row of the matrix is the direction of one axis.
    axes = matrix.reshape(dimensions, dimensions)[:3, :3].T * spacing[:3]
    directions, corner = np.zeros((3, axes.shape[1])), np.zeros(3)
    directions[: axes.shape[0]] = axes
    corner[: axes.shape[0]] = origin[:3]
    affine = LPS_TO_RAS @ affine_from(directions, corner)
    check_affine(affine, header.path)
    return affine
