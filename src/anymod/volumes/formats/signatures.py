"""Signatures: the first bytes by which a file's format is recognized, whatever its name."""

from __future__ import annotations

import re
from pathlib import Path

NIFTI_HEADER_SIZES = (348, 540)
METAIMAGE_FIELD = re.compile(rb"\s*(ObjectType|ObjectSubType|NDims|Comment|Name|ID|DimSize)\s*=", re.IGNORECASE)
VALUE_REPRESENTATIONS = {b"AE", b"CS", b"DA", b"DT", b"LO", b"OB", b"SH", b"SQ", b"ST", b"TM", b"UI", b"UL", b"US"}
LONGEST_FIRST_VALUE = 256  # bytes; the first elements are lengths, character sets and dates
SIGNATURE_BYTES = 256  # number of bytes that the functions below need


def is_nifti(start: bytes) -> bool:
    """Return whether a file starts with the size of a NIfTI header, in either byte order."""
    sizes = (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
    return any(size in NIFTI_HEADER_SIZES for size in sizes)


def is_dicom(start: bytes) -> bool:
    """Return whether a file starts like a DICOM file, or like a data set without the preamble of one."""
    return has_preamble(start) or _is_data_set(start)


def has_preamble(start: bytes) -> bool:
    """Return whether a file starts with DICOM's 128 bytes and its mark."""
    return start[128:132] == b"DICM"


def _is_data_set(start: bytes) -> bool:
    """Return whether a file starts with a data element of the groups 2 or 8, which begin every data set."""
    if len(start) < 8:
        return False
    is_explicit = start[4:6] in VALUE_REPRESENTATIONS
    if start[:2] in (b"\0\x02", b"\0\x08"):
        return is_explicit  # big-endian
    length = int.from_bytes(start[4:8], "little")
    is_short = length % 2 == 0 and length <= LONGEST_FIRST_VALUE
    return start[:2] in (b"\x02\0", b"\x08\0") and start[3] <= 0x20 and (is_explicit or is_short)


def is_dicom_file(path: Path) -> bool:
    """Return whether the file at `path` starts like a DICOM file."""
    with path.open("rb") as file:
        return is_dicom(file.read(SIGNATURE_BYTES))


def is_minc1(start: bytes) -> bool:
    """Return whether a file starts like NetCDF, the container of MINC 1."""
    return start.startswith((b"CDF\x01", b"CDF\x02"))


def is_minc2(start: bytes) -> bool:
    """Return whether a file starts like HDF5, the container of MINC 2."""
    return start.startswith(b"\x89HDF\r\n\x1a\n")


def is_nrrd(start: bytes) -> bool:
    """Return whether a file starts like a NRRD header."""
    return start.startswith(b"NRRD000")


def is_metaimage(start: bytes) -> bool:
    """Return whether a file starts like a MetaImage header."""
    return METAIMAGE_FIELD.match(start) is not None
