"""Figure of the demo: for each shown subset the synthetic images, their error and the standard deviation of samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anymod.figures.examples import Example
from anymod.figures.grid import FRAME, NOTICE, Cell, Colours, Page, Pair, draw_grid
from anymod.figures.planes import CONVENTION

NOTE = (
    f"A simulated patient that the model was not trained on. {FRAME} The others were hidden and synthesized."
    f" The standard deviation of samples is not a calibrated uncertainty. {CONVENTION} {NOTICE}"
)


def draw_demo(path: Path, example: Example) -> None:
    """Write a PNG: the truth on top, then two rows per shown subset, the images and below them error and standard deviation."""
    names = list(example.truths)
    colours = _deviation_colours(example)
    cells: list[list[Cell]] = [[example.truth(name) for name in names]]
    rows = ["truth"]
    for shown, deviations in example.deviations.items():
        images: list[Cell] = []
        measures: list[Cell] = []
        for name in names:
            if name in shown.split("+"):
                images.append(example.truth(name, marked=True))
                measures.append(None)
            else:
                images.append(example.prediction(shown, name))
                measures.append(Pair(example.error(shown, name), example.picture(deviations[name], colours)))
        cells += [images, measures]
        rows += ["shown:\n" + shown.replace("+", " +\n"), "error |\nstandard\ndeviation"]
    draw_grid(path, cells, Page("anymod demo: any image from any others", rows, names, NOTE))


def _deviation_colours(example: Example) -> Colours:
    """Return one scale for the standard deviations of all hidden images."""
    hidden = [
        plane
        for shown, planes in example.deviations.items()
        for name, plane in planes.items()
        if name not in shown.split("+")
    ]
    highest = float(np.nanpercentile(np.stack(hidden), 99.5))
    return Colours("viridis", 0.0, max(round(highest, 2), 0.01), "standard deviation of samples")
