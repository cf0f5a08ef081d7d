"""Checkerboard of two images before and after their alignment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from anymod.arrays import Array
from anymod.figures.planes import SIDES, THREE_PLANES, middle_planes
from anymod.volumes import Volume, foreground_of, measure_range, model_grid, resample, scale

SQUARE_MM = 12.0
DOTS_PER_INCH = 200  # small misalignments must be visible


def draw_checkerboard(path: Path, fixed: Volume, moving: Volume, transform: sitk.Transform, title: str) -> None:
    """Write a PNG with the three middle planes of both images in alternating squares, above before and below after the alignment."""
    from anymod.figures.grid import Colours, Page, Picture, draw_grid  # loads matplotlib

    grid = model_grid(fixed.grid, max(min(fixed.spacing_mm), 1.0))
    still, grey = _grey(resample(fixed, grid)), Colours("gray", -1.0, 1.0)
    rows = {"before": None, "aligned": transform}
    cells = []
    for way in rows.values():
        board = _mixed(still, _grey(resample(moving, grid, transform=way)), grid.spacing_mm[0])
        planes = middle_planes(board)
        cells.append([Picture(pixels, grey, sides=SIDES[name]) for name, pixels in planes.items()])
    note = f"Edges continue from square to square where the images are aligned. {THREE_PLANES}"
    draw_grid(path, cells, Page(title, list(rows), list(SIDES), note, DOTS_PER_INCH))


def _grey(volume: Volume) -> Array:
    """Return the image [X, Y, Z] from -1 to 1."""
    inside = foreground_of(volume.data, None, volume.spacing_mm)
    return scale(volume.data, measure_range(volume.data, inside, 99.5, volume.source), inside)


def _mixed(first: Array, second: Array, spacing_mm: float) -> Array:
    """Return alternating cubes of two images [X, Y, Z]."""
    cubes = [np.arange(size) * spacing_mm // SQUARE_MM for size in first.shape]
    odd = (cubes[0][:, None, None] + cubes[1][None, :, None] + cubes[2][None, None, :]) % 2 == 1
    return np.where(odd, second, first)
