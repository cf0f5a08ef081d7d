"""One subject measured: every subset of what is observed, every observed target, the model and its references."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from anymod.arrays import Array
from anymod.core.batch import Batch
from anymod.core.subsets import as_mask, as_row, non_empty_subsets, subset_name
from anymod.evaluation.regression import TrainingMoments, predict_affine
from anymod.evaluation.tally import Tally
from anymod.models import Synthesizes
from anymod.slices import SliceCache
from anymod.synthesis import SynthesisOptions, draw_images, encoded, slices_at_once, with_content

MODEL, MEAN_IMAGE, AFFINE = "model", "mean-image", "affine-regression"
METHODS = (MODEL, MEAN_IMAGE, AFFINE)


@dataclass(frozen=True)
class Score:
    """How close one prediction came: one row of `scores.csv`. Intensities in [-1, 1]; `shown` holds names joined by `+`.

    `structure_psnr_db` is what PSNR would be if the volume's intensities were mapped by the best affine map first: it tells an error of
    structure from one of scale, which is arbitrary in MR. `spectrum_error` is the largest relative deviation of the power spectrum within
    slices from the true one, up to half of Nyquist's frequency; `through_plane` the mean change from slice to slice as a part of the true
    one (NaN where no two slices are neighbours). Both speak of texture alone: a copy of another subject could be perfect in them.
    """

    subject: str
    shown: str
    target: str
    kind: Literal["hidden", "shown"]
    method: str
    psnr_db: float
    ssim: float
    ms_ssim: float
    mae: float
    structure_psnr_db: float
    spectrum_error: float
    through_plane: float
    slices: int


@dataclass(frozen=True)
class Example:
    """One slice of a subject for the picture grid: (h, w) planes by target, and by (subset, target); keys are masks and positions."""

    subject: str
    truths: dict[int, Array]
    insides: dict[int, Array]
    syntheses: dict[tuple[int, int], Array]


@dataclass(frozen=True)
class Reading:
    """What a subject is measured with: the model, its slices, what the references learned, how the model draws, and which subsets.

    `given` holds these as positions in the order in which a user named them, which matters to the protocol `dorent2024` alone.
    """

    model: Synthesizes
    cache: SliceCache
    moments: TrainingMoments
    options: SynthesisOptions
    subsets: tuple[int, ...] | None = None
    given: tuple[tuple[int, ...], ...] | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


@torch.inference_mode()
def score_subject(reading: Reading, subject: int) -> tuple[list[Score], Example]:
    """Return the scores of one subject (an index) and the slice with the most foreground as an example.

    A voxel counts where the target's own foreground and the union of the shown foregrounds overlap: elsewhere there is no truth, or no
    prediction. A subset and target that overlap nowhere, or a reference without training voxels, have no row.
    """
    cache = reading.cache
    observed = as_mask(cache.records[subject].observed)
    subsets = [subset for subset in reading.subsets or non_empty_subsets(observed) if subset & observed == subset]
    targets = tuple(place for place in range(len(cache.modalities)) if observed >> place & 1)
    slices = cache.usable(subject)
    example_slice = max(slices.tolist(), key=lambda place: cache.records[subject].union_fractions[place])
    tallies: dict[tuple[int, int, str], Tally] = {}
    example = Example(cache.subjects[subject], {}, {}, {})
    size = slices_at_once(math.prod(cache.settings.image_size))
    for start in range(0, len(slices), size):
        chunk = slices[start : start + size]
        batch = cache.read(np.full(len(chunk), subject), chunk, reading.model.spec.context_slices)
        for subset, images in _draw_subsets(reading, batch, subsets, targets, chunk.tolist()):
            region = _union(batch.foreground, subset)
            if example_slice in chunk:
                _keep_example(example, batch, subset, targets, images, chunk.tolist().index(example_slice))
            for number, target in enumerate(targets):
                inside = batch.foreground[:, target] & region
                for method, prediction in _predictions(reading, batch, subset, target, images[:, number]).items():
                    tally = tallies.setdefault((subset, target, method), Tally())
                    tally.add(prediction, batch.targets[:, target], inside)
    return [_as_score(cache, subject, key, tally) for key, tally in tallies.items() if tally.voxels], example


def _draw_subsets(
    reading: Reading, batch: Batch, subsets: Sequence[int], targets: tuple[int, ...], slices: list[int]
) -> list[tuple[int, Tensor]]:
    """Return (subset, images (b, t, h, w), background -1) for each subset, all from one encoding."""
    on_device = batch.to(reading.device)
    encoding = encoded(reading.model, on_device.images, on_device.observed, mirror=reading.options.mirror)
    drawn = []
    for subset in subsets:
        row = torch.tensor(as_row(subset, batch.observed.shape[1]), device=reading.device)
        shown = with_content(row.expand(len(slices), -1), on_device.foreground)
        images, _ = draw_images(encoding, shown, targets, reading.options, slices)
        drawn.append((subset, torch.where(_union(batch.foreground, subset)[:, None], images.cpu(), -1.0)))
    return drawn


def _predictions(reading: Reading, batch: Batch, subset: int, target: int, drawn: Tensor) -> dict[str, Tensor]:
    predictions = {MODEL: drawn}
    mean, coefficients = reading.moments.mean(target), reading.moments.regression(subset, target)
    if mean is not None:
        predictions[MEAN_IMAGE] = torch.full_like(drawn, mean)
    if coefficients is not None:
        inputs = batch.images[:, :, batch.images.shape[2] // 2]
        predictions[AFFINE] = predict_affine(coefficients, subset, inputs)
    return predictions


def _keep_example(
    example: Example, batch: Batch, subset: int, targets: tuple[int, ...], images: Tensor, row: int
) -> None:
    for number, target in enumerate(targets):
        example.truths[target] = batch.targets[row, target].numpy()
        example.insides[target] = batch.foreground[row, target].numpy()
        example.syntheses[subset, target] = images[row, number].clone().numpy()


def _as_score(cache: SliceCache, subject: int, key: tuple[int, int, str], tally: Tally) -> Score:
    subset, target, method = key
    return Score(
        subject=cache.subjects[subject],
        shown=subset_name(subset, cache.modalities),
        target=cache.modalities[target],
        kind="shown" if subset >> target & 1 else "hidden",
        method=method,
        **tally.values(),  # type: ignore[arg-type]
    )


def _union(foreground: Tensor, subset: int) -> Tensor:
    """Return (b, h, w): where any modality of a subset (a bit mask) has foreground."""
    return foreground[:, as_row(subset, foreground.shape[1])].any(1)
