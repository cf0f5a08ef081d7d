"""Spatial transforms between images: reading ITK's text files (`.tfm`, `.txt`), and conversion to and from affines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.texts import read_text
from anymod.volumes.affines import LPS_TO_RAS

SUFFIXES = (".tfm", ".txt")
FIRST_LINE = "#Insight Transform File"
MOST_BYTES = 64 << 20  # a B-spline over a head has under a megabyte


def read_transform(path: Path) -> sitk.Transform:
    """Return the transform in one of ITK's text files.

    Raises:
        VolumeError: The file holds no transform of three dimensions, or a number in it is not finite.
    """
    path = Path(path)
    try:
        if path.suffix.lower() not in SUFFIXES:
            raise VolumeError("unreadable transform", path, "it is no ITK transform in text form", "save it as .tfm")
        if not read_text(path, MOST_BYTES).startswith(FIRST_LINE):
            raise VolumeError("unreadable transform", path, f"it does not begin '{FIRST_LINE}'", "save it as .tfm")
        transform = sitk.ReadTransform(str(path))
    except FileNotFoundError:
        raise VolumeError("no such file", path, "it does not exist", "check the path") from None
    except (OSError, UnicodeError, RuntimeError) as problem:
        why = str(problem).strip().splitlines()[-1]
        raise VolumeError("unreadable transform", path, why, "save it again as .tfm") from problem
    if transform.GetDimension() != 3:
        why = f"it has {transform.GetDimension()} dimensions"
        raise VolumeError("unusable transform", path, why, "give one with 3 dimensions")
    if not np.isfinite([*transform.GetParameters(), *transform.GetFixedParameters()]).all():
        raise VolumeError("unusable transform", path, "a number in it is not finite", "save it again")
    return transform


def between_voxels(first: Array, transform: sitk.Transform, second: Array) -> sitk.Transform:
    """Return the transform of voxel indices from a first to a second grid, given their affines (RAS) and a transform of points (LPS)."""
    steps = [as_transform(np.linalg.inv(second) @ LPS_TO_RAS), transform, as_transform(LPS_TO_RAS @ first)]
    return sitk.CompositeTransform(steps)  # the last is applied first


def as_transform(matrix: Array) -> sitk.AffineTransform:
    """Return an affine [4, 4] as an ITK transform."""
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    return transform
