"""MINC 1 (NetCDF) and MINC 2 (HDF5): decoded by nibabel, judged here; only the child process of `confinement` runs this."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.externals.netcdf import netcdf_file
from nibabel.minc1 import Minc1File, MincError
from nibabel.minc2 import Minc2File

from anymod.errors import VolumeError
from anymod.volumes.affines import Array, check_affine
from anymod.volumes.beginnings import LONGEST_BEGINNING, states_minc2
from anymod.volumes.shapes import three_sizes
from anymod.volumes.stored import BOMB_BYTES, BOMB_RATIO, GET_AGAIN, MOST_VOXELS, expanded, first_bytes, to_float32

CONVERT = "convert it to .nii.gz (mnc2nii)"
DAMAGES = (
    MincError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)  # what nibabel, its NetCDF reader and h5py raise where a file is not as they expect


@dataclass(frozen=True, eq=False)
class MincImage:
    """What a MINC file holds: sizes in the order of its dimensions, and its geometry; voxels come when asked for."""

    source: Path
    shape: tuple[int, int, int]
    affine: Array
    decoder: Minc1File
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.source,)

    def check(self) -> None:
        """Nothing is left to check."""

    def values(self) -> Array:
        """Return the voxels of `shape`, float32, with each slice's own scaling applied."""
        try:
            return to_float32(np.asarray(self.decoder.get_scaled_data())).reshape(self.shape)
        except (*DAMAGES, OSError) as problem:
            raise _damaged(self.source, problem) from None


def parse_minc(path: Path) -> MincImage:
    """Return a .mnc or .mnc.gz file's geometry.

    Raises:
        VolumeError: The file is damaged, irregularly spaced, no volume, or MINC 2 and h5py is not installed.
    """
    beginning, is_packed = first_bytes(path, LONGEST_BEGINNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # how a dimension declares its spacing; what is irregular is an error
            decoder = _minc2(path) if states_minc2(beginning) else _minc1(path, is_packed)
        sizes = tuple(int(size) for size in decoder.get_data_shape())
        voxel = decoder.get_data_dtype()
        affine = np.asarray(decoder.get_affine(), np.float64)
        names = [str(name) for name in decoder._dim_names]
        has_steps = all(
            hasattr(each, "step") for name, each in zip(names, decoder._dims, strict=True) if is_spatial(name)
        )
    except (*DAMAGES, OSError) as problem:
        raise _damaged(path, problem) from None
    if "vector_dimension" in names or voxel.kind not in "iuf":
        what = "colours or vectors" if "vector_dimension" in names else f"voxels of type {voxel}"
        raise VolumeError("unsupported image", path, f"it holds {what}", "convert it to an image of real numbers")
    if affine.shape != (4, 4):
        raise VolumeError("no volume", path, f"its dimensions are {', '.join(names)}", "give an image with x, y and z")
    if not has_steps:  # nibabel would take 1 mm
        raise VolumeError("no geometry", path, "a dimension states no step", "mend the header (minc_modify_header)")
    spatial = [size for name, size in zip(names, sizes, strict=True) if is_spatial(name)]
    others = [size for name, size in zip(names, sizes, strict=True) if not is_spatial(name)]
    shape = three_sizes([*spatial, *others], path)
    check_affine(affine, path)
    _check_claim(path, math.prod(shape), voxel.itemsize)
    return MincImage(path, shape, affine, decoder)


def is_spatial(dimension: str) -> bool:
    """Return whether a dimension of that name lies in space."""
    return dimension in ("xspace", "yspace", "zspace")


def _minc1(path: Path, is_packed: bool) -> Minc1File:
    with path.open("rb") as file:
        content = b"".join(expanded(file)) if is_packed else file.read()
    return Minc1File(netcdf_file(io.BytesIO(content)))


def _minc2(path: Path) -> Minc2File:
    try:
        import h5py
    except ImportError:
        remedy = "pip install 'anymod[minc]', or convert it to .nii.gz (mnc2nii)"
        raise VolumeError("unsupported image", path, "it is MINC 2, and h5py is not installed", remedy) from None
    return Minc2File(h5py.File(path, "r"))


def _check_claim(path: Path, voxels: int, itemsize: int) -> None:
    """Raise VolumeError where the file is too small for what it claims, or the image too large."""
    size = path.stat().st_size
    if voxels > MOST_VOXELS:
        raise VolumeError("image too large", path, f"{voxels} voxels are more than {MOST_VOXELS}", "crop it first")
    if voxels * itemsize > max(BOMB_BYTES, BOMB_RATIO * size):
        why = f"{size} bytes expand to {voxels * itemsize}, which no scan does"
        raise VolumeError("suspicious compression", path, why, "store the file uncompressed if you trust it")


def _damaged(path: Path, problem: Any) -> VolumeError:
    why = " ".join(str(problem).split())[:160] or type(problem).__name__
    return VolumeError("unreadable MINC", path, why, f"{GET_AGAIN}, or {CONVERT}")
