"""The demo's one picture: for each way of hiding, what was filled in, how wrong it is, and how far samples spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.evaluation.figures import ERROR, error_of, grey_levels
from anymod.figures.grid import NOTICE, Cell, Colours, Page, Pair, Picture, draw_grid
from anymod.figures.planes import CONVENTION, SIDES, axial, surroundings

NOTE = (
    "A simulated patient whom the model has never seen. A green frame marks what was shown; the rest was hidden and filled in.\n"
    f"{CONVENTION} Intensities in [-1, 1]. {NOTICE}\n"
    "Spread: standard deviation of samples, which is no calibrated uncertainty."
)


@dataclass(frozen=True)
class Filled:
    """One axial slice given some modalities. Shapes: image, spread (m, h, w), scaled; spread NaN outside of the foreground."""

    shown: tuple[str, ...]
    image: Array
    spread: Array


@dataclass(frozen=True)
class Truth:
    """The same slice as it is. Shapes: images, foreground (m, h, w); `names` are the modalities."""

    names: tuple[str, ...]
    images: Array
    foreground: Array


def draw_demo(path: Path, truth: Truth, ways: Sequence[Filled]) -> None:
    """Write the picture: the truth on top, then for each way the images, and below them error and spread side by side."""
    box = surroundings(np.any(truth.foreground, axis=0))
    greys = [grey_levels(*both) for both in zip(truth.images, truth.foreground, strict=True)]
    colours = _spread_colours(truth, ways)
    cells: list[list[Cell]] = [
        [
            Picture(axial(plane[box]), grey, sides=SIDES["axial"])
            for plane, grey in zip(truth.images, greys, strict=True)
        ]
    ]
    rows = ["truth"]
    for way in ways:
        images: list[Cell] = []
        doubts: list[Cell] = []
        for place, name in enumerate(truth.names):
            if name in way.shown:
                images.append(Picture(axial(truth.images[place][box]), greys[place], marked=True))
                doubts.append(None)
            else:
                drawn = truth.foreground[place] & np.isfinite(way.spread[place])  # beside a fan nothing was
                error = error_of(way.image[place], truth.images[place], drawn)
                images.append(Picture(axial(way.image[place][box]), greys[place]))
                doubts.append(Pair(Picture(axial(error[box]), ERROR), Picture(axial(way.spread[place][box]), colours)))
        cells += [images, doubts]
        rows += ["shown:\n" + " +\n".join(way.shown), "error | spread"]
    draw_grid(path, cells, Page("anymod demo: any image from any others", rows, truth.names, NOTE))


def _spread_colours(truth: Truth, ways: Sequence[Filled]) -> Colours:
    """Return one scale for the spreads of everything hidden."""
    hidden = [way.spread[place] for way in ways for place, name in enumerate(truth.names) if name not in way.shown]
    highest = float(np.nanpercentile(np.stack(hidden), 99.5))
    return Colours("viridis", 0.0, max(round(highest, 2), 0.01), "spread of samples, not calibrated")
