"""One picture of a synthesis: what was shown beside what was made, in three planes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.figures.grid import NOTICE, Colours, Page, Picture, draw_grid, window
from anymod.figures.planes import CONVENTION, SIDES, three_planes
from anymod.synthesis.synthesizer import Synthesis
from anymod.volumes import Volume, foreground_of

SPREAD = "viridis"


def write_preview(path: Path, shown: dict[str, Volume], mask: Volume | None, synthesis: Synthesis) -> None:
    """Write the middle axial, coronal and sagittal plane of what was shown, of each target, and of its spread where there is one."""
    marked = None if mask is None else mask.data
    foreground = np.logical_or.reduce([foreground_of(volume.data, marked) for volume in shown.values()])
    columns: dict[str, list[Picture]] = {}
    for name in synthesis.shown:
        pictures = _column(shown[name], foreground, window(shown[name].data, foreground))
        columns[f"{name}\nshown"] = [replace(picture, marked=True) for picture in pictures]
    for name, volume in synthesis.images.items():
        columns[f"{name}\nsynthetic"] = _column(volume, foreground, window(volume.data, foreground))
        if name in synthesis.standard_deviations:
            spread = synthesis.standard_deviations[name]
            inside = replace(spread, data=np.where(foreground, spread.data, np.float32(np.nan)))
            colours = Colours(SPREAD, 0.0, window(spread.data, foreground).high)
            columns[f"{name}\nspread of samples"] = _column(inside, foreground, colours)
    cells = [list(row) for row in zip(*columns.values(), strict=True)]
    for row, plane in zip(cells, SIDES, strict=True):
        row[0] = replace(row[0], sides=SIDES[plane])
    title = f"anymod: {', '.join(synthesis.images)} from {' + '.join(synthesis.shown)}"
    note = f"{CONVENTION} Sagittal: front on the left. Each column has its own window.\n{NOTICE}"
    draw_grid(path, cells, Page(title, list(SIDES), list(columns), note))


def _column(volume: Volume, foreground: Array, colours: Colours) -> list[Picture]:
    return [Picture(pixels, colours, aspect) for pixels, aspect in three_planes(volume, foreground).values()]
