"""NIfTI (.nii, .nii.gz): headers are decoded by nibabel and checked here before any voxel is read."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from anymod.errors import VolumeError
from anymod.volumes.formats.nifti_affine import affine_of
from anymod.volumes.formats.parsed import ParsedImage, three_sizes
from anymod.volumes.formats.stored import GET_AGAIN, StoredVoxels, first_bytes

HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}  # by the header size, which is the first field
MAGICS = {348: b"n+1\0", 540: b"n+2\0\r\n\x1a\n"}
MAGIC_PLACES = {348: slice(344, 348), 540: slice(4, 12)}
LARGEST_HEADER = 544

DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
REFUSED = {
    0: "voxels of no known type",
    1: "one-bit voxels",
    32: "complex voxels",
    128: "colours (RGB)",
    1536: "128-bit voxels",
    1792: "complex voxels",
    2048: "complex voxels",
    2304: "colours (RGBA)",
}

SYNTHETIC = "anymod synthetic"  # start of `descrip` in images that this package synthesized


def parse_nifti(path: Path) -> ParsedImage:
    """Return a .nii or .nii.gz image.

    Raises:
        VolumeError: The header is malformed, claims more than the file holds, or describes anything but one scalar volume.
    """
    start, is_gzip = first_bytes(path, LARGEST_HEADER)
    header = _header(start, path)
    dtype = _dtype(header, path)
    slope, intercept, scaling_notes = _scaling(header)
    shape = _shape(header, path)
    affine, space, geometry_notes = affine_of(header, shape, path)
    offset = _voxel_offset(header, path)
    voxels = StoredVoxels(path, path, shape, dtype, 0, offset, is_gzip, slope, intercept)
    notes = geometry_notes + scaling_notes + _origin_notes(header)
    return replace(voxels.image(affine, notes), space=space)


def _origin_notes(header: nib.Nifti1Header) -> tuple[str, ...]:
    """Return a note if this package synthesized the image, so that it does not pass for a scan when it is read again."""
    is_synthetic = header["descrip"].tobytes().startswith(SYNTHETIC.encode())
    return ("it is a synthetic image, not a scan",) if is_synthetic else ()


def _header(start: bytes, path: Path) -> nib.Nifti1Header:
    sizes = (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
    size = next((size for size in sizes if size in HEADERS), None)
    if size is None or len(start) < size:
        raise VolumeError("no NIfTI file", path, "it does not begin with a NIfTI header", GET_AGAIN)
    magic = start[MAGIC_PLACES[size]]
    if magic[:3] in (b"ni1", b"ni2"):
        why = "its voxels lie in a separate .img file"
        raise VolumeError("unsupported NIfTI pair", path, why, "convert it to one .nii.gz file")
    if magic != MAGICS[size]:
        why = f"its magic bytes are {magic!r}, not {MAGICS[size]!r}"
        raise VolumeError("no NIfTI file", path, why, "convert it to .nii.gz (Analyze files carry no orientation)")
    # Only the header's own bytes: nibabel would load extensions of any claimed size, and nothing here needs them.
    return HEADERS[size](start[:size], endianness="<" if sizes[0] == size else ">", check=False)


def _dtype(header: nib.Nifti1Header, path: Path) -> np.dtype:
    code = int(header["datatype"])
    if code not in DTYPES:
        what = REFUSED.get(code, f"voxels of the unknown type {code}")
        raise VolumeError("unsupported image", path, f"it holds {what}", "convert it to an image of real numbers")
    return np.dtype(DTYPES[code]).newbyteorder(header.endianness)


def _shape(header: nib.Nifti1Header, path: Path) -> tuple[int, int, int]:
    dimensions, *sizes = (int(size) for size in header["dim"])
    if not 1 <= dimensions <= 7:
        raise VolumeError("broken header", path, f"it claims {dimensions} dimensions", GET_AGAIN)
    return three_sizes(sizes[:dimensions], path)


def _voxel_offset(header: nib.Nifti1Header, path: Path) -> int:
    smallest = int(header["sizeof_hdr"]) + 4
    offset = float(header["vox_offset"])
    if offset == 0:
        return smallest  # some writers leave it out
    if not math.isfinite(offset) or offset < smallest or offset != int(offset):
        raise VolumeError("broken header", path, f"its voxels cannot start at byte {offset:g}", GET_AGAIN)
    return int(offset)


def _scaling(header: nib.Nifti1Header) -> tuple[float, float, tuple[str, ...]]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0:
        return 1.0, 0.0, ()  # the standard's way to say that there is no scaling
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        note = f"intensity scaling ignored: its slope is {slope:g} and its intercept {intercept:g}"
        return 1.0, 0.0, (note,)
    return slope, intercept, ()
