"""Planes of volumes as a radiologist looks at them: the patient's right on the left, the front at the top."""

from __future__ import annotations

import numpy as np

from anymod.arrays import Array
from anymod.volumes import Volume, orient

CONVENTION = "Radiological display: the patient's right (R) is on the left."
SIDES = {"axial": ("R", "L"), "coronal": ("R", "L"), "sagittal": ("A", "P")}
"""What lies on the left and on the right of each plane as displayed."""
MARGIN = 3  # pixels around a foreground


def axial(plane: Array) -> Array:
    """Return an axial plane (right, anterior) as displayed: rows from the top, columns from the left."""
    return plane[::-1, ::-1].T


def three_planes(volume: Volume, foreground: Array) -> dict[str, tuple[Array, float]]:
    """Return (pixels, height of a pixel over its width) of the axial, coronal and sagittal plane through the foreground's middle.

    Cut to the box around the foreground.
    """
    canonical = orient(volume, "RAS")
    inside = orient(Volume(foreground, volume.grid), "RAS").data
    box = surroundings(inside)
    data = canonical.data[box]
    x, y, z = ((part.stop - part.start) // 2 for part in box)
    dx, dy, dz = canonical.spacing_mm
    # All three are turned alike: the first axis runs to the left of the picture, the second to its top.
    return {
        "axial": (axial(data[:, :, z]), dy / dx),
        "coronal": (axial(data[:, y, :]), dz / dx),
        "sagittal": (axial(data[x]), dz / dy),
    }


def surroundings(foreground: Array) -> tuple[slice, ...]:
    """Return the box around a foreground of any number of axes, with a small margin; everything where it is empty."""
    box = []
    for axis, size in enumerate(foreground.shape):
        others = tuple(other for other in range(foreground.ndim) if other != axis)
        occupied = np.flatnonzero(foreground.any(axis=others))
        first, last = (occupied[0], occupied[-1]) if occupied.size else (0, size - 1)
        box.append(slice(max(0, int(first) - MARGIN), min(size, int(last) + MARGIN + 1)))
    return tuple(box)
