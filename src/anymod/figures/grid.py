"""Grids of pictures in a PNG, with labels at the margins and colour bars below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import wrap

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from anymod.arrays import Array
from anymod.files import atomic_write

INCH, GAP = 1.35, 0.035  # inches: width of a picture, gap between two
LEFT, TOP, BARS, LINE = 1.15, 0.62, 0.5, 0.14  # inches: margins, height of the colour bars, of a line of the note
NARROWEST = 4.6  # inches, so that the title fits
LETTERS = 19  # of the note in an inch
NOTICE = "Synthetic images, not acquired; not for diagnosis."
SHOWN = "limegreen"
FRAME = "A green frame marks a modality that was shown to the model."


@dataclass(frozen=True)
class Colours:
    """A colour map with its range; pictures with the same labelled colours share one colour bar."""

    map: str
    low: float
    high: float
    label: str = ""


@dataclass(frozen=True)
class Picture:
    """One cell: pixels as displayed (rows from the top, columns from the left), NaN black.

    `aspect` is the height of a pixel divided by its width. `marked` draws a frame; `sides` are letters at the left and the right edge.
    The pixels of `region` (bool) get a red outline.
    """

    pixels: Array
    colours: Colours
    aspect: float = 1.0
    marked: bool = False
    sides: tuple[str, str] = ("", "")
    region: Array | None = None

    @property
    def height(self) -> float:
        """Height in inches at the common width."""
        return INCH * self.pixels.shape[0] * self.aspect / self.pixels.shape[1]


@dataclass(frozen=True)
class Pair:
    """One cell with two pictures of the same shape side by side, at half the size."""

    left: Picture
    right: Picture

    @property
    def height(self) -> float:
        """Height in inches."""
        return self.left.height / 2


Cell = Picture | Pair | None
Cells = Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Page:
    """Text around the pictures, and the resolution."""

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    note: str
    dots_per_inch: int = 130


def window(values: Array, foreground: Array, colours: str = "gray") -> Colours:
    """Return colours from the 0.5th to the 99.7th percentile of the foreground, so that a few bright voxels do not darken the rest."""
    inside = values[foreground]
    if inside.size == 0:
        return Colours(colours, 0.0, 1.0)
    low, high = (float(value) for value in np.percentile(inside, (0.5, 99.7)))
    return Colours(colours, low, high if high > low else low + 1.0)


def draw_grid(path: Path, cells: Cells, page: Page) -> None:
    """Write the cells as a PNG, whole or not at all."""
    heights = [max([0.2, *(cell.height for cell in row if cell is not None)]) for row in cells]
    bars = _bars(cells)
    width = max(LEFT + (INCH + GAP) * len(page.columns) + 0.1, NARROWEST)
    note = wrap(page.note, int(LETTERS * width))
    height = TOP + sum(heights) + GAP * len(heights) + LINE * (len(note) + 1) + (BARS if bars else 0)
    figure = Figure(figsize=(width, height), dpi=page.dots_per_inch, facecolor="white")
    FigureCanvasAgg(figure)
    top = height - TOP
    for label, row, tall in zip(page.rows, cells, heights, strict=True):
        figure.text((LEFT - 0.08) / width, (top - tall / 2) / height, label, ha="right", va="center", fontsize=7)
        for number, cell in enumerate(row):
            left = LEFT + (INCH + GAP) * number
            for picture, inches, offset in _parts(cell):
                _draw(figure, ((left + offset) / width, (top - tall) / height, inches / width, tall / height), picture)
        top -= tall + GAP
    _write_around(figure, replace(page, note="\n".join(note)), width, height)
    _draw_bars(figure, bars, (width, height), LINE * len(note) + 0.32)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=page.dots_per_inch)


def _write_around(figure: Figure, page: Page, width: float, height: float) -> None:
    for number, label in enumerate(page.columns):
        middle = (LEFT + (INCH + GAP) * number + INCH / 2) / width
        figure.text(middle, 1 - (TOP - 0.06) / height, label, ha="center", va="bottom", fontsize=8)
    figure.text(0.08 / width, 1 - 0.08 / height, page.title, ha="left", va="top", fontsize=9, weight="bold")
    place = (0.08 / width, 0.06 / height)
    figure.text(*place, page.note, ha="left", va="bottom", fontsize=6, color="0.25", linespacing=1.3)


def _draw(figure: Figure, place: tuple[float, float, float, float], picture: Picture) -> None:
    axes = figure.add_axes(place)
    colours = picture.colours
    shades = matplotlib.colormaps[colours.map].with_extremes(bad="black")
    axes.imshow(
        picture.pixels, cmap=shades, vmin=colours.low, vmax=colours.high, aspect="auto", interpolation="nearest"
    )
    if picture.region is not None and picture.region.any():
        axes.contour(picture.region, levels=[0.5], colors="red", linewidths=0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(picture.marked)
        spine.set_color(SHOWN)
        spine.set_linewidth(2.0)
    for letter, x, side in zip(picture.sides, (0.03, 0.97), ("left", "right"), strict=True):
        axes.text(x, 0.5, letter, transform=axes.transAxes, color="white", fontsize=6, ha=side, va="center")


def _parts(cell: Cell) -> list[tuple[Picture, float, float]]:
    """Return (picture, width, distance from the cell's left edge), in inches, of the pictures of a cell."""
    if cell is None:
        return []
    if isinstance(cell, Picture):
        return [(cell, INCH, 0.0)]
    half = (INCH - GAP) / 2
    return [(cell.left, half, 0.0), (cell.right, half, half + GAP)]


def _bars(cells: Cells) -> list[Colours]:
    used = [picture.colours for row in cells for cell in row for picture, _, _ in _parts(cell)]
    return list(dict.fromkeys(colours for colours in used if colours.label))


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
