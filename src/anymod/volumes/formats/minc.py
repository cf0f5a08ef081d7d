"""MINC 1 (NetCDF) and MINC 2 (HDF5), decoded by nibabel and checked here; runs only in the sandbox's child process."""

from __future__ import annotations

import io
import math
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.externals.netcdf import netcdf_file
from nibabel.minc1 import Minc1File, MincError
from nibabel.minc2 import Minc2File

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.volumes.affines import check_affine
from anymod.volumes.formats.parsed import ParsedImage, three_sizes
from anymod.volumes.formats.signatures import SIGNATURE_BYTES, is_minc2
from anymod.volumes.formats.stored import (
    BOMB_BYTES,
    BOMB_RATIO,
    GET_AGAIN,
    MOST_VOXELS,
    expanded,
    first_bytes,
    to_float32,
)

IMAGE = "minc-2.0/image/0"  # the full-resolution image; others are smaller copies
SPATIAL = ("xspace", "yspace", "zspace")
LENGTH_TOLERANCE = 1e-3  # by which the length of a direction may differ from 1
CONVERT = "convert it to .nii.gz (mnc2nii)"
DAMAGES = (
    MincError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)  # raised by nibabel, its NetCDF reader and h5py on malformed files


def parse_minc(path: Path) -> ParsedImage:
    """Return a .mnc or .mnc.gz image, its axes in the order of the file's dimensions.

    Raises:
        VolumeError: The file is damaged, irregularly spaced, not one scalar volume, or MINC 2 without h5py installed.
    """
    start, is_gzip = first_bytes(path, SIGNATURE_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the declaration of spacings, which `_check_dimension` checks
            decoder = _minc2(path) if is_minc2(start) else _minc1(path, is_gzip)
        sizes = tuple(int(size) for size in decoder.get_data_shape())
        voxel = decoder.get_data_dtype()
        affine = np.asarray(decoder.get_affine(), np.float64)
        names = [str(name) for name in decoder._dim_names]
        dimensions = dict(zip(names, decoder._dims, strict=True))
    except DAMAGES as problem:
        raise _damaged(path, problem) from None
    if "vector_dimension" in names or voxel.kind not in "iuf":
        what = "colours or vectors" if "vector_dimension" in names else f"voxels of type {voxel}"
        raise VolumeError("unsupported image", path, f"it holds {what}", "convert it to an image of real numbers")
    if affine.shape != (4, 4):
        raise VolumeError("no volume", path, f"its dimensions are {', '.join(names)}", "give an image with x, y and z")
    for number, name in enumerate(name for name in names if name in SPATIAL):
        _check_dimension(path, name, dimensions[name], float(np.linalg.norm(affine[:3, number])))
    spatial = [size for name, size in zip(names, sizes, strict=True) if name in SPATIAL]
    others = [size for name, size in zip(names, sizes, strict=True) if name not in SPATIAL]
    shape = three_sizes([*spatial, *others], path)
    check_affine(affine, path)
    _check_claim(path, math.prod(shape), voxel.itemsize)
    return ParsedImage(shape, affine, (path,), partial(_voxels, path, decoder, shape))


def _voxels(path: Path, decoder: Minc1File, shape: tuple[int, int, int]) -> Array:
    """Return the voxels, float32, with each slice's own scaling applied."""
    try:
        return to_float32(np.asarray(decoder.get_scaled_data())).reshape(shape)
    except DAMAGES as problem:
        raise _damaged(path, problem) from None


def _check_dimension(path: Path, name: str, dimension: Any, length_mm: float) -> None:
    """Raise VolumeError if nibabel would misread a dimension's geometry; `length_mm` is the length of its step in nibabel's affine."""
    spacing = getattr(dimension, "spacing", "regular__")
    spacing = spacing.decode(errors="replace") if isinstance(spacing, bytes) else str(spacing)
    why = None
    if not hasattr(dimension, "step"):  # nibabel would assume 1 mm
        why = f"{name} has no step"
    elif spacing.rstrip("\0") != "regular__":
        why = f"{name} is spaced '{spacing[:20]}', not regularly"
    elif abs(length_mm - abs(float(np.ravel(dimension.step)[0]))) > LENGTH_TOLERANCE * length_mm:
        why = f"the direction of {name} is not a vector of length 1"
    if why is not None:
        raise VolumeError("no usable geometry", path, why, "fix the header (minc_modify_header)")


def _minc1(path: Path, is_gzip: bool) -> Minc1File:
    most = max(BOMB_BYTES, BOMB_RATIO * path.stat().st_size)
    content = bytearray()
    with path.open("rb") as file:
        for piece in expanded(file) if is_gzip else (file.read(),):
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
    image = _own_dataset(file, f"{IMAGE}/image")
    order = image.attrs.get("dimorder", b"")
    names = (order.decode() if isinstance(order, bytes) else str(order)).rstrip("\0").split(",")
    for name in names:
        _own_dataset(file, f"minc-2.0/dimensions/{name}")
    for name in ("image-max", "image-min"):
        scale = _own_dataset(file, f"{IMAGE}/{name}")
        if scale.shape not in ((), (1,)) and "dimorder" not in scale.attrs:
            raise MincError(f"{name} does not say which dimension it runs along")
    return Minc2File(file)


def _own_dataset(file: Any, place: str) -> Any:
    """Return a dataset of an HDF5 file; raise MincError if it refers to another file, which HDF5 would read wherever it is."""
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
    """Raise VolumeError if the file is too small for its claimed size, or the image too large."""
    if voxels > MOST_VOXELS:
        raise VolumeError("image too large", path, f"{voxels} voxels are more than {MOST_VOXELS}", "crop it first")
    if voxels * itemsize > max(BOMB_BYTES, BOMB_RATIO * path.stat().st_size):
        raise _bomb(path, voxels * itemsize)


def _bomb(path: Path, byte_count: int) -> VolumeError:
    why = f"{path.stat().st_size} bytes expand to {byte_count} or more, which no scan does"
    return VolumeError("suspicious compression", path, why, "store the file uncompressed if you trust it")


def _damaged(path: Path, problem: Exception) -> VolumeError:
    why = " ".join(str(problem).split())[:160] or type(problem).__name__
    return VolumeError("unreadable MINC", path, why, f"{GET_AGAIN}, or {CONVERT}")
