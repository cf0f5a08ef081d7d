"""Resampling to another grid: linear for images (smoothed first if voxels get larger), nearest neighbour for labels.

SimpleITK interpolates between voxel indices, with one affine from the new grid to the old, so mirrored, oblique and sheared grids
need no special cases.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter1d

from anymod.arrays import Array
from anymod.volumes.grid import Grid, Volume
from anymod.volumes.transforms import as_transform, between_voxels

FULL_WIDTHS_PER_DEVIATION = 2.3548200450309493  # 2 sqrt(2 ln 2): full width at half maximum of a Gaussian
WHOLE_WITHIN = 1e-6  # of a voxel; over 1000 voxels that is a thousandth of one
LEAST_REDUCTION = 1.05  # no smoothing if voxels grow by less: the kernel would be far smaller than a voxel


def resample(
    volume: Volume, grid: Grid, *, labels: bool = False, outside: float = 0.0, transform: sitk.Transform | None = None
) -> Volume:
    """Return the volume on `grid`; voxels outside the outer faces of the old box get `outside`.

    Args:
        volume: An image, or labels or a mask of any integer or boolean type.
        grid: The new grid, of any orientation.
        labels: Take the value of the nearest voxel without smoothing and keep the type. Otherwise the result is float32.
        outside: Value of voxels that the volume does not cover.
        transform: Maps points of `grid` to the corresponding points of the volume (ITK convention, LPS mm). Default: identity.
    """
    if transform is None and volume.grid.same_as(grid, tolerance_mm=1e-4):
        return replace(volume, grid=grid, file_grid=None)
    between = _without_rounding(np.linalg.inv(volume.affine) @ grid.affine)  # index on `grid` -> index in `volume`
    way = between_voxels(grid.affine, transform, volume.affine) if transform is not None else as_transform(between)
    if labels:
        stored = volume.data.astype(np.uint8) if volume.data.dtype == np.bool_ else volume.data
        data = _interpolate(stored, grid, way, sitk.sitkNearestNeighbor, outside).astype(volume.data.dtype, copy=False)
    else:
        smooth = _smoothed(volume.data.astype(np.float32, copy=False), between)
        # If all voxels coincide with old ones, linear interpolation is off by 1e-12, and background has to stay exact.
        copies = transform is None and (between == np.rint(between)).all()
        data = _interpolate(smooth, grid, way, sitk.sitkNearestNeighbor if copies else sitk.sitkLinear, outside)
    return replace(volume, data=data, grid=grid, file_grid=None)


def _without_rounding(between: Array) -> Array:
    """Return the affine without rounding errors in numbers that should be whole, so that coinciding voxels are copied exactly."""
    whole = np.rint(between)
    return np.where(np.abs(between - whole) < WHOLE_WITHIN, whole, between)


def _interpolate(data: Array, grid: Grid, way: sitk.Transform, interpolator: int, outside: float) -> Array:
    image = sitk.GetImageFromArray(data.T)  # SimpleITK's arrays are [z, y, x]
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(grid.shape)
    resampler.SetInterpolator(interpolator)
    resampler.SetTransform(way)
    resampler.SetDefaultPixelValue(float(outside))
    return sitk.GetArrayFromImage(resampler.Execute(image)).T


def _smoothed(data: Array, between: Array) -> Array:
    """Return the image blurred as larger voxels would have blurred it, so that fine detail does not alias.

    Along each axis, the squared full width of the Gaussian is that of the new voxel minus that of the old one (in old voxels).
    """
    for axis, reduction in enumerate(np.linalg.norm(between[:3, :3], axis=1).tolist()):
        if reduction > LEAST_REDUCTION and data.shape[axis] > 1:
            deviation = np.sqrt(reduction**2 - 1) / FULL_WIDTHS_PER_DEVIATION
            data = gaussian_filter1d(data, deviation, axis=axis, mode="nearest", truncate=3.0)
    return data
