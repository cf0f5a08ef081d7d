"""Check that an array can be an image: its values are finite and not all the same."""

from __future__ import annotations

import numpy as np

from anymod.errors import VolumeError
from anymod.volumes.grid import Volume

# Beyond these, differences and quotients of intensities overflow float32.
LARGEST = 1e30
SMALLEST_RANGE = 1e-30


def check_image(volume: Volume) -> None:
    """Raise VolumeError if the voxels are NaN, infinite, absurdly large, or all the same."""
    low, high = float(volume.data.min()), float(volume.data.max())
    where = volume.source or "the image"
    if not (np.isfinite(low) and np.isfinite(high)):
        count = int(volume.data.size - np.count_nonzero(np.isfinite(volume.data)))
        why = f"{count} of {volume.data.size} voxels are NaN or infinite"
        raise VolumeError("unusable image", where, why, "replace them, or write the image again as float32 or int16")
    if max(abs(low), abs(high)) > LARGEST:
        why = f"its values run from {low:g} to {high:g}"
        raise VolumeError("unusable image", where, why, "check its type and intensity scaling")
    if high - low < SMALLEST_RANGE:
        raise VolumeError("unusable image", where, f"all voxels are {low:g}", "leave this image out")
