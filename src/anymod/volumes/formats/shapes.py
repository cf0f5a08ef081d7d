"""Sizes in headers made into the three of a volume."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from anymod.errors import VolumeError


def three_sizes(sizes: Sequence[int], where: Path) -> tuple[int, int, int]:
    """Return the three sizes of a volume: axes of one voxel beyond the third fall away, absent ones are added.

    Raises:
        VolumeError: A size below one, or several volumes in one file.
    """
    if not sizes or min(sizes) < 1:
        raise VolumeError("no voxels", where, f"its sizes are {tuple(sizes)}", "get the file again from its source")
    beyond = [size for size in sizes[3:] if size > 1]
    if beyond:
        why = f"it is {len(sizes)}-D with {' x '.join(map(str, beyond))} volumes"
        raise VolumeError("several volumes", where, why, "extract one of them into a file of its own")
    x, y, z = (*sizes[:3], 1, 1)[:3]
    return x, y, z
