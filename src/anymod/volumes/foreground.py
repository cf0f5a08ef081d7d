"""Which voxels show the subject."""

from __future__ import annotations

import numpy as np

from anymod.arrays import Array
from anymod.errors import GridError

BACKGROUND_SHARE = 0.5  # of the six faces; a head may touch some of them
MOST_COUNTED = 100_000  # voxels outside, spread evenly, that tell the commonest value


def foreground_of(data: Array, mask: Array | None = None) -> Array:
    """Return the foreground as a boolean array [X, Y, Z] (docs/method.md section 9).

    The mask where one is given (voxels that are not 0). Else every voxel that differs from the background value, where one value
    fills at least half of the volume's six faces; else every voxel above the minimum.
    """
    if mask is not None:
        if mask.shape != data.shape:
            why = f"the mask has {mask.shape} voxels, the image {data.shape}"
            raise GridError("different grids", "the mask", why, "resample the mask to the image")
        return mask != 0
    value = _background(data)
    return data > data.min() if value is None else data != value


def background_of(data: Array, foreground: Array) -> float:
    """Return the value of an image's background: the commonest one outside its foreground, 0 where all is foreground."""
    outside = data[~foreground]
    if outside.size == 0:
        return 0.0
    values, counts = np.unique(outside[:: max(1, outside.size // MOST_COUNTED)], return_counts=True)
    return float(values[counts.argmax()])


def _background(data: Array) -> float | int | None:
    faces = [data.take(index, axis=axis).ravel() for axis in range(3) for index in (0, -1)]
    values, counts = np.unique(np.concatenate(faces), return_counts=True)
    most = counts.argmax()
    return values[most].item() if counts[most] >= BACKGROUND_SHARE * counts.sum() else None
