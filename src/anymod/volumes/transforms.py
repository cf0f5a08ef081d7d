"""ITK's transform files (`.tfm`, `.txt`): text that says which point of one image shows what a point of another does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.volumes.affines import LPS_TO_RAS

SUFFIXES = (".tfm", ".txt")
FIRST_LINE = "#Insight Transform File"
MOST_BYTES = 64 << 20  # a B-spline over a head has under a megabyte


def read_transform(path: Path) -> sitk.Transform:
    """Return the transform in a text file of ITK's; raise VolumeError where there is none, or numbers in it are not finite."""
    path = Path(path)
    try:
        if path.suffix.lower() not in SUFFIXES or path.stat().st_size > MOST_BYTES:
            raise VolumeError("unreadable transform", path, "it is no text file of ITK's", "save it as .tfm")
        with path.open(encoding="utf-8") as stream:
            if not stream.readline().startswith(FIRST_LINE):
                raise VolumeError("unreadable transform", path, f"it does not begin '{FIRST_LINE}'", "save it as .tfm")
        transform = sitk.ReadTransform(str(path))
    except FileNotFoundError:
        raise VolumeError("no such file", path, "nothing is there", "check the path") from None
    except (OSError, UnicodeDecodeError, RuntimeError) as problem:
        why = str(problem).strip().splitlines()[-1]
        raise VolumeError("unreadable transform", path, why, "save it again as .tfm") from problem
    if transform.GetDimension() != 3:
        why = f"it is for {transform.GetDimension()} dimensions"
        raise VolumeError("unusable transform", path, why, "give one for volumes")
    if not np.isfinite([*transform.GetParameters(), *transform.GetFixedParameters()]).all():
        raise VolumeError("unusable transform", path, "a number in it is not finite", "save it again")
    return transform


def between_voxels(first: Array, transform: sitk.Transform, second: Array) -> sitk.Transform:
    """Return the transform from voxels of a grid to voxels of another, given their affines (RAS) and what takes points (LPS) between."""
    steps = [as_transform(np.linalg.inv(second) @ LPS_TO_RAS), transform, as_transform(LPS_TO_RAS @ first)]
    return sitk.CompositeTransform(steps)  # the last is applied first


def as_transform(matrix: Array) -> sitk.AffineTransform:
    """Return an affine [4, 4] as ITK's transform."""
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    return transform
