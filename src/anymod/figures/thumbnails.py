"""Small PNG of a volume's middle axial slice in radiological display."""

from __future__ import annotations

import io

import numpy as np

from anymod.arrays import Array
from anymod.figures.planes import as_displayed
from anymod.volumes import IntensityRange, Volume, orient, scale


def preview_png(volume: Volume, foreground: Array, intensities: IntensityRange) -> bytes:
    """Return the slice through the middle of the foreground, from black at the low end of the range to white at its high end."""
    from matplotlib.image import imsave

    data = orient(volume, "RAS").data
    inside = orient(Volume(foreground, volume.grid), "RAS").data
    filled = np.flatnonzero(inside.any(axis=(0, 1)))
    position = int(filled[len(filled) // 2])
    plane = scale(data[:, :, position], intensities, inside[:, :, position])
    buffer = io.BytesIO()
    imsave(buffer, as_displayed(plane), vmin=-1, vmax=1, cmap="gray", format="png")
    return buffer.getvalue()
