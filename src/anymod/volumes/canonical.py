"""The grid of a model: the volume's own axes in a fixed order, at a given spacing."""

from __future__ import annotations

import numpy as np

from anymod.errors import GridError
from anymod.volumes.formats.stored import MOST_VOXELS
from anymod.volumes.grid import Grid
from anymod.volumes.orientation import orient_grid

SAME_SPACING = 1e-3  # relative; below this no voxel is resized
HAIR = 1e-4  # of a voxel: 120 mm in steps of 1.2 mm are 100 voxels, despite rounding errors


def model_grid(
    grid: Grid, spacing_mm: float | None, shape: tuple[int, int, int] | None = None, orientation: str = "RAS"
) -> Grid:
    """Return a grid of cubic voxels that is centred on the box of `grid`; `resample` goes there and back.

    The axes are the volume's own, in the order and direction nearest to `orientation`; nothing is rotated. Along an axis that keeps its
    spacing, the voxels of both grids coincide (the centre may move by half a voxel), so that resampling copies values exactly.

    Args:
        grid: The volume's grid, of any orientation, also oblique.
        spacing_mm: Edge of the voxels; None keeps the volume's own spacing.
        shape: Voxels along each axis, in the order of `orientation`; None covers the box.
        orientation: Directions of the axes, such as "RAS" or "LPS".

    Raises:
        GridError: It would have more than `MOST_VOXELS` voxels.
    """
    if spacing_mm is not None and not 0 < spacing_mm < np.inf:
        raise ValueError(f"a spacing must be positive, not {spacing_mm}")
    canonical = orient_grid(grid, orientation)
    own = np.array(canonical.spacing_mm)
    ratio = np.ones(3) if spacing_mm is None else spacing_mm / own
    ratio[np.abs(ratio - 1) <= SAME_SPACING] = 1.0
    sides = np.maximum(1, np.ceil(canonical.shape / ratio - HAIR)) if shape is None else np.array(shape, float)
    if sides.prod() > MOST_VOXELS:
        why = f"{' x '.join(f'{side:.0f}' for side in sides)} voxels are more than {MOST_VOXELS}"
        raise GridError(
            "grid too large", f"a spacing of {spacing_mm} mm", why, "choose a larger one, or crop the image"
        )
    x, y, z = sides.astype(int).tolist()
    shape = (x, y, z)
    first = (np.array(canonical.shape) - 1) / 2 - (np.array(shape) - 1) / 2 * ratio
    # Rounded down, because rounding to even would make the direction depend on the size of the new grid.
    first = np.where(ratio == 1.0, np.floor(first), first)
    affine = canonical.affine.copy()
    affine[:3, 3] = canonical.to_world(first)
    affine[:3, :3] *= ratio
    return Grid(shape, affine, grid.space)
