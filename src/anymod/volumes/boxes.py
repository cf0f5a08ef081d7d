"""Boxes of indices around parts of an array."""

from __future__ import annotations

import numpy as np

from anymod.arrays import Array


def foreground_box(foreground: Array, margin: int = 0) -> tuple[slice, ...]:
    """Return the box around the True voxels of an array with any number of axes, extended by `margin` voxels within the array.

    Without a True voxel, the box is the whole array.
    """
    box = []
    for axis, size in enumerate(foreground.shape):
        occupied = np.flatnonzero(
            foreground.any(axis=tuple(other for other in range(foreground.ndim) if other != axis))
        )
        first, last = (int(occupied[0]), int(occupied[-1])) if occupied.size else (0, size - 1)
        box.append(slice(max(0, first - margin), min(size, last + margin + 1)))
    return tuple(box)
