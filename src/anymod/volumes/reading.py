"""Reading of images and labels in every supported format."""

from __future__ import annotations

import hashlib
import logging
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.files import sha256
from anymod.volumes.affines import check_size
from anymod.volumes.checks import check_image
from anymod.volumes.formats.metaimage import parse_metaimage
from anymod.volumes.formats.nifti import parse_nifti
from anymod.volumes.formats.nrrd import parse_nrrd
from anymod.volumes.formats.parsed import ParsedImage
from anymod.volumes.formats.sandbox import parse_in_sandbox
from anymod.volumes.formats.signatures import (
    SIGNATURE_BYTES,
    is_dicom,
    is_metaimage,
    is_minc1,
    is_minc2,
    is_nifti,
    is_nrrd,
)
from anymod.volumes.formats.stored import first_bytes, to_float32
from anymod.volumes.grid import Grid, Volume
from anymod.volumes.straightening import straighten_image, straighten_labels

logger = logging.getLogger(__name__)

FORMATS = "NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd), MINC (.mnc) or a DICOM series"


def read_volume(path: Path | str) -> Volume:
    """Return an image as float32, after checks of its integrity, geometry and intensities.

    Args:
        path: A .nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd or .mnc file, a folder with one DICOM series, or a file of such a series.

    Raises:
        VolumeError: The file is truncated, damaged, of another format, without usable geometry, constant or not finite.
    """
    path = Path(path)
    volume = _read(path, to_float32)
    check_image(volume)
    return _logged(straighten_image(volume))


def read_labels(path: Path | str) -> Volume:
    """Return labels or a mask as int32, after the same checks as for an image; a constant label map is allowed.

    Raises:
        VolumeError: As in `read_volume`, and if a value is not an integer.
    """
    path = Path(path)
    return _logged(straighten_labels(_read(path, lambda values: _integers(values, path))))


def image_fingerprint(path: Path | str) -> str:
    """Return the SHA-256 of an image's file, or of the hashes of its files if it has several (a DICOM series, a detached header)."""
    path = Path(path)
    with _naming(path):
        parts = [sha256(file) for file in _parse(path).files]
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()


def _read(path: Path, convert: Callable[[Array], Array]) -> Volume:
    with _naming(path):
        image = _parse(path)
        notes = (*image.notes, *check_size(image.affine, image.shape, path))
        grid = Grid(image.shape, image.affine, image.space)
        return Volume(convert(image.values()), grid, str(path), notes)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn errors of the operating system and lack of memory into VolumeErrors that name the file."""
    try:
        yield
    except OSError as problem:
        raise VolumeError("unreadable file", path, problem.strerror or str(problem), "check the path") from None
    except MemoryError:
        raise VolumeError("image too large", path, "it does not fit into memory", "crop or resample it first") from None


def _parse(path: Path) -> ParsedImage:
    if path.is_dir():
        return parse_in_sandbox(path)
    if "\0" in str(path) or not path.is_file():
        why = "it is not a regular file" if path.exists() else "it does not exist"
        remedy = "check the path"
        if (twin := _spelled_otherwise(path)) is not None:
            why, remedy = f"its folder spells the name as {twin!a}", "rename it, so that umlauts are one character"
        raise VolumeError("no such file", path, why, remedy)
    if path.stat().st_size == 0:
        raise VolumeError("empty file", path, "it has 0 bytes", "get the file again from its source")
    start, is_gzip = first_bytes(path, SIGNATURE_BYTES)
    name = path.name.lower()
    if is_minc2(start) and is_gzip:
        raise VolumeError("compressed MINC 2", path, "it is gzip", "decompress it (gunzip)")
    if (is_dicom(start) and not is_gzip) or is_minc1(start) or is_minc2(start):
        return parse_in_sandbox(path)
    if is_nrrd(start) and not is_gzip:
        return parse_nrrd(path)
    if is_nifti(start) or name.endswith((".nii", ".nii.gz")):
        return parse_nifti(path)
    if (is_metaimage(start) or name.endswith((".mha", ".mhd"))) and not is_gzip:
        return parse_metaimage(path)
    raise VolumeError("no image file", path, "its content is of no known format", f"give {FORMATS}")


def _spelled_otherwise(path: Path) -> str | None:
    """Return the name of the file that looks alike and has other characters (decomposed umlauts), or None."""
    if "\0" in str(path) or path.exists() or not path.parent.is_dir():
        return None
    wanted = unicodedata.normalize("NFC", path.name)
    return next(
        (each.name for each in path.parent.iterdir() if unicodedata.normalize("NFC", each.name) == wanted), None
    )


def _integers(values: Array, path: Path) -> Array:
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise VolumeError("broken labels", path, "they hold NaN or infinity", "fix the labels")
        rounded = np.rint(values)
        if np.abs(values - rounded).max() > 1e-3:
            raise VolumeError("no labels", path, "not all values are whole numbers", "give a label map, not an image")
        values = rounded
    limits = np.iinfo(np.int32)
    if values.min() < limits.min or values.max() > limits.max:
        raise VolumeError("broken labels", path, "values beyond 32 bits", "renumber the labels")
    return values.astype(np.int32, order="K", copy=False)


def _logged(volume: Volume) -> Volume:
    for note in volume.notes:
        logger.warning("%s: %s", volume.source, note)
    return volume
