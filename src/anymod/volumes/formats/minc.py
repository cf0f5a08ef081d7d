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

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.volumes.affines import check_affine
from anymod.volumes.formats.shapes import three_sizes
from anymod.volumes.formats.signatures import LONGEST_BEGINNING, states_minc2
from anymod.volumes.formats.stored import (
    BOMB_BYTES,
    BOMB_RATIO,
    GET_AGAIN,
    MOST_VOXELS,
    expanded,
    first_bytes,
    to_float32,
)

IMAGE = "minc-2.0/image/0"  # the whole image; others are smaller copies
LONGEST_OFF = 1e-3  # of a direction's length from 1
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
            warnings.simplefilter("ignore")  # of how a dimension declares its spacing: `_check_dimension` judges that
            decoder = _minc2(path) if states_minc2(beginning) else _minc1(path, is_packed)
        sizes = tuple(int(size) for size in decoder.get_data_shape())
        voxel = decoder.get_data_dtype()
        affine = np.asarray(decoder.get_affine(), np.float64)
        names = [str(name) for name in decoder._dim_names]
        dimensions = dict(zip(names, decoder._dims, strict=True))
    except (*DAMAGES, OSError) as problem:
        raise _damaged(path, problem) from None
    if "vector_dimension" in names or voxel.kind not in "iuf":
        what = "colours or vectors" if "vector_dimension" in names else f"voxels of type {voxel}"
        raise VolumeError("unsupported image", path, f"it holds {what}", "convert it to an image of real numbers")
    if affine.shape != (4, 4):
        raise VolumeError("no volume", path, f"its dimensions are {', '.join(names)}", "give an image with x, y and z")
    for number, (name, dimension) in enumerate(each for each in dimensions.items() if is_spatial(each[0])):
        _check_dimension(path, name, dimension, float(np.linalg.norm(affine[:3, number])))
    spatial = [size for name, size in zip(names, sizes, strict=True) if is_spatial(name)]
    others = [size for name, size in zip(names, sizes, strict=True) if not is_spatial(name)]
    shape = three_sizes([*spatial, *others], path)
    check_affine(affine, path)
    _check_claim(path, math.prod(shape), voxel.itemsize)
    return MincImage(path, shape, affine, decoder)


def is_spatial(dimension: str) -> bool:
    """Return whether a dimension of that name lies in space."""
    return dimension in ("xspace", "yspace", "zspace")


def _check_dimension(path: Path, name: str, dimension: Any, length_mm: float) -> None:
    """Raise VolumeError where a dimension's geometry is not what nibabel takes it for; `length_mm` is that of its step in the affine."""
    spacing = getattr(dimension, "spacing", "regular__")
    spacing = spacing.decode(errors="replace") if isinstance(spacing, bytes) else str(spacing)
    why = None
    if not hasattr(dimension, "step"):  # nibabel would take 1 mm
        why = f"{name} states no step"
    elif spacing.rstrip("\0") != "regular__":
        why = f"{name} is spaced '{spacing[:20]}', not regularly"
    elif abs(length_mm - abs(float(np.ravel(dimension.step)[0]))) > LONGEST_OFF * length_mm:
        why = f"the direction of {name} is no vector of length 1"
    if why is not None:
        raise VolumeError("no usable geometry", path, why, "mend the header (minc_modify_header)")


def _minc1(path: Path, is_packed: bool) -> Minc1File:
    most = max(BOMB_BYTES, BOMB_RATIO * path.stat().st_size)
    content = bytearray()
    with path.open("rb") as file:
        for piece in expanded(file) if is_packed else (file.read(),):
            content += piece
            if len(content) > most:
                raise _bomb(path, len(content))
    return Minc1File(netcdf_file(io.BytesIO(bytes(content))))


def _minc2(path: Path) -> Minc2File:
    try:
        import h5py
    except ImportError:
        remedy = "pip install 'anymod[minc]', or convert it to .nii.gz (mnc2nii)"
        raise VolumeError("unsupported image", path, "it is MINC 2, and h5py is not installed", remedy) from None
    file = h5py.File(path, "r")
    image = _own(file, f"{IMAGE}/image")
    order = image.attrs.get("dimorder", b"")
    names = (order.decode() if isinstance(order, bytes) else str(order)).rstrip("\0").split(",")
    for name in names:
        _own(file, f"minc-2.0/dimensions/{name}")
    for name in ("image-max", "image-min"):
        scale = _own(file, f"{IMAGE}/{name}")
        if scale.shape not in ((), (1,)) and "dimorder" not in scale.attrs:
            raise MincError(f"{name} does not tell which dimension it runs along")
    return Minc2File(file)


def _own(file: Any, place: str) -> Any:
    """Return a data set of an HDF5 file, none of whose bytes lie in another file: those would be read wherever they are."""
    import h5py

    here = file
    for part in place.split("/"):
        if not isinstance(here.get(part, getlink=True), h5py.HardLink):
            raise MincError(f"{place} is not in it" if part not in here else f"{place} is a link")
        here = here[part]
    if not isinstance(here, h5py.Dataset) or here.external or here.is_virtual:
        raise MincError(f"{place} is kept in another file")
    return here


def _check_claim(path: Path, voxels: int, itemsize: int) -> None:
    """Raise VolumeError where the file is too small for what it claims, or the image too large."""
    size = path.stat().st_size
    if voxels > MOST_VOXELS:
        raise VolumeError("image too large", path, f"{voxels} voxels are more than {MOST_VOXELS}", "crop it first")
    if voxels * itemsize > max(BOMB_BYTES, BOMB_RATIO * size):
        raise _bomb(path, voxels * itemsize)


def _bomb(path: Path, byte_count: int) -> VolumeError:
    why = f"{path.stat().st_size} bytes expand to {byte_count} or more, which no scan does"
    return VolumeError("suspicious compression", path, why, "store the file uncompressed if you trust it")


def _damaged(path: Path, problem: Any) -> VolumeError:
    why = " ".join(str(problem).split())[:160] or type(problem).__name__
    return VolumeError("unreadable MINC", path, why, f"{GET_AGAIN}, or {CONVERT}")
