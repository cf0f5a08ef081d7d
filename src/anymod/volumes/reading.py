"""The one reader of the package: a path in, a checked volume out, whatever the format."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.files import sha256
from anymod.volumes.checks import check_image
from anymod.volumes.formats.metaimage import parse_metaimage
from anymod.volumes.formats.nifti import parse_nifti
from anymod.volumes.formats.nrrd import parse_nrrd
from anymod.volumes.formats.sandbox import parse_in_sandbox
from anymod.volumes.formats.signatures import (
    LONGEST_BEGINNING,
    states_dicom,
    states_metaimage,
    states_minc1,
    states_minc2,
    states_nifti,
    states_nrrd,
)
from anymod.volumes.formats.stored import first_bytes, to_float32
from anymod.volumes.grid import Grid, Volume
from anymod.volumes.straightening import straight_grid, straighten_image, straighten_labels

logger = logging.getLogger(__name__)

FORMATS = "NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd), MINC (.mnc) or a DICOM series"


@runtime_checkable
class ParsedImage(Protocol):
    """What every format's parser returns: geometry from the header, and the voxels when asked for."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the image is read from."""

    @property
    def affine(self) -> Array:
        """[4, 4] float64, voxel -> world mm, RAS+."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the parser had to decide."""

    def check(self) -> None:
        """Raise VolumeError where the file cannot hold what its header claims."""

    def values(self) -> Array:
        """Return the voxels [X, Y, Z] with the file's scaling applied."""


def read_volume(path: Path | str) -> Volume:
    """Return an image as float32, with everything checked that can be: integrity, geometry, and that it holds an image.

    Args:
        path: A .nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd or .mnc file, a folder with one DICOM series, or a file of that series.

    Raises:
        VolumeError: The file is truncated, damaged, of another kind, without a usable geometry, constant or not finite.
    """
    path = Path(path)
    image = _parse(path)
    volume = Volume(to_float32(_values(image, path)), _grid(image), str(path), image.notes)
    check_image(volume)
    volume = straighten_image(volume)
    _log(volume)
    return volume


def read_labels(path: Path | str) -> Volume:
    """Return labels or a mask as int32, with the same checks as an image; constant labels (nothing marked) are fine.

    Raises:
        VolumeError: As `read_volume`, and where a value is no whole number.
    """
    path = Path(path)
    image = _parse(path)
    labels = _whole_numbers(_values(image, path), path)
    volume = straighten_labels(Volume(labels, _grid(image), str(path), image.notes))
    _log(volume)
    return volume


def inspect_volume(path: Path | str) -> Grid:
    """Return the grid that reading the file would give, from headers and file sizes alone.

    Damage inside of the voxel data is found by reading only.
    """
    image = _parse(Path(path))
    image.check()
    return straight_grid(_grid(image))


def image_fingerprint(path: Path | str) -> str:
    """Return the SHA-256 of an image's file; of several (a DICOM series, a header apart) that of theirs, one after the other."""
    parts = [sha256(file) for file in _parse(Path(path)).files]
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()


def _parse(path: Path) -> ParsedImage:
    try:
        return parse_in_sandbox(path) if path.is_dir() else _parse_file(path)
    except OSError as problem:
        raise VolumeError("unreadable file", path, problem.strerror or str(problem), "check the path") from None


def _parse_file(path: Path) -> ParsedImage:
    if "\0" in str(path) or not path.is_file():
        why = "it is no regular file" if path.exists() else "nothing is there"
        raise VolumeError("no such file", path, why, "check the path")
    if path.stat().st_size == 0:
        raise VolumeError("empty file", path, "it has 0 bytes", "get the file again from its source")
    beginning, is_packed = first_bytes(path, LONGEST_BEGINNING)
    name = path.name.lower()
    if states_dicom(beginning):
        return parse_in_sandbox(path)
    if states_minc1(beginning) or (states_minc2(beginning) and not is_packed):
        return parse_in_sandbox(path, alone=True)
    if states_minc2(beginning):
        raise VolumeError("packed MINC 2", path, "it lies in a gzip file", "unpack it (gunzip)")
    if states_nrrd(beginning) and not is_packed:
        return parse_nrrd(path)
    if states_nifti(beginning) or name.endswith((".nii", ".nii.gz")):
        return parse_nifti(path)
    if (states_metaimage(beginning) or name.endswith((".mha", ".mhd"))) and not is_packed:
        return parse_metaimage(path)
    raise VolumeError("no image file", path, "its content is of no known format", f"give {FORMATS}")


def _grid(image: ParsedImage) -> Grid:
    return Grid(image.shape, image.affine)


def _values(image: ParsedImage, path: Path) -> Array:
    try:
        return image.values()
    except MemoryError:
        why = f"{' x '.join(map(str, image.shape))} voxels do not fit into memory"
        raise VolumeError("image too large", path, why, "crop or resample it first") from None


def _whole_numbers(values: Array, path: Path) -> Array:
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise VolumeError("broken labels", path, "they hold NaN or infinity", "mend the labels")
        whole = np.rint(values)
        if np.abs(values - whole).max() > 1e-3:
            raise VolumeError("no labels", path, "not all values are whole numbers", "give a label map, not an image")
        values = whole
    limits = np.iinfo(np.int32)
    if values.min() < limits.min or values.max() > limits.max:
        raise VolumeError("broken labels", path, "values beyond 32 bits", "renumber the labels")
    return values.astype(np.int32, order="K", copy=False)


def _log(volume: Volume) -> None:
    for note in volume.notes:
        logger.warning("%s: %s", volume.source, note)
