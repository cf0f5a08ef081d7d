"""Which voxels show the subject."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from anymod.arrays import Array
from anymod.errors import GridError

BACKGROUND_SHARE = 0.5  # of the twelve edges; a head may touch some of them
MOST_COUNTED = 100_000  # voxels outside, evenly distributed, that decide which value is the commonest


def foreground_of(data: Array, mask: Array | None = None) -> Array:
    """Return the foreground as a boolean array [X, Y, Z] (docs/method.md section 9).

    With a mask, its voxels that are not 0. Without one, every voxel that differs from the background value if a single value fills at
    least half of the volume's twelve edges, otherwise every voxel above the minimum.
    """
    if mask is not None:
        if mask.shape != data.shape:
            why = f"the mask has {mask.shape} voxels, the image {data.shape}"
            raise GridError("different grids", "the mask", why, "resample the mask to the image")
        return mask != 0
    value = _background(data)
    return data > data.min() if value is None else data != value


def foreground_box(foreground: Array, margin: int = 0) -> tuple[slice, ...]:
    """Return the box around the True voxels of an array with any number of axes, grown by `margin` voxels as far as the array reaches.

    Without a True voxel it is the whole array.
    """
    box = []
    for axis, size in enumerate(foreground.shape):
        occupied = np.flatnonzero(
            foreground.any(axis=tuple(other for other in range(foreground.ndim) if other != axis))
        )
        first, last = (int(occupied[0]), int(occupied[-1])) if occupied.size else (0, size - 1)
        box.append(slice(max(0, first - margin), min(size, last + margin + 1)))
    return tuple(box)


def background_of(data: Array, foreground: Array) -> float:
    """Return the value of an image's background: the commonest one outside its foreground, its minimum where all is foreground."""
    outside = data[~foreground]
    if outside.size == 0:
        return float(data.min())
    values, counts = np.unique(outside[:: max(1, outside.size // MOST_COUNTED)], return_counts=True)
    return float(values[counts.argmax()])


def _background(data: Array) -> float | int | None:
    """Return the value of the edges: a head that is cropped tightly still fills much of the faces, but little of the edges."""
    edges = []
    for first, second in combinations(range(3), 2):
        for ends in product((0, -1), repeat=2):
            index: list[int | slice] = [slice(None)] * 3
            index[first], index[second] = ends
            edges.append(data[tuple(index)])
    values, counts = np.unique(np.concatenate(edges), return_counts=True)
    most = counts.argmax()
    return values[most].item() if counts[most] >= BACKGROUND_SHARE * counts.sum() else None
