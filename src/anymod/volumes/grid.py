"""Grid, the position of voxels in the world, and Volume, an image on a grid."""

from __future__ import annotations

from dataclasses import dataclass, field

import nibabel as nib
import numpy as np

from anymod.arrays import Array
from anymod.volumes.affines import spacings

SCANNER = 1


@dataclass(frozen=True, eq=False)
class Grid:
    """Position of a box of voxels in the world.

    Attributes:
        shape: Number of voxels along each of the three axes.
        affine: [4, 4] float64, voxel index -> world mm, RAS+ (x to the right, y to the front, z to the head).
        space: The world's coordinates, as NIfTI numbers them: 1 scanner, 2 another image, 3 Talairach, 4 MNI 152, 5 another template.
    """

    shape: tuple[int, int, int]
    affine: Array
    space: int = SCANNER

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or np.linalg.det(affine[:3, :3]) == 0:
            raise ValueError(f"a grid needs a finite, invertible 4x4 affine, not {affine.tolist()}")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"a grid needs three positive sizes, not {self.shape}")
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        spacing = "x".join(f"{step:.3g}" for step in self.spacing_mm)
        return f"Grid({size}, {spacing} mm, {self.orientation})"

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along each axis, in mm."""
        return spacings(self.affine)

    @property
    def orientation(self) -> str:
        """The nearest world direction of each axis, such as "RAS" or "LPS"."""
        return "".join(nib.aff2axcodes(self.affine))

    def to_world(self, indices: Array) -> Array:
        """Return the world positions in mm [..., 3] of voxel indices [..., 3], which may be fractional."""
        return np.asarray(indices, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_indices(self, points_mm: Array) -> Array:
        """Return the fractional voxel indices [..., 3] of world positions in mm [..., 3]."""
        return (np.asarray(points_mm, dtype=np.float64) - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T

    def corners_mm(self) -> Array:
        """Return the world positions [8, 3] of the centres of the eight corner voxels, in mm."""
        return self.to_world(np.array(list(np.ndindex(2, 2, 2))) * (np.array(self.shape) - 1))

    def part(self, box: tuple[slice, ...]) -> Grid:
        """Return the grid of the voxels in a box of indices, which may reach outside this one."""
        x, y, z = (part.stop - part.start for part in box)
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(np.array([part.start for part in box]))
        return Grid((x, y, z), affine, self.space)

    def same_as(self, other: Grid, tolerance_mm: float = 0.01) -> bool:
        """Return whether the shapes are equal and no corner differs by more than `tolerance_mm`.

        The default is far below a voxel and above the rounding error of a NIfTI header, which stores float32.
        """
        if self.shape != other.shape:
            return False
        apart = np.linalg.norm(self.corners_mm() - other.corners_mm(), axis=1).max()
        # In a volume of one slice, the corners do not depend on its thickness.
        steps = np.abs(np.subtract(self.spacing_mm, other.spacing_mm)).max()
        return bool(apart <= tolerance_mm and steps <= tolerance_mm)


@dataclass(frozen=True, eq=False)
class Volume:
    """One image.

    Attributes:
        data: [X, Y, Z]; float32 for an image, an integer type for labels. Any memory order.
        grid: Position of the voxels.
        source: The file that the image was read from, for messages.
        notes: Decisions of the reader (which transform it used, what it ignored), one sentence each.
        file_grid: The file's grid if its axes are not perpendicular; the data were then resampled to `grid`. Results go back to it.
    """

    data: Array
    grid: Grid
    source: str = ""
    notes: tuple[str, ...] = field(default=())
    file_grid: Grid | None = None

    def __post_init__(self) -> None:
        if self.data.shape != self.grid.shape:
            raise ValueError(f"data of shape {self.data.shape} cannot lie on a grid of shape {self.grid.shape}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis."""
        return self.grid.shape

    @property
    def affine(self) -> Array:
        """[4, 4] float64, voxel index -> world mm, RAS+."""
        return self.grid.affine

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along each axis, in mm."""
        return self.grid.spacing_mm
