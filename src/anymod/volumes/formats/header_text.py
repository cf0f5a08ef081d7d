"""Headers written as lines of text (NRRD, MetaImage): found, split and turned into numbers without trust."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.files import confined

LONGEST_HEADER = 2**20  # bytes; a diffusion scan's key-value lines take some thousands
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
MEND = "mend the header or convert the image to .nii.gz"


def read_beginning(path: Path) -> bytes:
    """Return the bytes that may hold a text header."""
    with path.open("rb") as file:
        return file.read(LONGEST_HEADER)


def required(fields: dict[str, str], name: str, where: Path) -> str:
    """Return a field's text; raise VolumeError where it is missing."""
    if name not in fields:
        raise VolumeError("broken header", where, f"there is no '{name}'", MEND)
    return fields[name]


def whole_numbers(text: str, name: str, where: Path) -> list[int]:
    """Return the integers of a field, separated by blanks."""
    try:
        return [int(part) for part in text.split()]
    except ValueError:
        raise VolumeError("broken header", where, f"'{name}' is {text[:60]!r}", MEND) from None


def real_numbers(text: str | Sequence[str], count: int, name: str, where: Path) -> Array:
    """Return `count` finite numbers of a field [count], separated by blanks."""
    parts = text.split() if isinstance(text, str) else text
    try:
        numbers = np.array([float(part) for part in parts])
    except ValueError:
        numbers = np.array([])
    if numbers.size != count or not np.isfinite(numbers).all():
        why = f"'{name}' is {' '.join(parts)[:60]!r} and not {count} finite numbers"
        raise VolumeError("broken header", where, why, MEND)
    return numbers


def geometry(directions: Array, origin: Array) -> Array:
    """Return the affine [4, 4] of voxel steps (one a column, [3, n] for n up to 3 axes, in mm) and an origin [3].

    An axis that is missing gets the direction perpendicular to the others and a step of 1 mm.
    """
    affine = np.eye(4)
    count = directions.shape[1]
    affine[:3, :count] = directions
    affine[:3, 3] = origin
    if count == 2:
        across = np.cross(directions[:, 0], directions[:, 1])
        length = np.linalg.norm(across)
        affine[:3, 2] = across / length if length > 0 else 0.0
    return affine


def data_file(header: Path, name: str) -> Path:
    """Return the file beside `header` that holds its voxels; raise VolumeError where the name leaves the folder."""
    if not name.isprintable() or not name:
        raise VolumeError("broken header", header, f"the name of its data file is {name[:60]!r}", MEND)
    try:
        path = confined(header.parent, name, error=VolumeError)
    except VolumeError as problem:
        raise VolumeError(problem.what, header, problem.why, "put the data beside the header") from None
    if not path.is_file():
        raise VolumeError("missing data file", header, f"there is no '{name}' beside it", "put both files together")
    return path
