"""Where the error of hidden targets lies: scale, lesions, the brain's border, edges, and what a small shift would remove.

    python docs/results/real-mr/errors.py --cohort COHORT [--split test] [--model MODEL]

Prints, for each subject and target, the mean squared error over all subsets that hide it (scale of images: [-1, 1], drawn with --mirror)
and shares of it. Scale: what the best affine map of the volume would take away. The rest is split by where it lies, each voxel counted
once, in this order: lesion (the label map), border (within 2 voxels of the foreground's), edge (the fifth of the other voxels where the
truth is steepest), inside (all else); in brackets the part of the voxels that lie there. Shift: which part of the rest would go if each
voxel could choose the best of the nine shifts by up to one voxel in the plane for the 5 x 5 voxels around it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from scipy import ndimage
from torch import Tensor

from anymod import Synthesizer
from anymod.arrays import Array
from anymod.cohorts import read_cohort
from anymod.core.batch import Batch
from anymod.core.foregrounds import with_content
from anymod.core.noise import MEAN
from anymod.core.subsets import as_mask, as_row, non_empty_subsets
from anymod.evaluation.subjects import in_model_order
from anymod.slices import SliceCache, build_cache
from anymod.synthesis import cache_settings, encoded

PLACES = ("lesion", "border", "edge", "inside")


def main(
    cohort: Annotated[Path, typer.Option(help="The real cohort, with label maps.")],
    split: Annotated[str, typer.Option()] = "test",
    model: Annotated[Path, typer.Option()] = Path(__file__).parent / "model",
) -> None:
    """Print the table."""
    synthesizer = Synthesizer.from_folder(model)
    table = in_model_order(read_cohort(cohort), synthesizer.description)
    print(f"| subject | target | squared error | scale | {' | '.join(PLACES)} | shift |")
    print("| --- | --- |" + " ---: |" * (len(PLACES) + 3))
    with tempfile.TemporaryDirectory() as folder:
        cache = build_cache(table, table.of_split(split), cache_settings(synthesizer.description), Path(folder))
        for subject, name in enumerate(cache.subjects):
            for line in table_rows(synthesizer, cache, subject):
                print(f"| {name} | {line}", flush=True)


def table_rows(synthesizer: Synthesizer, cache: SliceCache, subject: int) -> Iterator[str]:
    """Yield a line of the table for each target of a subject."""
    slices = cache.usable(subject)
    batch = cache.read([subject] * len(slices), slices, synthesizer.model.spec.context_slices)
    planes = {
        target: (batch.targets[:, target].numpy(), batch.foreground[:, target].numpy())
        for target in batch.observed[0].nonzero()[:, 0].tolist()
    }
    places = {target: places_of(truth, inside, batch.label.numpy()) for target, (truth, inside) in planes.items()}
    measured: dict[int, list[list[float]]] = {target: [] for target in planes}
    for target, image in hidden_images(synthesizer, batch):
        measured[target].append(parts(image.numpy(), *planes[target], places[target]))
    for target, rows in measured.items():
        total, scale, shift, *where = np.mean(rows, axis=0)
        inside = planes[target][1].sum()
        sizes = [
            f"{100 * part / total:.0f} % ({100 * place.sum() / inside:.0f} %)"
            for part, place in zip(where, places[target], strict=True)
        ]
        cells = [f"{total:.4f}", f"{100 * scale / total:.0f} %", *sizes, f"{100 * shift / (total - scale):.0f} %"]
        yield f"{cache.modalities[target]} | " + " | ".join(cells) + " |"


@torch.inference_mode()
def hidden_images(synthesizer: Synthesizer, batch: Batch) -> Iterator[tuple[int, Tensor]]:
    """Yield (target, image (slice, h, w)) for every subset of a subject's images and every target that it hides."""
    observed = as_mask(batch.observed[0].tolist())
    encoding = encoded(synthesizer.model, batch.images, batch.observed, mirror=True)
    for subset in non_empty_subsets(observed):
        row = torch.tensor(as_row(subset, batch.observed.shape[1]))
        targets = tuple(place for place in range(len(row)) if (observed & ~subset) >> place & 1)
        if targets:
            shown = with_content(row.expand(len(batch.observed), -1), batch.foreground)
            images = encoding.decode(shown, targets, MEAN)
            yield from zip(targets, images.unbind(1), strict=True)


def places_of(truth: Array, inside: Array, label: Array) -> list[Array]:
    """Return the masks of `PLACES`, disjoint and together the foreground."""
    eroded = np.stack([ndimage.binary_erosion(plane, iterations=2) for plane in inside])
    steepness = np.stack([ndimage.gaussian_gradient_magnitude(plane, 0.7) for plane in truth])
    free = inside & eroded & ~label
    edge = free & (steepness > np.quantile(steepness[free], 0.8))
    return [inside & label, inside & ~eroded & ~label, edge, free & ~edge]


def parts(image: Array, truth: Array, inside: Array, places: list[Array]) -> list[float]:
    """Return (mean squared error, its part by scale, what shifts would remove of the rest, the rest by place), per foreground voxel."""
    slope, offset = np.polyfit(image[inside], truth[inside], 1)
    mapped, moves = slope * image + offset, [(down - 1, right - 1) for down, right in np.ndindex(3, 3)]
    errors = np.stack([np.where(inside, (np.roll(mapped, move, (1, 2)) - truth) ** 2, 0) for move in moves])
    chosen = ndimage.uniform_filter(errors, (1, 1, 5, 5)).argmin(0)
    total, rest = ((image - truth)[inside] ** 2).mean(), errors[moves.index((0, 0))]
    mended = rest - np.take_along_axis(errors, chosen[None], 0)[0]
    count = inside.sum()
    return [total, total - rest.sum() / count, mended.sum() / count, *(rest[place].sum() / count for place in places)]


if __name__ == "__main__":
    typer.run(main)
