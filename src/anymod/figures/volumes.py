"""Three planes of whole volumes: synthesized images beside the shown ones, and simulated patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.figures.grid import FRAME, NOTICE, Cell, Colours, Page, Picture, draw_grid, window
from anymod.figures.planes import SIDES, THREE_PLANES, three_planes
from anymod.volumes import Volume

DEVIATION = "Standard deviation: of the samples, plus what the model knows of its errors. "
DEVIATION_TITLE = "standard deviation"
LEAST_VARIATION = 1e-3  # of the largest deviation
LABELS = Colours("viridis", 0.0, 4.0)
Volumes = Mapping[str, Volume]


def draw_synthesis(
    path: Path, shown: Volumes, images: Volumes, deviations: Volumes, foreground: Array, *, realistic: bool = False
) -> None:
    """Write a PNG of the shown images and of each target with its standard deviation; volumes share one grid.

    A deviation that is the same everywhere is left out: it is the expected error alone, a number and no map.
    """
    columns: dict[str, list[Picture]] = {}
    for name, volume in shown.items():
        pictures = _planes(volume, foreground, window(volume.data, foreground))
        columns[f"{name}\nshown"] = [replace(picture, marked=True) for picture in pictures]
    for name, volume in images.items():
        columns[f"{name}\n{'realistic' if realistic else 'synthetic'}"] = _planes(
            volume, foreground, window(volume.data, foreground)
        )
        if name in deviations and _varies(deviations[name].data, foreground):
            data = deviations[name].data
            inside = replace(deviations[name], data=np.where(foreground, data, np.float32(np.nan)))
            colours = Colours("viridis", 0.0, window(data, foreground).high)
            columns[f"{name}\n{DEVIATION_TITLE}"] = _planes(inside, foreground, colours)
    cells: list[list[Cell]] = [list(row) for row in zip(*columns.values(), strict=True)]
    title = f"anymod: {', '.join(images)} from {' + '.join(shown)}"
    drawn = DEVIATION if any(each.endswith(DEVIATION_TITLE) for each in columns) else ""
    texture = "Texture is made up where nothing shows it. " if realistic else ""
    note = f"{FRAME} Each column has its own window. {drawn}{texture}{THREE_PLANES} {NOTICE}"
    draw_grid(path, cells, Page(title, list(SIDES), list(columns), note))


def draw_patient(path: Path, title: str, images: Volumes, label: Volume, foreground: Array) -> None:
    """Write a PNG of the images of a simulated patient and its tumour labels (1 core, 2 oedema, 4 rim); volumes share one grid."""
    rows = [_planes(volume, foreground, window(volume.data, volume.data > 0)) for volume in images.values()]
    rows.append(_planes(label, foreground, LABELS))
    note = f"Planes through the middle. Tumour: core blue, oedema green, rim yellow. {THREE_PLANES}"
    draw_grid(path, rows, Page(title, [*images, "tumour"], list(SIDES), note))


def _varies(data: Array, foreground: Array) -> bool:
    """Return whether a map has more than one value in the foreground, beyond rounding errors and what the model did not see."""
    low, high = np.percentile(data[foreground], (5, 95))
    return bool(high - low > LEAST_VARIATION * high)


def _planes(volume: Volume, foreground: Array, colours: Colours) -> list[Picture]:
    planes = three_planes(volume, foreground)
    return [Picture(pixels, colours, aspect, sides=SIDES[name]) for name, (pixels, aspect) in planes.items()]
