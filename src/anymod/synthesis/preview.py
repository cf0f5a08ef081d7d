"""One picture of a synthesis: what was shown beside what was made, in three planes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anymod.synthesis.pictures import CONVENTION, Colours, Picture, draw_grid, three_planes, window
from anymod.synthesis.synthesizer import Synthesis
from anymod.types import Array
from anymod.volumes import Volume, foreground_of

SPREAD = "viridis"


def write_preview(path: Path, shown: dict[str, Volume], mask: Volume | None, synthesis: Synthesis) -> None:
    """Write the middle axial, coronal and sagittal plane of what was shown, of each target, and of its spread where there is one."""
    marked = None if mask is None else mask.data
    foreground = np.logical_or.reduce([foreground_of(volume.data, marked) for volume in shown.values()])
    columns: dict[str, list[Picture]] = {}
    for name in synthesis.shown:
        columns[f"{name}\nshown"] = _column(shown[name], foreground, window(shown[name].data, foreground), marked=True)
    for name, volume in synthesis.images.items():
        columns[f"{name}\nsynthetic"] = _column(volume, foreground, window(volume.data, foreground))
        if name in synthesis.standard_deviations:
            spread = synthesis.standard_deviations[name]
            colours = Colours(SPREAD, 0.0, window(spread.data, foreground).high)
            columns[f"{name}\nspread of samples"] = _column(spread, foreground, colours)
    rows = [picture.corner for picture in next(iter(columns.values()))]
    cells = [[_without_corner(column[row]) for column in columns.values()] for row in range(len(rows))]
    note = f"{CONVENTION} Sagittal: front on the left. Each column has its own window.\nSynthetic images, not acquired; not for diagnosis."
    draw_grid(
        path,
        cells,
        rows,
        list(columns),
        f"anymod: {', '.join(synthesis.images)} from {' + '.join(synthesis.shown)}",
        note,
    )


def _column(volume: Volume, foreground: Array, colours: Colours, *, marked: bool = False) -> list[Picture]:
    return [Picture(pixels, colours, aspect, name, marked) for pixels, aspect, name in three_planes(volume, foreground)]


def _without_corner(picture: Picture) -> Picture:
    return Picture(picture.pixels, picture.colours, picture.aspect, "", picture.marked)
