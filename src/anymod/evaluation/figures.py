"""A subject's picture grid: the truth on top, then what every shown subset gives, each beside its error."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anymod.core.subsets import subset_name
from anymod.evaluation.scores import Example
from anymod.synthesis.pictures import CONVENTION, Colours, Picture, axial, draw_grid, window

ERROR = Colours("magma", 0.0, 0.5, "absolute error (intensities in [-1, 1])")
NOTICE = "Synthetic images, not acquired; not for diagnosis."
MOST_ROWS = 16  # more do not fit on a page


def draw_example(path: Path, example: Example, modalities: tuple[str, ...]) -> None:
    """Write the grid as a PNG: rows are shown subsets, columns targets (image, then error); frames mark what was shown."""
    targets = sorted(example.truths)
    subsets = sorted({subset for subset, _ in example.syntheses}, key=lambda mask: (mask.bit_count(), mask))[:MOST_ROWS]
    windows = {}
    for target, truth in example.truths.items():
        high = window(truth, example.insides[target]).high
        windows[target] = Colours("gray", -1.0, high)
    cells: list[list[Picture | None]] = [[]]
    for target in targets:
        cells[0] += [Picture(axial(example.truths[target]), windows[target]), None]
    for subset in subsets:
        row: list[Picture | None] = []
        for target in targets:
            image = example.syntheses[subset, target]
            error = np.where(example.insides[target], np.abs(image - example.truths[target]), 0.0)
            marked = bool(subset >> target & 1)
            row += [Picture(axial(image), windows[target], marked=marked), Picture(axial(error), ERROR)]
        cells.append(row)
    rows = ["truth", *(subset_name(subset, modalities).replace("+", " +\n") for subset in subsets)]
    columns = [text for target in targets for text in (modalities[target], "error")]
    note = f"Rows: what was shown. A frame marks a target that was shown (a reconstruction). {CONVENTION}\n{NOTICE}"
    draw_grid(path, cells, rows, columns, f"{example.subject}: every target from every shown subset", note)
