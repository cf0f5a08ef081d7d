"""Which voxels show the subject."""

from __future__ import annotations

import numpy as np

from anymod.errors import GridError
from anymod.volumes.affines import Array

BACKGROUND_SHARE = 0.5  # of the six faces; a head may touch some of them


def foreground_of(data: Array, mask: Array | None = None) -> Array:
    """Return the foreground as a boolean array [X, Y, Z] (method.md section 9).

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


def _background(data: Array) -> float | int | None:
    faces = [data.take(index, axis=axis).ravel() for axis in range(3) for index in (0, -1)]
    values, counts = np.unique(np.concatenate(faces), return_counts=True)
    most = counts.argmax()
    return values[most].item() if counts[most] >= BACKGROUND_SHARE * counts.sum() else None
