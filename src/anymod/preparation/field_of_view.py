"""Field of view of the ultrasound: its sector as a solid region, and other images cut to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy import ndimage

from anymod.arrays import Array
from anymod.cohorts.schema import EXTRA_COLUMNS
from anymod.errors import VolumeError
from anymod.volumes import Volume, background_of, foreground_of

CLOSED_MM = 3.0  # gaps and notches up to twice as wide are dark tissue, not an edge of the sector


def cut_to(volumes: Mapping[str, Volume], name: str) -> dict[str, Volume]:
    """Return a subject's volumes, on one grid, with background outside the sector of image `name`.

    Voxels of that image which lie inside the sector and are as dark as its background get the next higher value, so that they stay
    foreground. Raises VolumeError if the subject does not have the image.
    """
    if name not in volumes:
        why = f"it has no {name} to cut the others to"
        raise VolumeError("no field of view", "the subject", why, "leave the subject out")
    inside = sector(volumes[name])
    cut = {}
    for column, volume in volumes.items():
        background = 0.0 if column in EXTRA_COLUMNS else _background(volume)
        data = np.where(inside, volume.data, np.asarray(background, volume.data.dtype))
        if column == name:
            data = np.where(inside & (data == background), _next_value(volume.data, background), data)
        cut[column] = replace(volume, data=data.astype(volume.data.dtype, copy=False))
    return cut


def sector(volume: Volume) -> Array:
    """Return the solid region [X, Y, Z] that an image fills: the largest piece of its foreground, with notches and holes filled."""
    inside = foreground_of(volume.data, None, volume.spacing_mm)
    reach = np.ceil(CLOSED_MM / np.array(volume.spacing_mm)).astype(int)
    padded = np.pad(inside, [(each, each) for each in reach])
    near = ndimage.distance_transform_edt(~padded, sampling=volume.spacing_mm) <= CLOSED_MM
    closed = ndimage.distance_transform_edt(np.pad(near, 1), sampling=volume.spacing_mm)[1:-1, 1:-1, 1:-1] > CLOSED_MM
    closed = (closed | padded)[tuple(slice(each, each + size) for each, size in zip(reach, inside.shape, strict=True))]
    pieces, count = ndimage.label(closed)
    if count > 1:
        closed = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return np.asarray(ndimage.binary_fill_holes(closed))


def _background(volume: Volume) -> float:
    return background_of(volume.data, foreground_of(volume.data, None, volume.spacing_mm))


def _next_value(data: Array, background: float) -> float:
    """Return the smallest value of an image above its background."""
    above = data[data > background]
    return float(above.min()) if above.size else background
