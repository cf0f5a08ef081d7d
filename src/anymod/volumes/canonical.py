"""The grid that a model sees: RAS order along the volume's own axes, a given spacing, a given size in the plane."""

from __future__ import annotations

import math

import numpy as np

from anymod.arrays import Array
from anymod.volumes.grid import Grid
from anymod.volumes.orientation import orient_grid

SAME_SPACING = 1e-3  # relative; below this no voxel is resized


def model_grid(
    grid: Grid,
    spacing_mm: float | tuple[float, float, float] | None,
    in_plane: tuple[int, int] | None = None,
    multiple: int = 1,
    slice_axis: int = 2,
    centre_mm: Array | None = None,
    orientation: str = "RAS",
) -> Grid:
    """Return the grid on which a volume on `grid` is shown to a model; `resample` goes there and back.

    The axes are the volume's own, in the order and direction nearest to `orientation`; nothing is rotated. Along the slice axis the
    whole box is covered. Where an axis keeps its spacing, the voxels of both grids coincide (the centre may give way
    by half a voxel), so that resampling there copies values instead of blurring them.

    Args:
        grid: The volume's grid, of any orientation, also oblique.
        spacing_mm: One spacing for all axes, or three in RAS order; None keeps the volume's own.
        in_plane: Sizes of the two axes that are not the slice axis; None covers the box.
        multiple: A size in the plane that is not given is rounded up to a multiple of this.
        slice_axis: 0 sagittal, 1 coronal, 2 axial.
        orientation: RAS, or LPS, which differs in direction alone.
        centre_mm: World position [3] of the middle of the plane, such as that of the foreground; None: the box's own.
    """
    canonical = orient_grid(grid, orientation)
    own = np.array(canonical.spacing_mm)
    steps = own if spacing_mm is None else np.broadcast_to(np.array(spacing_mm, dtype=np.float64), (3,))
    if steps.min() <= 0 or not np.isfinite(steps).all():
        raise ValueError(f"spacings must be positive, unlike {spacing_mm}")
    ratio = np.where(np.abs(steps / own - 1) <= SAME_SPACING, 1.0, steps / own)  # new voxels in units of the old
    shape = _sizes(canonical, ratio, in_plane, multiple, slice_axis)
    middle = (np.array(canonical.shape) - 1) / 2
    if centre_mm is not None:
        aimed = canonical.to_indices(np.asarray(centre_mm))
        middle = np.where(np.arange(3) == slice_axis, middle, aimed)
    first = middle - (np.array(shape) - 1) / 2 * ratio
    first = np.where(ratio == 1.0, np.round(first), first)
    affine = canonical.affine.copy()
    affine[:3, 3] = canonical.to_world(first)
    affine[:3, :3] *= ratio
    return Grid(shape, affine)


def foreground_centre_mm(foreground: Array, grid: Grid) -> Array | None:
    """Return the world position [3] of the middle of the box around the True voxels [X, Y, Z]; None where there are none."""
    if not foreground.any():
        return None
    middle = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        occupied = np.flatnonzero(foreground.any(axis=others))
        middle.append((occupied[0] + occupied[-1]) / 2)
    return grid.to_world(np.array(middle))


def _sizes(
    canonical: Grid, ratio: Array, in_plane: tuple[int, int] | None, multiple: int, slice_axis: int
) -> tuple[int, int, int]:
    # Less a hair: 120 mm in steps of 1.2 mm are 100 voxels, whatever the rounding says.
    sizes = [max(1, math.ceil(size / step - 1e-4)) for size, step in zip(canonical.shape, ratio.tolist(), strict=True)]
    plane = [axis for axis in range(3) if axis != slice_axis]
    for position, axis in enumerate(plane):
        sizes[axis] = in_plane[position] if in_plane is not None else math.ceil(sizes[axis] / multiple) * multiple
    x, y, z = sizes
    return x, y, z
