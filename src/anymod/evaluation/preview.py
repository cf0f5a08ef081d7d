"""A simulated subject as one picture, coarse and in seconds, to try settings before a whole cohort is made."""

from __future__ import annotations

from pathlib import Path

from anymod.errors import OutputError
from anymod.figures.grid import Cell, Colours, Page, Picture, draw_grid, window
from anymod.figures.planes import CONVENTION, SIDES, three_planes
from anymod.simulation import SimulatedSubject, SimulationSettings, simulate_subject

COARSE = {"spacing_mm": 2.0, "acoustic_mm": 2.0}
LABELS = Colours("viridis", 0.0, 4.0)


def preview(path: Path, seed: int, settings: SimulationSettings, *, overwrite: bool = False) -> SimulatedSubject:
    """Write the first subject of a seed as a PNG and return it; at no finer spacing than 2 mm.

    Raises OutputError where something is at `path` already and `overwrite` is not asked for, or where it is no PNG.
    """
    if path.suffix.lower() != ".png":
        raise OutputError("cannot write", path, "a preview is a PNG", "end its name with .png")
    if path.exists() and not overwrite:
        raise OutputError("cannot write", path, "it is there already", "choose another name or add --overwrite")
    coarse = {name: max(least, getattr(settings, name)) for name, least in COARSE.items()}
    subject = simulate_subject(seed, 0, settings.model_copy(update=coarse))
    names = list(subject.images)
    cells: list[list[Cell]] = []
    for volume in (*subject.images.values(), subject.label):
        colours = LABELS if volume is subject.label else window(volume.data, volume.data > 0)
        planes = three_planes(volume, subject.tissue.data > 0)
        cells.append([Picture(pixels, colours, aspect, sides=SIDES[name]) for name, (pixels, aspect) in planes.items()])
    ill = "without a tumour" if subject.tumour is None else subject.tumour.kind.name
    note = f"Planes through the middle. Tumour: core blue, oedema green, rim yellow.\n{CONVENTION}"
    draw_grid(path, cells, Page(f"{subject.name}, seed {seed}: {ill}", [*names, "tumour"], list(SIDES), note))
    return subject
