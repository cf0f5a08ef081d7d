"""Two images at one spacing, coarse to fine, and the parts of them that count."""

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
    """An image [X, Y, Z] at some spacing and where it counts: its foreground without the outermost voxels, which border on background."""

    data: Array
    inside: Array
    grid: Grid

    @classmethod
    def of(cls, volume: Volume, spacing_mm: float) -> Sampled:
        """Return a volume at a spacing, on axes that run to right, front and head."""
        grid = model_grid(volume.grid, spacing_mm)
        filled = Volume(foreground_of(volume.data).astype(np.float32), volume.grid)
        # Closed first: a single dark voxel inside, as ultrasound has many, is no border.
        inside = ndimage.binary_erosion(ndimage.binary_closing(resample(filled, grid).data > 0.5))
        return cls(resample(volume, grid).data.astype(np.float32), inside, grid)

    @property
    def middle(self) -> Array:
        """Centre of gravity [3] of where the image counts, LPS millimetres; of its box where nothing does."""
        places = np.argwhere(self.inside) if self.inside.any() else np.argwhere(~self.inside)
        return self.to_lps[:3, :3] @ places.mean(axis=0) + self.to_lps[:3, 3]

    @property
    def to_lps(self) -> Array:
        """[4, 4] float64, voxel index -> world mm, LPS."""
        return LPS_TO_RAS @ self.grid.affine  # its own inverse


@dataclass(frozen=True)
class Level:
    """Both images at one spacing."""

    fixed: Sampled
    moving: Sampled

    def between(self, transform: sitk.Transform) -> Array:
        """Return the affine [4, 4] from the fixed image's indices to the moving one's under an affine (or rigid) transform."""
        return np.linalg.inv(self.moving.to_lps) @ matrix_of(transform) @ self.fixed.to_lps

    def met(self, transform: sitk.Transform) -> Array:
        """Return where in the fixed image [X, Y, Z] the moving one's foreground lies."""
        there = on_indices(self.moving.inside.astype(np.float32), self.between(transform), self.fixed.grid.shape)
        return self.fixed.inside & (there > 0.5)

    def overlap(self, transform: sitk.Transform) -> float:
        """Return which share of the smaller foreground lies in the other."""
        return float(self.met(transform).sum() / max(1, min(self.fixed.inside.sum(), self.moving.inside.sum())))


def on_indices(data: Array, between: Array, shape: tuple[int, ...]) -> Array:
    """Return an image at the indices that an affine [4, 4] gives for those of an array of some shape; 0 beyond it."""
    return ndimage.affine_transform(data, between[:3, :3], between[:3, 3], shape, order=1, mode="constant")


def matrix_of(transform: sitk.Transform) -> Array:
    """Return the affine [4, 4], points to points, of a transform that is one."""
    matrix = np.eye(4)
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix[:3, 3] = origin
    for axis in range(3):
        matrix[:3, axis] = np.array(transform.TransformPoint(np.eye(3)[axis].tolist())) - origin
    return matrix
