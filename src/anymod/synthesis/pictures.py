"""Grids of pictures in a PNG: radiological display, one window for a column, nothing between the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from anymod.files import atomic_write
from anymod.types import Array
from anymod.volumes import Volume, orient

INCH, DOTS_PER_INCH = 1.35, 160  # width of a picture's column, and resolution
LEFT, TOP, BOTTOM = 1.15, 0.62, 0.5  # margins in inches
CONVENTION = "Radiological display: the patient's right (R) is on the left."


@dataclass(frozen=True)
class Colours:
    """A colour map with its range and what it means; equal ones share one bar below the pictures (none without a label)."""

    map: str
    low: float
    high: float
    label: str = ""


@dataclass(frozen=True)
class Picture:
    """One cell: pixels as they are displayed (rows from the top, columns from the left), pixel height over width, remarks.

    `corner` is written inside; `marked` draws a frame around the picture.
    """

    pixels: Array
    colours: Colours
    aspect: float = 1.0
    corner: str = ""
    marked: bool = False


def axial(plane: Array) -> Array:
    """Return an axial plane (right, anterior) as displayed: front at the top, the patient's right on the left."""
    return plane[::-1, ::-1].T


def three_planes(volume: Volume, foreground: Array) -> list[tuple[Array, float, str]]:
    """Return (pixels, aspect, name) of the axial, coronal and sagittal plane through the middle of the foreground.

    Sagittal planes have the front on the left; all others follow the radiological convention.
    """
    canonical = orient(volume, "RAS")
    inside = orient(Volume(foreground, volume.grid), "RAS").data
    x, y, z = (_middle(inside, axis) for axis in range(3))
    dx, dy, dz = canonical.spacing_mm
    return [
        (axial(canonical.data[:, :, z]), dy / dx, "axial"),
        (axial(canonical.data[:, y, :]), dz / dx, "coronal"),
        (axial(canonical.data[x]), dz / dy, "sagittal"),
    ]


def window(values: Array, foreground: Array, colours: str = "gray") -> Colours:
    """Return grey levels from the 0.5th to the 99.7th percentile of the foreground, so that a few bright voxels darken nothing."""
    inside = values[foreground]
    if inside.size == 0:
        return Colours(colours, 0.0, 1.0)
    low, high = (float(value) for value in np.percentile(inside, (0.5, 99.7)))
    return Colours(colours, low, high if high > low else low + 1.0)


def draw_grid(
    path: Path,
    cells: Sequence[Sequence[Picture | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    note: str = "",
) -> None:
    """Write the cells as a PNG, whole or not at all; rows and columns are labelled, `note` stands below with the colour bars."""
    heights = [
        max(
            (picture.pixels.shape[0] * picture.aspect / picture.pixels.shape[1] for picture in row if picture),
            default=0.2,
        )
        * INCH
        for row in cells
    ]
    lines = note.count("\n") + 1
    bars = _bars(cells)
    bottom = 0.14 * lines + 0.12 + (BOTTOM if bars else 0)
    width, height = LEFT + INCH * len(columns) + 0.1, TOP + sum(heights) + bottom
    width = max(width, 4.6)
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    top = height - TOP
    for label, row, tall in zip(rows, cells, heights, strict=True):
        figure.text((LEFT - 0.08) / width, (top - tall / 2) / height, label, ha="right", va="center", fontsize=7)
        for number, picture in enumerate(row):
            if picture is not None:
                place = ((LEFT + INCH * number) / width, (top - tall) / height, INCH / width, tall / height)
                _draw(figure, place, picture)
        top -= tall
    for number, label in enumerate(columns):
        x = (LEFT + INCH * (number + 0.5)) / width
        figure.text(x, 1 - (TOP - 0.06) / height, label, ha="center", va="bottom", fontsize=8)
    figure.text(0.08 / width, 1 - 0.08 / height, title, ha="left", va="top", fontsize=9, weight="bold")
    figure.text(0.08 / width, 0.06 / height, note, ha="left", va="bottom", fontsize=6, color="0.25", linespacing=1.3)
    _draw_bars(figure, bars, (width, height), 0.14 * lines + 0.32)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)


def _draw(figure: Figure, place: tuple[float, float, float, float], picture: Picture) -> None:
    axes = figure.add_axes(place)
    colours = picture.colours
    axes.set_facecolor("black")
    axes.imshow(
        picture.pixels,
        cmap=colours.map,
        vmin=colours.low,
        vmax=colours.high,
        aspect=picture.aspect,
        interpolation="nearest",
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("limegreen" if picture.marked else "black")
        spine.set_linewidth(2.0 if picture.marked else 0.5)
        spine.set_zorder(3)
    if picture.corner:
        axes.text(
            0.03, 0.97, picture.corner, transform=axes.transAxes, color="white", fontsize=5.5, ha="left", va="top"
        )


def _bars(cells: Sequence[Sequence[Picture | None]]) -> list[Colours]:
    used = dict.fromkeys(
        picture.colours for row in cells for picture in row if picture is not None and picture.colours.label
    )
    return list(used)


def _draw_bars(figure: Figure, bars: list[Colours], size: tuple[float, float], base: float) -> None:
    """Draw labelled colour bars side by side, `base` inches above the lower edge."""
    width, height = size
    each = (width - 0.3) / max(len(bars), 1)
    for number, colours in enumerate(bars):
        place = ((0.2 + each * number) / width, base / height, min(1.6, each - 0.3) / width, 0.08 / height)
        axes = figure.add_axes(place)
        scale = ScalarMappable(Normalize(colours.low, colours.high), colours.map)
        bar = figure.colorbar(scale, cax=axes, orientation="horizontal")
        bar.set_ticks([colours.low, colours.high])
        bar.ax.tick_params(labelsize=5.5, length=2, pad=1)
        bar.ax.set_title(colours.label, fontsize=6, pad=2, loc="left")


def _middle(inside: Array, axis: int) -> int:
    """Return the middle of the foreground's box along an axis; of the whole array where there is no foreground."""
    occupied = np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis})))
    return inside.shape[axis] // 2 if occupied.size == 0 else int(occupied[0] + occupied[-1]) // 2
