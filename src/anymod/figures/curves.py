"""Curves of `metrics.csv` over the steps: loss terms, divergence of each level, validation PSNR."""

from __future__ import annotations

import csv
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anymod.files import atomic_write

PANELS = (
    ("weighted loss terms", ("reconstruction", "divergence", "adversary", "discriminators"), "log"),
    ("nats per pixel and modality", ("nats_level_",), "log"),
    ("validation PSNR in dB", ("validation_",), "linear"),
)
"""Title, prefixes of the columns, and scale of the vertical axis."""


def write_curves(metrics: Path, picture: Path) -> None:
    """Draw the columns of a run's `metrics.csv` as a PNG; panels without numbers are left out, and without panels nothing is written."""
    with metrics.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    columns = {name: _points(rows, name) for name in rows[0] if name != "step"} if rows else {}
    panels = [(title, [name for name in columns if name.startswith(starts)], scale) for title, starts, scale in PANELS]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return
    figure = Figure(figsize=(5 * len(panels), 3.4), layout="constrained")
    for axis, (title, names, scale) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axis, {name: columns[name] for name in names})
        axis.set(title=title, xlabel="step", yscale=scale)
    with atomic_write(picture) as temporary:
        figure.savefig(temporary, dpi=80, format="png")


def _points(rows: list[dict[str, str]], name: str) -> list[tuple[int, float]]:
    return [(int(row["step"]), float(row[name])) for row in rows if row[name]]


def _draw(axis: Axes, curves: dict[str, list[tuple[int, float]]]) -> None:
    for name, points in curves.items():
        label = name.removeprefix("validation_").removesuffix("_psnr_db").replace("_", " ")
        axis.plot(*zip(*points, strict=True), label=label, marker="o" if len(points) < 20 else None, markersize=3)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
