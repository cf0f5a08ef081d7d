"""Two images resampled to one spacing, with the foreground that counts in a comparison."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from anymod.arrays import Array
from anymod.volumes import Grid, Volume, foreground_of, model_grid, resample
from anymod.volumes.affines import LPS_TO_RAS


@dataclass(frozen=True)
class Sampled:
    """Image [X, Y, Z] at one spacing; `inside` is its foreground without the outermost voxels, which are mixed with background."""

    data: Array
    inside: Array
    grid: Grid

    @classmethod
    def of(cls, volume: Volume, spacing_mm: float) -> Sampled:
        """Return a volume resampled to a spacing on RAS axes."""
        grid = model_grid(volume.grid, spacing_mm)
        filled = Volume(foreground_of(volume.data, None, volume.spacing_mm).astype(np.float32), volume.grid)
        # Closed first: single dark voxels inside, frequent in ultrasound, are no border.
        inside = ndimage.binary_erosion(ndimage.binary_closing(resample(filled, grid).data > 0.5))
        return cls(resample(volume, grid).data.astype(np.float32), inside, grid)

    @property
    def middle(self) -> Array:
        """Centre of gravity [3] of `inside`, LPS millimetres; of the whole grid if `inside` is empty."""
        places = np.argwhere(self.inside) if self.inside.any() else np.argwhere(~self.inside)
        return self.to_lps[:3, :3] @ places.mean(axis=0) + self.to_lps[:3, 3]

    @property
    def to_lps(self) -> Array:
        """Affine [4, 4] from voxel indices to LPS millimetres, float64."""
        return LPS_TO_RAS @ self.grid.affine  # its own inverse


@dataclass(frozen=True)
class Level:
    """Both images at one spacing."""

    fixed: Sampled
    moving: Sampled

    def between(self, transform: sitk.Transform) -> Array:
        """Return the affine [4, 4] from voxel indices of the fixed image to those of the moving one under an affine transform."""
        return np.linalg.inv(self.moving.to_lps) @ matrix_of(transform) @ self.fixed.to_lps

    def shared(self, transform: sitk.Transform) -> Array:
        """Return the voxels [X, Y, Z] of the fixed image in the foregrounds of both images."""
        there = on_indices(self.moving.inside.astype(np.float32), self.between(transform), self.fixed.grid.shape)
        return self.fixed.inside & (there > 0.5)

    def overlap(self, transform: sitk.Transform) -> float:
        """Return the share of the smaller foreground that overlaps the other."""
        return float(self.shared(transform).sum() / max(1, min(self.fixed.inside.sum(), self.moving.inside.sum())))


def on_indices(data: Array, between: Array, shape: tuple[int, ...]) -> Array:
    """Return an image sampled on an array of some shape, whose indices the affine `between` [4, 4] maps to the image's; 0 outside it."""
    return ndimage.affine_transform(data, between[:3, :3], between[:3, 3], shape, order=1, mode="constant")


def matrix_of(transform: sitk.Transform) -> Array:
    """Return the matrix [4, 4] of an affine transform, from points to points."""
    matrix = np.eye(4)
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix[:3, 3] = origin
    for axis in range(3):
        matrix[:3, axis] = np.array(transform.TransformPoint(np.eye(3)[axis].tolist())) - origin
    return matrix
