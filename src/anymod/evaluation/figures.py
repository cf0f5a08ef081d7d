"""Picture grids: a subject's truth on top, then what every shown subset gives; and each target's best and worst case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.core.subsets import parse_subset, subset_name
from anymod.evaluation.scores import MODEL, Example, Score
from anymod.figures.grid import NOTICE, Cell, Colours, Page, Picture, draw_grid, window
from anymod.figures.planes import CONVENTION, SIDES, axial, surroundings

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


def draw_extremes(
    path: Path, examples: Sequence[Example], scores: Sequence[Score], modalities: tuple[str, ...]
) -> None:
    """Write each hidden target's best and worst case by the model's PSNR as a PNG: what was shown, the truth, the synthesis, its error.

    Without a hidden target nothing is written.
    """
    known = {example.subject: example for example in examples}
    cells: list[list[Cell]] = []
    rows = []
    for number, target in enumerate(modalities):
        hidden = [each for each in scores if (each.kind, each.method, each.target) == ("hidden", MODEL, target)]
        for name, choose in (("best", max), ("worst", min)) if hidden else ():
            score = choose(hidden, key=lambda each: each.psnr_db)
            rows.append(f"{target}, {name}\n{score.subject}\n{score.psnr_db:.1f} dB")
            cells.append(_case(known[score.subject], parse_subset(score.shown, modalities), number, len(modalities)))
    if cells:
        columns = [*modalities, "truth", "synthetic", "error"]
        note = f"Frames: what was shown. Best and worst by PSNR over the whole volume; one slice of it.\n{CONVENTION} {NOTICE}"
        draw_grid(path, cells, Page("Each hidden target's best and worst case", rows, columns, note))


def _case(example: Example, subset: int, target: int, modalities: int) -> list[Cell]:
    """Return a row of `draw_extremes`: the shown images at their modalities' places, then truth, synthesis and error."""
    box = surroundings(np.logical_or.reduce(list(example.insides.values())))
    truth, inside, image = example.truths[target], example.insides[target], example.syntheses[subset, target]
    row: list[Cell] = [None] * modalities
    for number in range(modalities):
        if subset >> number & 1:
            shown = example.truths[number]
            levels = grey_levels(shown, example.insides[number])
            row[number] = Picture(axial(shown[box]), levels, marked=True, sides=SIDES["axial"])
    levels = grey_levels(truth, inside)
    compared = [Picture(axial(plane[box]), levels) for plane in (truth, image)]
    return [*row, *compared, Picture(axial(error_of(image, truth, inside)[box]), ERROR)]


def grey_levels(truth: Array, inside: Array) -> Colours:
    """Return one window for a truth and all its predictions: from background to the truth's 99.7th percentile."""
    return Colours("gray", -1.0, window(truth, inside).high)


def error_of(image: Array, truth: Array, inside: Array) -> Array:
    """Return |image - truth| inside, NaN (drawn black) outside."""
    return np.where(inside, np.abs(image - truth), np.nan)
