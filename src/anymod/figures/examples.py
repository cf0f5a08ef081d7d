"""Example slices: true images beside the images that a model made from different shown subsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.figures.grid import FRAME, NOTICE, Cell, Colours, Page, Picture, draw_grid, window
from anymod.figures.planes import CONVENTION, SIDES, as_displayed, surroundings

ERROR = Colours("magma", 0.0, 0.5, "absolute error (intensities in [-1, 1])")
MOST_ROWS = 16  # that fit on a page


@dataclass(frozen=True)
class Example:
    """One axial slice of a subject: planes (right, anterior) by modality, intensities in [-1, 1].

    `predictions` holds the images that a model made, by shown subset (names joined by `+`) and target. `deviations` holds the standard
    deviations of samples in the same way, where they were drawn; they are NaN outside the foreground of the shown images.
    """

    subject: str
    truths: dict[str, Array]
    foregrounds: dict[str, Array]
    predictions: dict[str, dict[str, Array]]
    deviations: dict[str, dict[str, Array]] = field(default_factory=dict)

    def picture(self, plane: Array, colours: Colours) -> Picture:
        """Return a plane of this slice as displayed, cut to the foreground of all true images."""
        box = surroundings(np.logical_or.reduce(list(self.foregrounds.values())))
        return Picture(as_displayed(plane[box]), colours)

    def greys(self, name: str) -> Colours:
        """Return one window for a true image and its predictions: from background to the truth's 99.7th percentile."""
        high = window(self.truths[name], self.foregrounds[name]).high if name in self.truths else 1.0
        return Colours("gray", -1.0, high)

    def truth(self, name: str, *, marked: bool = False) -> Picture:
        """Return the true image of a modality."""
        return replace(self.picture(self.truths[name], self.greys(name)), marked=marked, sides=SIDES["axial"])

    def prediction(self, shown: str, name: str) -> Picture:
        """Return the image of a target, with a frame if the target itself was shown."""
        return replace(self.picture(self.predictions[shown][name], self.greys(name)), marked=name in shown.split("+"))

    def error(self, shown: str, name: str) -> Picture:
        """Return |prediction - truth| where the target and the prediction have foreground."""
        inside = self.foregrounds[name]
        if shown in self.deviations:
            inside = inside & np.isfinite(self.deviations[shown][name])
        error = np.abs(self.predictions[shown][name] - self.truths[name])
        return self.picture(np.where(inside, error, np.nan), ERROR)


@dataclass(frozen=True)
class Case:
    """One target of an example, predicted from one shown subset; `label` is the title of its row."""

    label: str
    example: Example
    shown: str
    target: str


def draw_example(path: Path, example: Example) -> None:
    """Write a PNG: the truth on top, then one row per shown subset; each target has two columns, image and error."""
    targets, subsets = list(example.truths), list(example.predictions)[:MOST_ROWS]
    cells: list[list[Cell]] = [[cell for name in targets for cell in (example.truth(name), None)]]
    for shown in subsets:
        pairs = [(example.prediction(shown, name), example.error(shown, name)) for name in targets]
        cells.append([picture for pair in pairs for picture in pair])
    rows = ["truth", *(shown.replace("+", " +\n") for shown in subsets)]
    columns = [text for name in targets for text in (name, "error")]
    note = f"Row titles: the modalities shown to the model. {FRAME} {CONVENTION} {NOTICE}"
    draw_grid(path, cells, Page(f"{example.subject}: every target from every shown subset", rows, columns, note))


def draw_extremes(path: Path, cases: Sequence[Case], modalities: Sequence[str]) -> None:
    """Write a PNG with one row per case: the shown images in the columns of their modalities, then truth, synthesis and error."""
    cells: list[list[Cell]] = []
    for case in cases:
        example, shown = case.example, case.shown.split("+")
        inputs = [example.truth(name, marked=True) if name in shown else None for name in modalities]
        synthetic, error = example.prediction(case.shown, case.target), example.error(case.shown, case.target)
        cells.append([*inputs, example.truth(case.target), synthetic, error])
    rows, columns = [case.label for case in cases], [*modalities, "truth", "synthetic", "error"]
    note = f"Best and worst by PSNR over the whole volume, of which one slice is drawn. {FRAME} {CONVENTION} {NOTICE}"
    draw_grid(path, cells, Page("Best and worst case of each hidden target", rows, columns, note))


def draw_validation(path: Path, examples: Sequence[Example], modalities: Sequence[str]) -> None:
    """Write a PNG with one row per example, which has one shown subset; each modality has two columns, truth and the model's image."""
    cells: list[list[Cell]] = []
    for example in examples:
        (shown,) = example.predictions
        row: list[Cell] = []
        for name in modalities:
            truth = example.truth(name, marked=name in shown.split("+")) if name in example.truths else None
            row += [truth, example.prediction(shown, name)]
        cells.append(row)
    columns = [f"{name}\n{which}" for name in modalities for which in ("truth", "model")]
    note = f"{FRAME} A subject lacks the modalities without a true image. {CONVENTION} {NOTICE}"
    draw_grid(path, cells, Page("Validation subjects", [each.subject for each in examples], columns, note))
