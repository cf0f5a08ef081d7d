"""Foreground: the voxels that show the subject."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from anymod.arrays import Array
from anymod.errors import GridError

BACKGROUND_SHARE = 0.5  # of the twelve edges of a volume; a head may touch some of them
MOST_COUNTED = 100_000  # number of background voxels, at equal distances, that are counted


def foreground_of(data: Array, mask: Array | None = None) -> Array:
    """Return the foreground as a boolean array [X, Y, Z] (docs/method.md section 9).

    With a mask, these are its voxels that are not 0. Without a mask, the value that fills at least half of the volume's twelve edges
    is background, and all other voxels are foreground. If there is no such value, all voxels above the minimum are foreground.
    """
    if mask is not None:
        if mask.shape != data.shape:
            why = f"the mask has {mask.shape} voxels, the image {data.shape}"
            raise GridError("different grids", "the mask", why, "resample the mask to the image")
        return mask != 0
    value = _background(data)
    return data > data.min() if value is None else data != value


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


def background_of(data: Array, foreground: Array) -> float:
    """Return the most common value outside an image's foreground, or the minimum if all voxels are foreground."""
    outside = data[~foreground]
    if outside.size == 0:
        return float(data.min())
    values, counts = np.unique(outside[:: max(1, outside.size // MOST_COUNTED)], return_counts=True)
    return float(values[counts.argmax()])


def _background(data: Array) -> float | int | None:
    """Return the value that most of the edges have, or None: a tightly cropped head fills much of the faces, but little of the edges."""
    edges = []
    for first, second in combinations(range(3), 2):
        for ends in product((0, -1), repeat=2):
            index: list[int | slice] = [slice(None)] * 3
            index[first], index[second] = ends
            edges.append(data[tuple(index)])
    values, counts = np.unique(np.concatenate(edges), return_counts=True)
    most = counts.argmax()
    return values[most].item() if counts[most] >= BACKGROUND_SHARE * counts.sum() else None
