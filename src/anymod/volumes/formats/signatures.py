"""How files of each format begin; the content decides, not the name."""

from __future__ import annotations

import re

NIFTI_HEADER_SIZES = (348, 540)
METAIMAGE_FIELD = re.compile(rb"\s*(ObjectType|ObjectSubType|NDims|Comment|Name|ID|DimSize)\s*=", re.IGNORECASE)
LONGEST_BEGINNING = 256  # bytes that the functions below look at


def states_nifti(beginning: bytes) -> bool:
    """Return whether a file begins with the header size of a NIfTI file, in either byte order."""
    sizes = (int.from_bytes(beginning[:4], "little"), int.from_bytes(beginning[:4], "big"))
    return any(size in NIFTI_HEADER_SIZES for size in sizes)


def states_dicom(beginning: bytes) -> bool:
    """Return whether a file begins like a DICOM file."""
    return beginning[128:132] == b"DICM"


def states_minc1(beginning: bytes) -> bool:
    """Return whether a file begins like NetCDF, the container of MINC 1."""
    return beginning.startswith((b"CDF\x01", b"CDF\x02"))


def states_minc2(beginning: bytes) -> bool:
    """Return whether a file begins like HDF5, the container of MINC 2."""
    return beginning.startswith(b"\x89HDF\r\n\x1a\n")


def states_nrrd(beginning: bytes) -> bool:
    """Return whether a file begins like a NRRD header."""
    return beginning.startswith(b"NRRD000")


def states_metaimage(beginning: bytes) -> bool:
    """Return whether a file begins like a MetaImage header."""
    return METAIMAGE_FIELD.match(beginning) is not None
