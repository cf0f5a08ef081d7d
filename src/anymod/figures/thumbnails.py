"""A volume's middle axial slice as a small PNG, seen as radiologists see it: front up, the patient's right on the left."""

from __future__ import annotations

import io

import numpy as np

from anymod.arrays import Array
from anymod.volumes import IntensityRange, Volume, orient, scale


def preview_png(volume: Volume, foreground: Array, intensities: IntensityRange) -> bytes:
    """Return the slice through the middle of the foreground; dark is low, and the range's high end white."""
    from matplotlib.image import imsave

    # Columns run to the patient's left, rows to the back.
    data = orient(volume, "LPS").data
    inside = orient(Volume(foreground, volume.grid), "LPS").data
    filled = np.flatnonzero(inside.any(axis=(0, 1)))
    position = int(filled[len(filled) // 2])
    plane = scale(data[:, :, position], intensities, inside[:, :, position])
    buffer = io.BytesIO()
    imsave(buffer, plane.T, vmin=-1, vmax=1, cmap="gray", format="png")
    return buffer.getvalue()
