"""Reorientation: axes are flipped and exchanged, and no value changes."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np

from anymod.arrays import Array
from anymod.volumes.grid import Grid, Volume

OPPOSITES = ("RL", "AP", "SI")


def orient(volume: Volume, orientation: str) -> Volume:
    """Return the volume with its axes in `orientation` (such as "RAS"), as a view; oblique angles are kept."""
    steps, grid = _turn(volume.grid, orientation)
    return replace(volume, data=nib.apply_orientation(volume.data, steps), grid=grid, file_grid=None)


def orient_grid(grid: Grid, orientation: str) -> Grid:
    """Return the same box of voxels with its axes in `orientation`."""
    return _turn(grid, orientation)[1]


def _turn(grid: Grid, orientation: str) -> tuple[Array, Grid]:
    if sorted(next((i for i, pair in enumerate(OPPOSITES) if letter in pair), -1) for letter in orientation) != [
        0,
        1,
        2,
    ]:
        raise ValueError(f"an orientation needs one letter from each of {', '.join(OPPOSITES)}, not '{orientation}'")
    now = nib.io_orientation(grid.affine)
    steps = nib.orientations.ornt_transform(now, nib.orientations.axcodes2ornt(orientation))
    sizes = np.array(grid.shape)
    x, y, z = sizes[np.argsort(steps[:, 0])].tolist()
    return steps, Grid((x, y, z), grid.affine @ nib.orientations.inv_ornt_aff(steps, grid.shape), grid.space)
