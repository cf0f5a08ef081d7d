"""How much of an enhancing rim comes back in contrast-enhanced T1 that was hidden: its contrast to the rest of the brain, made and true.

Contrast is the mean inside the rim (label 4) over the median of the foreground outside the tumour, less 1. Subjects need contrast-enhanced
T1, a label map with a rim that can be seen, and one other image at least; the same subjects' truth stands beside the synthesis.

    python benchmarks/rim.py --model simulated-mr --cohort simulated --split test
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

TARGET, ENHANCING = "cet1", 4
LEAST_VOXELS = 100  # of a rim, so that partial volume does not decide


@dataclass(frozen=True)
class Row:
    """Means over subjects of the rim's contrast, true and synthesized, given some images (names joined by `+`)."""

    shown: str
    subjects: int
    true: float
    synthesized: float


def contrast(image: Any, label: Any, foreground: Any) -> float:
    """Return the rim's mean over the median of the foreground (X, Y, Z) outside the tumour, less 1."""
    import numpy as np

    return float(image[label == ENHANCING].mean() / np.median(image[foreground & (label == 0)]) - 1)


def measure(model: str, cohort_folder: Path, split: str) -> list[Row]:
    """Return a row for every set of images that some subject of the split shows."""
    from anymod import Synthesizer, read_volume
    from anymod.cohorts import read_cohort
    from anymod.core.subsets import as_row, non_empty_subsets
    from anymod.synthesis import SynthesisOptions
    from anymod.volumes import read_labels

    cohort, synthesizer = read_cohort(cohort_folder), Synthesizer.from_folder(model)
    contrasts: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for subject in cohort.of_split(split):
        if TARGET not in subject.paths or len(subject.paths) < 2 or subject.label is None:
            continue
        label = read_labels(cohort.root / subject.label).data
        if (label == ENHANCING).sum() < LEAST_VOXELS:
            continue
        images = {name: read_volume(cohort.path(subject, name)) for name in subject.paths}
        truth = images.pop(TARGET).data
        known = contrast(truth, label, truth > 0)
        for subset in non_empty_subsets(2 ** len(images) - 1):
            shown = {
                name: images[name] for name, is_in in zip(images, as_row(subset, len(images)), strict=True) if is_in
            }
            made = synthesizer.synthesize(shown, SynthesisOptions(targets=(TARGET,))).images[TARGET].data
            contrasts["+".join(shown)].append((known, contrast(made, label, truth > 0)))
    return [
        Row(shown, len(pairs), *(statistics.mean(column) for column in zip(*pairs, strict=True)))
        for shown, pairs in contrasts.items()
    ]


def main(
    cohort: Annotated[Path, typer.Option(help="Cohort folder with label maps.")],
    model: Annotated[str, typer.Option(help="Model folder, or the name of a bundled model.")] = "simulated-mr",
    split: Annotated[str, typer.Option(help="The subjects to measure.")] = "test",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the rim's contrast for every set of shown images as a table, or as JSON."""
    rows = measure(model, cohort, split)
    if as_json:
        print(json.dumps({"format": 1, "results": [asdict(row) for row in rows]}, indent=2))
        return
    print(f"{'shown':<16} {'subjects':>8} {'true':>6} {'made':>6} {'share':>6}")
    for row in rows:
        print(
            f"{row.shown:<16} {row.subjects:>8} {row.true:>6.2f} {row.synthesized:>6.2f} {row.synthesized / row.true:>6.0%}"
        )


if __name__ == "__main__":
    typer.run(main)
