"""NIfTI headers: parsed by nibabel, judged here, with nothing believed that the file cannot hold."""

from __future__ import annotations

import math
from pathlib import Path

import nibabel as nib
import numpy as np

from anymod.errors import VolumeError
from anymod.volumes.formats.nifti_affine import affine_of
from anymod.volumes.formats.shapes import three_sizes
from anymod.volumes.formats.stored import GET_AGAIN, StoredImage, first_bytes

HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}  # by the size that the header states first
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

SYNTHETIC = "anymod synthetic"  # how `descrip` begins in what this package made up


def parse_nifti(path: Path) -> StoredImage:
    """Return what the header of a .nii or .nii.gz file claims; raise VolumeError where that cannot be believed."""
    beginning, is_packed = first_bytes(path, LARGEST_HEADER)
    header = _header(beginning, path)
    dtype = _dtype(header, path)
    slope, intercept, scaling_notes = _scaling(header)
    shape = _shape(header, path)
    affine, geometry_notes = affine_of(header, shape, path)
    return StoredImage(
        source=path,
        path=path,
        shape=shape,
        dtype=dtype,
        affine=affine,
        skip=_voxel_offset(header, path),
        is_packed=is_packed,
        slope=slope,
        intercept=intercept,
        notes=geometry_notes + scaling_notes + _origin(header),
    )


def _origin(header: nib.Nifti1Header) -> tuple[str, ...]:
    """Return a note where this package made the image up, lest it passes for a scan when it is fed back."""
    is_synthetic = header["descrip"].tobytes().startswith(SYNTHETIC.encode())
    return ("it is a synthetic image, not a scan",) if is_synthetic else ()


def _header(beginning: bytes, path: Path) -> nib.Nifti1Header:
    sizes = (int.from_bytes(beginning[:4], "little"), int.from_bytes(beginning[:4], "big"))
    size = next((size for size in sizes if size in HEADERS), None)
    if size is None or len(beginning) < size:
        raise VolumeError("no NIfTI file", path, "it does not begin with a NIfTI header", GET_AGAIN)
    magic = beginning[MAGIC_PLACES[size]]
    if magic[:3] in (b"ni1", b"ni2"):
        why = "its voxels lie in a separate .img file"
        raise VolumeError("unsupported NIfTI pair", path, why, "convert it to one .nii.gz file")
    if magic != MAGICS[size]:
        why = f"its magic bytes are {magic!r}, not {MAGICS[size]!r}"
        raise VolumeError("no NIfTI file", path, why, "convert it to .nii.gz (Analyze files carry no orientation)")
    # Four zero bytes: no extensions; nibabel would read them into memory, and nothing here needs them.
    order = "<" if sizes[0] == size else ">"
    header = HEADERS[size](beginning[:size], endianness=order, check=False)
    return header


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
        return 1.0, 0.0, ()  # the standard's way to say that there is none
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        note = f"intensity scaling ignored, as its slope is {slope:g} and its intercept {intercept:g}"
        return 1.0, 0.0, (note,)
    return slope, intercept, ()
