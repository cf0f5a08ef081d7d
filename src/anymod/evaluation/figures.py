"""A subject's picture grid: the truth on top, then what every shown subset gives, each beside its error."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anymod.core.subsets import subset_name
from anymod.evaluation.scores import Example
from anymod.synthesis.pictures import NOTICE, Cell, Colours, Page, Picture, draw_grid, window
from anymod.synthesis.planes import CONVENTION, SIDES, axial, surroundings
from anymod.types import Array

ERROR = Colours("magma", 0.0, 0.5, "absolute error (intensities in [-1, 1])")
MOST_ROWS = 16  # more do not fit on a page


def draw_example(path: Path, example: Example, modalities: tuple[str, ...]) -> None:
    """Write the grid as a PNG: rows are shown subsets, columns targets (image, then error); frames mark what was shown."""
    targets = sorted(example.truths)
    subsets = sorted({subset for subset, _ in example.syntheses}, key=lambda mask: (mask.bit_count(), mask))[:MOST_ROWS]
    windows = {target: grey_levels(example.truths[target], example.insides[target]) for target in targets}
    box = surroundings(np.logical_or.reduce(list(example.insides.values())))
    cells: list[list[Cell]] = [[]]
    for target in targets:
        sides = SIDES["axial"] if target == targets[0] else ("", "")
        cells[0] += [Picture(axial(example.truths[target][box]), windows[target], sides=sides), None]
    for subset in subsets:
        row: list[Cell] = []
        for target in targets:
            image, shown = example.syntheses[subset, target], bool(subset >> target & 1)
            error = error_of(image, example.truths[target], example.insides[target])
            row += [Picture(axial(image[box]), windows[target], marked=shown), Picture(axial(error[box]), ERROR)]
        cells.append(row)
    rows = ["truth", *(subset_name(subset, modalities).replace("+", " +\n") for subset in subsets)]
    columns = [text for target in targets for text in (modalities[target], "error")]
    note = f"Rows: what was shown. A frame marks a target that was shown (a reconstruction).\n{CONVENTION} {NOTICE}"
    draw_grid(path, cells, Page(f"{example.subject}: every target from every shown subset", rows, columns, note))


def grey_levels(truth: Array, inside: Array) -> Colours:
    """Return one window for a truth and all its predictions: from background to the truth's 99.7th percentile."""
    return Colours("gray", -1.0, window(truth, inside).high)


def error_of(image: Array, truth: Array, inside: Array) -> Array:
    """Return |image - truth| inside, NaN (drawn black) outside."""
    return np.where(inside, np.abs(image - truth), np.nan)
