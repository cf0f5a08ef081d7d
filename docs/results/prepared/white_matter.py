"""How near is the estimate of white matter to the truth, and do harmonized intensities agree better from scanner to scanner?

    python docs/results/prepared/white_matter.py --simulated HEADS --real COHORT --out docs/results/prepared

HEADS: `anymod simulate`, whole brains with t1 at 1 mm; their true medians of white matter stand in `simulation.json`. COHORT: `anymod
prepare --white-matter estimate` of real images. Prints how far the median in the estimate, and the median of the core (what
`data.intensity.anchor: core` takes), are from the truth, and for real images how far the two are from one another; draws histograms of
real images scaled by percentiles and by white matter.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from matplotlib.figure import Figure

from anymod import read_volume
from anymod.arrays import Array
from anymod.cohorts import Cohort, Subject, read_cohort
from anymod.preparation.white_matter import LEFT, RIGHT, estimate_white_matter
from anymod.volumes import core_median, foreground_of, read_labels

CONTRASTS = ("t1", "cet1", "t2", "flair")


def main(
    simulated: Annotated[Path, typer.Option(help="Simulated whole brains with t1, at 1 mm.")],
    real: Annotated[Path, typer.Option(help="Cohort made with --white-matter estimate.")],
    out: Annotated[Path, typer.Option(help="Folder for the picture.")],
) -> None:
    """Print the tables and draw the histograms."""
    print("| simulated | heads | estimate: median (worst) | core: median (worst) |\n| --- | --- | --- | --- |")
    errors = simulated_errors(read_cohort(simulated))
    for name in CONTRASTS:
        pairs = np.abs(errors[name])
        cells = [f"{100 * np.median(each):.1f} % ({100 * each.max():.1f} %)" for each in pairs.T]
        print(f"| {name} | {len(pairs)} | {' | '.join(cells)} |")
    cohort = read_cohort(real)
    known = [subject for subject in cohort.subjects if subject.tissue is not None]
    print(f"\n{len(known)} of {len(cohort.subjects)} real subjects have an estimate.\n")
    print("| real | subjects | core over estimate: median (range) |\n| --- | --- | --- |")
    ratios = defaultdict(list)
    for subject in known:
        for name in CONTRASTS:
            if name in subject.paths:
                core, white, _ = medians(cohort, subject, name)
                ratios[name].append(core / white)
    for name, each in ratios.items():
        print(f"| {name} | {len(each)} | {np.median(each):.2f} ({min(each):.2f} to {max(each):.2f}) |")
    draw(out / "white-matter.png", cohort, known)


def simulated_errors(cohort: Cohort) -> dict[str, Array]:
    """Return, by contrast, each head's relative error of the median in the estimate and of the core's [head, 2]."""
    errors = defaultdict(list)
    for subject in cohort.subjects:
        if "t1" not in subject.paths:
            continue
        record = cohort.path(subject, "t1").parent / "simulation.json"
        truth = json.loads(record.read_text())["white_matter_median"]
        t1 = read_volume(cohort.path(subject, "t1"))
        white = estimate_white_matter(t1, foreground_of(t1.data)).data > 0
        for name, true in truth.items():
            volume = read_volume(cohort.path(subject, name))
            core = core_median(volume.data, foreground_of(volume.data), volume.spacing_mm)
            errors[name].append((np.median(volume.data[white]) / true - 1, core / true - 1))
    return {name: np.array(pairs) for name, pairs in errors.items()}


def medians(cohort: Cohort, subject: Subject, name: str) -> tuple[float, float, Array]:
    """Return the median of the core and of the estimated white matter above the darkest, and the foreground's values likewise."""
    volume = read_volume(cohort.path(subject, name))
    mask = None if subject.mask is None else read_labels(cohort.root / subject.mask).data
    foreground = foreground_of(volume.data, mask)
    white = np.isin(read_labels(cohort.root / subject.tissue).data, (LEFT, RIGHT)) & foreground
    darkest = np.percentile(volume.data[foreground], 0.5)
    core = core_median(volume.data, foreground, volume.spacing_mm)
    return core - darkest, float(np.median(volume.data[white])) - darkest, volume.data[foreground] - darkest


def draw(path: Path, cohort: Cohort, subjects: list[Subject]) -> None:
    """Draw each subject's histogram of each contrast, scaled by the 99.95th percentile (above) and by white matter (below)."""
    figure = Figure(figsize=(11, 5), layout="compressed")
    axes = figure.subplots(2, len(CONTRASTS), sharey=True)
    for column, name in enumerate(CONTRASTS):
        for subject in subjects:
            if name not in subject.paths:
                continue
            _, white, values = medians(cohort, subject, name)
            for row, scale in enumerate((np.percentile(values, 99.95), 2 * white)):
                counts, edges = np.histogram(values / scale, bins=40, range=(0, 1.2), density=True)
                axes[row, column].plot((edges[1:] + edges[:-1]) / 2, counts, lw=1, label=subject.name)
        axes[0, column].set_title(name)
        axes[1, column].axvline(0.5, color="black", lw=0.5, ls=":")
    axes[0, 0].set_ylabel("brightest at 1")
    axes[1, 0].set_ylabel("white matter at 1/2")
    axes[0, -1].legend(fontsize=6)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    typer.run(main)
