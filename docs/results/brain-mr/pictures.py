"""What a model makes of subjects that it has not seen: truth and synthetic images in three planes through the lesion, its outline in red.

    python docs/results/brain-mr/pictures.py --model MODEL --cohort COHORT --out PICTURES gli-00006 ms-19

A row for each modality: the truth, what the model makes of T1 alone (T1 itself: of T2 alone), what it makes of all the others, and, if the
model can, the realistic form of that. Each row has one window, that of the truth; the raw values of a synthetic image are arbitrary, so
they are mapped to the truth's by the scales of both (docs/method.md section 9).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from anymod import Synthesizer, read_volume
from anymod.arrays import Array
from anymod.cohorts import SubjectImages, read_cohort
from anymod.figures.grid import NOTICE, Colours, Page, Picture, draw_grid, window
from anymod.figures.planes import SIDES, THREE_PLANES, as_displayed, surroundings
from anymod.synthesis import SynthesisOptions
from anymod.volumes import Volume, orient, read_labels

AXES = {"axial": 2, "coronal": 1, "sagittal": 0}


def main(
    subjects: list[str],
    model: Annotated[Path, typer.Option(help="Model folder.")],
    cohort: Annotated[Path, typer.Option(help="The cohort, with label maps.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    mirror: Annotated[bool, typer.Option(help="Average with the mirrored head.")] = True,
) -> None:
    """Write a picture of each subject, which needs all images of the model."""
    synthesizer, table = Synthesizer.from_folder(model), read_cohort(cohort)
    names = synthesizer.description.names
    out.mkdir(parents=True, exist_ok=True)
    for subject in map(table.subject, subjects):
        volumes = {name: read_volume(table.path(subject, name)) for name in names}
        seen = synthesizer.see(SubjectImages.of(volumes))
        inside = np.logical_or.reduce([orient(each, "RAS").data != 0 for each in volumes.values()])
        label = np.zeros(inside.shape, bool)
        if subject.label is not None:
            label = orient(read_labels(table.root / subject.label), "RAS").data > 0
        rows = []
        for place, target in enumerate(names):
            own, typical = synthesizer.input_ranges(seen)[place], synthesizer.description.modalities[place]
            others = tuple(name for name in names if name != target)
            alone = (others[0],) if target != "t1" else ("t2",)
            made: list[Volume] = []
            for shown, realistic in ((alone, False), (others, False), (others, True)):
                if realistic and not synthesizer.description.realistic:
                    continue
                options = SynthesisOptions((target,), mirror=mirror, realistic=realistic)
                found = synthesizer.synthesize({name: volumes[name] for name in shown}, options).images[target]
                share = (found.data - typical.low) / (typical.high - typical.low)
                made.append(Volume(np.where(share > -0.5, own.low + share * (own.high - own.low), 0), found.grid))
            colours = window(orient(volumes[target], "RAS").data, inside)
            rows.append(
                [each for volume in (volumes[target], *made) for each in _planes(volume, inside, label, colours)]
            )
        titles = ["true", "from t1 (t1: t2)", "from the others", "the same, realistic"][: len(rows[0]) // len(AXES)]
        columns = [f"{title}\n{plane}" for title in titles for plane in AXES]
        note = f"Planes through the middle of the lesion (red outline) or of the head. {THREE_PLANES} {NOTICE}"
        draw_grid(
            out / f"{subject.name}.png", rows, Page(f"{subject.name}: true and synthetic", names, columns, note, 75)
        )


def _planes(volume: Volume, inside: Array, label: Array, colours: Colours) -> list[Picture]:
    """Return the planes of a volume through the middle of a label map, with its outline, cut to the head."""
    box = surroundings(inside)
    data, lesion = orient(volume, "RAS").data[box], label[box]
    middle = (
        [int(np.median(each)) for each in lesion.nonzero()] if lesion.any() else [size // 2 for size in lesion.shape]
    )
    pictures = []
    for plane, axis in AXES.items():
        pixels, marked = (as_displayed(np.take(each, middle[axis], axis)) for each in (data, lesion))
        pictures.append(Picture(pixels, colours, sides=SIDES[plane], region=marked))
    return pictures


if __name__ == "__main__":
    typer.run(main)
