"""A picture to judge an alignment by: squares of one image between squares of the other, before and after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from anymod.arrays import Array
from anymod.files import atomic_write
from anymod.volumes import Volume, foreground_of, measure_range, model_grid, resample, scale

SQUARE_MM = 12.0
INCHES, DOTS_PER_INCH = 2.2, 100  # of one picture
PLANES = ("axial", "coronal", "sagittal")


def draw_checkerboard(path: Path, fixed: Volume, moving: Volume, transform: sitk.Transform, title: str) -> None:
    """Write a PNG with the three middle planes of both images in alternating squares: as they lay above, aligned below.

    Edges run on from square to square where the images agree. The patient's right is on the left, the front at the top.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    grid = model_grid(fixed.grid, max(min(fixed.spacing_mm), 1.0))
    still = _grey(resample(fixed, grid))
    figure = Figure(figsize=(3 * INCHES, 2 * INCHES + 0.5), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3)
    for row, (words, way) in enumerate((("as they lay", None), ("aligned", transform))):
        there = _grey(resample(moving, grid, transform=way))
        for panel, name, plane in zip(
            panels[row], PLANES, _planes(_mixed(still, there, grid.spacing_mm[0])), strict=True
        ):
            panel.imshow(plane, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
            panel.set_axis_off()
            panel.set_title(f"{name}, {words}", fontsize=7, pad=2)
    figure.suptitle(title, fontsize=8, y=0.995)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.9, wspace=0.03, hspace=0.12)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")


def _grey(volume: Volume) -> Array:
    """Return the image [X, Y, Z] from -1 to 1."""
    inside = foreground_of(volume.data)
    return scale(volume.data, measure_range(volume.data, inside, 99.5, volume.source), inside)


def _mixed(first: Array, second: Array, spacing_mm: float) -> Array:
    """Return alternating cubes of two images [X, Y, Z]."""
    cubes = [np.arange(size) * spacing_mm // SQUARE_MM for size in first.shape]
    odd = (cubes[0][:, None, None] + cubes[1][None, :, None] + cubes[2][None, None, :]) % 2 == 1
    return np.where(odd, second, first)


def _planes(data: Array) -> tuple[Array, Array, Array]:
    """Return the three middle planes of an image [right, front, head], rows from the top, columns from the left."""
    x, y, z = (size // 2 for size in data.shape)
    axial, coronal, sagittal = data[:, :, z], data[:, y, :], data[x]
    return axial[::-1, ::-1].T, coronal[::-1, ::-1].T, sagittal[::-1, ::-1].T
