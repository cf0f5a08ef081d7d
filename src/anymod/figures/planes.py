"""Planes of volumes in radiological display: the patient's right on the left, the front at the top."""

from __future__ import annotations

import numpy as np

from anymod.arrays import Array
from anymod.volumes import Volume, foreground_box, orient

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
    # A margin on both sides even at the border of the file, so that the same planes are the middle ones however it was cropped.
    data = np.pad(canonical.data, MARGIN, constant_values=canonical.data.min())
    planes = middle_planes(data[surroundings(np.pad(inside, MARGIN))])
    dx, dy, dz = canonical.spacing_mm
    aspects = {"axial": dy / dx, "coronal": dz / dx, "sagittal": dz / dy}
    return {name: (plane, aspects[name]) for name, plane in planes.items()}


def surroundings(foreground: Array) -> tuple[slice, ...]:
    """Return the box around a foreground of any number of axes, with a small margin; the whole array if there is no foreground."""
    return foreground_box(foreground, MARGIN)
