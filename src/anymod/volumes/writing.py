"""Writing of volumes as NIfTI: a file is complete and has been read back, or does not exist."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from anymod.arrays import Array
from anymod.errors import OutputError, VolumeError
from anymod.files import atomic_write
from anymod.volumes.affines import has_right_angles
from anymod.volumes.formats.nifti import parse_nifti
from anymod.volumes.grid import Grid, Volume

DESCRIPTION_BYTES = 79  # the header has 80, and the last one is 0


def write_volume(path: Path | str, volume: Volume, description: str = "") -> None:
    """Write a .nii.gz or .nii file: float32, or int16 (int32 where the values need it) for integer and boolean data.

    Args:
        path: File to write; a missing folder is created, and a file of this name is replaced.
        volume: Image or labels; the affine is stored as sform and, if its axes are perpendicular, as qform.
        description: Text for the header's `descrip`, cut at 79 bytes.

    Raises:
        VolumeError: The data hold NaN or infinity.
        OutputError: The path cannot be written, or the file reads back differently. No file is left behind.
    """
    path = Path(path)
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise OutputError("cannot write", path, "its name must end in .nii.gz or .nii", "choose another name")
    data = _stored(volume)
    image = nib.Nifti1Image(data, volume.affine, dtype=data.dtype)
    image.header["descrip"] = description.encode("utf-8")[:DESCRIPTION_BYTES]
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.affine, code=volume.grid.space)
    straight = has_right_angles(volume.affine)
    image.set_qform(volume.affine if straight else None, code=volume.grid.space if straight else 0)
    with atomic_write(path) as temporary:
        nib.save(image, temporary)
        _read_back(temporary, data, volume.grid, path)


def _stored(volume: Volume) -> Array:
    if volume.data.dtype.kind in "iub":
        limits = np.iinfo(np.int16)
        fits = limits.min <= volume.data.min() and volume.data.max() <= limits.max
        return volume.data.astype(np.int16 if fits else np.int32, copy=False)
    data = volume.data.astype(np.float32, copy=False)
    if not (np.isfinite(data.min()) and np.isfinite(data.max())):
        raise VolumeError(
            "unusable image", volume.source or "the image", "it holds NaN or infinity", "replace those voxels first"
        )
    return data


def _read_back(temporary: Path, data: Array, grid: Grid, path: Path) -> None:
    image = parse_nifti(temporary)
    values = image.values()
    # The header stores the affine as float32, which moves a corner by less than this.
    same_place = Grid(image.shape, image.affine).same_as(grid, tolerance_mm=1e-2)
    if values.dtype != data.dtype or not same_place or not np.array_equal(values, data):
        raise OutputError("cannot write", path, "it reads back differently", "check the disk and write again")
