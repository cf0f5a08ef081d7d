"""An image file whose header has been parsed and checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from anymod.arrays import Array
from anymod.errors import VolumeError


@dataclass(frozen=True, eq=False)
class ParsedImage:
    """Geometry of an image according to its header, and a function that reads its voxels.

    Attributes:
        shape: Number of voxels along each axis.
        affine: [4, 4] float64, voxel -> world mm, RAS+.
        files: Every file that the image is read from.
        values: Returns the voxels [X, Y, Z] with the file's scaling applied; raises VolumeError if they are truncated or damaged.
        space: What the world coordinates are those of, see `Grid`.
        notes: Decisions that the parser made, such as which of two transforms it used.
    """

    shape: tuple[int, int, int]
    affine: Array
    files: tuple[Path, ...]
    values: Callable[[], Array]
    notes: tuple[str, ...] = ()
    space: int = 1


def three_sizes(sizes: Sequence[int], where: Path) -> tuple[int, int, int]:
    """Return the three sizes of a volume: drop axes of one voxel beyond the third, add axes of one voxel up to the third.

    Raises:
        VolumeError: A size is below one, or the file holds several volumes.
    """
    if not sizes or min(sizes) < 1:
        raise VolumeError("no voxels", where, f"its sizes are {tuple(sizes)}", "get the file again from its source")
    beyond = [size for size in sizes[3:] if size > 1]
    if beyond:
        why = f"it is {len(sizes)}-D with {' x '.join(map(str, beyond))} volumes"
        raise VolumeError("several volumes", where, why, "extract one of them into a file of its own")
    x, y, z = (*sizes[:3], 1, 1)[:3]
    return x, y, z
