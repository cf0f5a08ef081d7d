"""Does the standard deviation tell of a lesion that the model did not draw? FLAIR from T1 alone, for test subjects with a label map.

    python docs/results/real-mr/lesions.py --cohort COHORT --out PICTURES

Prints, inside the labels and in the rest of the foreground, the mean error (synthetic less true), the mean spread of 8 samples at
temperature 1, the mean standard deviation (spread and expected error together), all on the model's scale from 0 to 1, and the share of
voxels whose error is within two standard deviations; draws the slice with most of the label.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from matplotlib.figure import Figure

from anymod import Synthesizer, read_volume
from anymod.cohorts import SubjectImages, read_cohort
from anymod.figures.planes import as_displayed, surroundings
from anymod.synthesis import SynthesisOptions
from anymod.volumes import orient, read_labels

HERE = Path(__file__).parent


def main(
    cohort: Annotated[Path, typer.Option(help="The real cohort, with label maps.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    model: Annotated[Path, typer.Option()] = HERE / "model",
) -> None:
    """Print the table and write a picture for each subject."""
    synthesizer = Synthesizer.from_folder(model)
    low, high = next((each.low, each.high) for each in synthesizer.description.modalities if each.name == "flair")
    print(
        "| subject | where | true | synthetic | error | spread | standard deviation | within two |\n"
        + "| --- " * 8
        + "|"
    )
    table = read_cohort(cohort)
    for subject in table.of_split("test"):
        if subject.label is None:
            continue
        t1, flair = (read_volume(table.path(subject, name)) for name in ("t1", "flair"))
        label = orient(read_labels(table.root / subject.label), "RAS").data > 0
        options = SynthesisOptions(("flair",), temperature=1.0, samples=8)
        mask = read_labels(table.root / subject.mask) if subject.mask else None
        made = synthesizer.synthesize({"t1": t1}, options, mask)
        images = SubjectImages.of({"flair": flair} if mask is None else {"flair": flair, "mask": mask})
        own = synthesizer.input_ranges(synthesizer.see(images))[synthesizer.description.position("flair")]
        truth = np.clip((orient(flair, "RAS").data - own.low) / (own.high - own.low), 0, 1)
        mean = (orient(made.images["flair"], "RAS").data - low) / (high - low)
        deviation = orient(made.standard_deviations["flair"], "RAS").data / (high - low)
        expected = made.expected_errors["flair"] / (high - low)
        spread = np.sqrt(np.clip(deviation**2 - expected**2, 0, None))
        inside = (orient(flair, "RAS").data != 0) & (orient(t1, "RAS").data != 0)
        for where, part in (("lesion", label & inside), ("elsewhere", inside & ~label)):
            error = (mean - truth)[part]
            numbers = [truth[part].mean(), mean[part].mean(), error.mean(), spread[part].mean(), deviation[part].mean()]
            within = (abs(error) <= 2 * deviation[part]).mean()
            print(f"| {subject.name} | {where} | {' | '.join(f'{each:.3f}' for each in numbers)} | {within:.0%} |")
        height = int(label.sum((0, 1)).argmax())
        box = surroundings(inside[:, :, height])
        panels = {
            "T1, shown": (orient(t1, "RAS").data, "gray", None),
            "FLAIR, true": (truth, "gray", 1),
            "FLAIR from T1": (mean, "gray", 1),
            "error": (np.where(inside, abs(mean - truth), 0), "inferno", 0.5),
            "spread of 8 samples": (spread, "viridis", 0.2),
            "standard deviation": (deviation, "viridis", 0.2),
        }
        figure = Figure(figsize=(14, 3), layout="compressed")
        for axis, (title, (data, colours, top)) in zip(figure.subplots(1, 6), panels.items(), strict=True):
            drawn = axis.imshow(as_displayed(data[:, :, height][box]), cmap=colours, vmin=0, vmax=top)
            axis.contour(as_displayed(label[:, :, height][box]).astype(float), [0.5], colors="red", linewidths=0.5)
            axis.set_title(title, fontsize=9)
            axis.set_axis_off()
            if colours != "gray":
                figure.colorbar(drawn, ax=axis, shrink=0.6)
        out.mkdir(parents=True, exist_ok=True)
        figure.savefig(out / f"{subject.name}-lesion.png", dpi=80)


if __name__ == "__main__":
    typer.run(main)
