"""Coarse picture of one simulated subject, made in seconds to try out settings."""

from __future__ import annotations

from pathlib import Path

from anymod.errors import OutputError
from anymod.figures.volumes import draw_patient
from anymod.simulation import SimulatedSubject, SimulationSettings, simulate_subject

COARSE = {"spacing_mm": 2.0, "acoustic_mm": 2.0}


def preview(path: Path, seed: int, settings: SimulationSettings, *, overwrite: bool = False) -> SimulatedSubject:
    """Write the first subject of a seed, at a spacing of 2 mm or more, as a PNG and return it.

    Raises OutputError if `path` is not a PNG, or exists and `overwrite` is False.
    """
    if path.suffix.lower() != ".png":
        raise OutputError("cannot write", path, "a preview is a PNG", "end its name with .png")
    if path.exists() and not overwrite:
        raise OutputError("cannot write", path, "it exists already", "choose another name or add --overwrite")
    coarse = {name: max(least, getattr(settings, name)) for name, least in COARSE.items()}
    subject = simulate_subject(seed, 0, settings.model_copy(update=coarse))
    tumour = "without a tumour" if subject.tumour is None else subject.tumour.kind.name
    title = f"{subject.name}, seed {seed}: {tumour}"
    draw_patient(path, title, subject.images, subject.label, subject.tissue.data > 0)
    return subject
