"""Resampling of volumes whose axes are not perpendicular (sheared affines, tilted gantries) to the nearest grid with right angles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anymod.volumes.affines import has_right_angles, spacings
from anymod.volumes.grid import Grid, Volume

NOTE = "its axes are not perpendicular; resampled to the nearest grid with right angles"


def straight_grid(grid: Grid) -> Grid:
    """Return `grid` if its axes are perpendicular, else the grid with the nearest perpendicular axes that covers it.

    The nearest axes are the orthogonal factor of the polar decomposition of the unit axes. The spacing is kept.
    """
    if has_right_angles(grid.affine):
        return grid
    steps = np.array(spacings(grid.affine))
    left, _, right = np.linalg.svd(grid.affine[:3, :3] / steps)
    axes = (left @ right) * steps
    # Outer faces, half a voxel beyond the centres of the corner voxels.
    faces = grid.to_world(np.array(list(np.ndindex(2, 2, 2))) * np.array(grid.shape) - 0.5)
    along = faces @ np.linalg.inv(axes).T
    low, high = along.min(axis=0), along.max(axis=0)
    x, y, z = np.maximum(1, np.ceil(high - low - 1e-4)).astype(int).tolist()
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = axes @ ((low + high) / 2 - (np.array([x, y, z]) - 1) / 2)
    return Grid((x, y, z), affine, grid.space)


def straighten_image(volume: Volume) -> Volume:
    """Return an image on a grid with right angles, resampled only if necessary; outside, it has its smallest value."""
    return _straighten(volume, labels=False, outside=float(volume.data.min()))


def straighten_labels(volume: Volume) -> Volume:
    """Return labels on a grid with right angles, resampled only if necessary; outside, they are 0."""
    return _straighten(volume, labels=True, outside=0.0)


def _straighten(volume: Volume, *, labels: bool, outside: float) -> Volume:
    grid = straight_grid(volume.grid)
    if grid is volume.grid:
        return volume
    from anymod.volumes.resampling import resample  # loads SimpleITK, which few files need

    straight = resample(volume, grid, labels=labels, outside=outside)
    return replace(straight, notes=(*volume.notes, NOTE), file_grid=volume.grid)
