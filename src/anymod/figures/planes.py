"""Planes of volumes in radiological display: the patient's right on the left, the front at the top."""

from __future__ import annotations

import numpy as np

from anymod.arrays import Array
from anymod.volumes import Volume, orient

CONVENTION = "Radiological display: the patient's right (R) is on the left."
THREE_PLANES = f"{CONVENTION} Sagittal planes: the front (A) is on the left."
SIDES = {"axial": ("R", "L"), "coronal": ("R", "L"), "sagittal": ("A", "P")}
"""Letters for the left and the right edge of each plane as displayed."""
MARGIN = 3  # pixels around a foreground


def as_displayed(plane: Array) -> Array:
    """Return an axial (right, front), coronal (right, top) or sagittal (front, top) plane as rows from the top, columns from the left."""
    return plane[::-1, ::-1].T


def middle_planes(data: Array) -> dict[str, Array]:
    """Return the middle axial, coronal and sagittal plane of an image (right, front, top) as displayed."""
    x, y, z = (size // 2 for size in data.shape)
    planes = {"axial": data[:, :, z], "coronal": data[:, y, :], "sagittal": data[x]}
    return {name: as_displayed(plane) for name, plane in planes.items()}


def three_planes(volume: Volume, foreground: Array) -> dict[str, tuple[Array, float]]:
    """Return the middle planes of the box around a foreground, each with the height of a pixel divided by its width."""
    canonical = orient(volume, "RAS")
    inside = orient(Volume(foreground, volume.grid), "RAS").data
    planes = middle_planes(canonical.data[surroundings(inside)])
    dx, dy, dz = canonical.spacing_mm
    aspects = {"axial": dy / dx, "coronal": dz / dx, "sagittal": dz / dy}
    return {name: (plane, aspects[name]) for name, plane in planes.items()}


def surroundings(foreground: Array) -> tuple[slice, ...]:
    """Return the box around a foreground of any number of axes, with a small margin; the whole array if there is no foreground."""
    box = []
    for axis, size in enumerate(foreground.shape):
        others = tuple(other for other in range(foreground.ndim) if other != axis)
        occupied = np.flatnonzero(foreground.any(axis=others))
        first, last = (occupied[0], occupied[-1]) if occupied.size else (0, size - 1)
        box.append(slice(max(0, int(first) - MARGIN), min(size, int(last) + MARGIN + 1)))
    return tuple(box)
