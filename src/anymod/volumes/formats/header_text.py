"""Text headers (NRRD, MetaImage): their fields as numbers and files, with an error for each one that is missing or malformed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.files import confined

LONGEST_HEADER = 2**20  # bytes; the key-value lines of a diffusion scan take some thousands
FIX_HEADER = "fix the header or convert the image to .nii.gz"
VECTOR_PUNCTUATION = str.maketrans("(),", "   ")


@dataclass(frozen=True)
class TextHeader:
    """Fields of a header written as lines of text.

    Attributes:
        path: The file that contains the header.
        fields: Text of each field, by its name in lower case.
        end: Byte of the file where the header ends.
    """

    path: Path
    fields: dict[str, str]
    end: int

    def broken(self, why: str) -> VolumeError:
        """Return the error for a malformed header."""
        return VolumeError("broken header", self.path, why, FIX_HEADER)

    def unsupported(self, why: str, remedy: str = "convert it to .nii.gz") -> VolumeError:
        """Return the error for an image that is not one scalar volume in one block of bytes."""
        return VolumeError("unsupported image", self.path, why, remedy)

    def text(self, name: str, default: str | None = None) -> str:
        """Return a field's text, whatever the case of `name`; raise VolumeError if it is missing and has no default."""
        text = self.fields.get(name.lower(), default)
        if text is None:
            raise self.broken(f"there is no '{name}'")
        return text

    def integers(self, name: str, default: str | None = None) -> list[int]:
        """Return the integers of a field, separated by blanks."""
        text = self.text(name, default)
        try:
            return [int(part) for part in text.split()]
        except ValueError:
            raise self.broken(f"'{name}' is {text[:60]!r}") from None

    def integer(self, name: str, default: str | None = None) -> int:
        """Return the only integer of a field."""
        numbers = self.integers(name, default)
        if len(numbers) != 1:
            raise self.broken(f"'{name}' is {self.text(name)[:60]!r}")
        return numbers[0]

    def vector(self, name: str, text: str, count: int) -> Array:
        """Return the `count` finite numbers [count] in `text`, part of field `name`: separated by blanks, or `(x,y,z)`."""
        try:
            numbers = np.array([float(part) for part in text.translate(VECTOR_PUNCTUATION).split()])
        except ValueError:
            numbers = np.array([])
        if numbers.size != count or not np.isfinite(numbers).all():
            raise self.broken(f"'{name}' is {text[:60]!r} and not {count} finite numbers")
        return numbers

    def voxel_file(self, name: str) -> Path:
        """Return the file of that name, which holds the voxels; raise VolumeError if it is missing or not in the header's folder."""
        if name.upper().startswith("LIST") or "%" in name:
            raise self.unsupported("its voxels lie in many files")
        if not name.isprintable() or not name:
            raise self.broken(f"the name of its data file is {name[:60]!r}")
        try:
            path = confined(self.path.parent, name, error=VolumeError)
        except VolumeError as problem:
            raise VolumeError(problem.what, self.path, problem.why, "put the data beside the header") from None
        if not path.is_file():
            why = f"there is no '{name}' beside it"
            raise VolumeError("missing data file", self.path, why, "put both files together")
        return path


def read_start(path: Path) -> bytes:
    """Return the bytes from the start of a file that may contain a text header."""
    with path.open("rb") as file:
        return file.read(LONGEST_HEADER)


def affine_from(directions: Array, origin: Array) -> Array:
    """Return the affine [4, 4] of voxel steps (one per column, [3, n] for n = 2 or 3 axes, in mm) and an origin [3].

    A missing third axis is perpendicular to the other two and has a step of 1 mm.
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
