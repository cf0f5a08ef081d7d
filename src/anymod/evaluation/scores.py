"""Scores of one subject: every shown subset, every observed target, the model and its reference predictors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from anymod.core.batch import Batch
from anymod.core.features import NEIGHBOURS, surroundings
from anymod.core.foregrounds import masked, shown_foreground, with_content
from anymod.core.subsets import as_mask, as_row, non_empty_subsets, positions, subset_name
from anymod.evaluation.regression import TrainingMoments
from anymod.evaluation.tally import Tally
from anymod.figures.examples import Example
from anymod.models import Synthesizes
from anymod.slices import SliceCache
from anymod.synthesis import SynthesisOptions, draw_images, encoded, slices_at_once

MODEL, MEAN_IMAGE, AFFINE, SPATIAL = "model", "mean-image", "affine-regression", "spatial-regression"
METHODS = (MODEL, MEAN_IMAGE, AFFINE, SPATIAL)


@dataclass(frozen=True)
class Score:
    """Scores of one predicted volume: one row of `scores.csv`. Intensities lie in [-1, 1]; `shown` holds names joined by `+`.

    `structure_psnr_db` is the PSNR after the best affine map of the volume's intensities. It separates errors of structure from errors
    of scale, which is arbitrary in MR. `spectrum_error` is the largest relative deviation of the power spectrum within slices from the
    true one, up to half the Nyquist frequency. `through_plane` is the mean change between neighbouring slices divided by the true one
    (NaN without neighbouring slices). The last two measure texture only: the image of another subject could score perfectly.
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
class Reading:
    """Model, slices, fitted references and options with which subjects are scored.

    `given` holds the shown subsets as positions in the order in which the user named them, None for every subset of each subject. The
    order matters to the protocol `dorent2024` only.
    """

    model: Synthesizes
    cache: SliceCache
    moments: TrainingMoments
    options: SynthesisOptions
    given: tuple[tuple[int, ...], ...] | None
    device: torch.device

    def shown_of(self, subject: int) -> list[tuple[int, ...]]:
        """Return the shown subsets of a subject (an index): those given that it has in full, or all of its non-empty subsets."""
        observed = as_mask(self.cache.records[subject].observed)
        subsets = self.given or [positions(subset) for subset in non_empty_subsets(observed)]
        return [subset for subset in subsets if set(subset) <= set(positions(observed))]


@torch.inference_mode()
def score_subject(reading: Reading, subject: int) -> tuple[list[Score], Example]:
    """Return the scores of one subject (an index) and, as an example, its slice with the most foreground.

    A voxel counts where the target's own foreground and the union of the shown foregrounds overlap: elsewhere the truth or the prediction
    is missing. There is no row for a subset and target that overlap nowhere, or for a reference without training voxels.
    """
    cache = reading.cache
    subsets = list(dict.fromkeys(sum(1 << place for place in subset) for subset in reading.shown_of(subject)))
    targets = positions(as_mask(cache.records[subject].observed))
    slices = cache.usable(subject)
    example_slice = max(slices.tolist(), key=lambda place: cache.records[subject].union_fractions[place])
    tallies: dict[tuple[int, int, str], Tally] = {}
    example = Example(cache.subjects[subject], {}, {}, {})
    size = slices_at_once(math.prod(cache.settings.image_size))
    for start in range(0, len(slices), size):
        chunk = slices[start : start + size]
        context = reading.model.spec.context_slices
        read = cache.read(np.full(len(chunk), subject), chunk, max(context, NEIGHBOURS))
        features = surroundings(read.images)
        batch = read.with_context(context)
        for subset, region, images in _draw_subsets(reading, batch, subsets, targets, chunk.tolist()):
            if example_slice in chunk:
                row, names = chunk.tolist().index(example_slice), [cache.modalities[target] for target in targets]
                example.truths.update(zip(names, batch.targets[row, list(targets)].numpy(), strict=True))
                example.foregrounds.update(zip(names, batch.foreground[row, list(targets)].numpy(), strict=True))
                predicted = dict(zip(names, images[row].clone().numpy(), strict=True))
                example.predictions[subset_name(subset, cache.modalities)] = predicted
            for number, target in enumerate(targets):
                inside = batch.foreground[:, target] & region
                for method, prediction in _predictions(reading, features, subset, target, images[:, number]).items():
                    tally = tallies.setdefault((subset, target, method), Tally())
                    tally.add(prediction, batch.targets[:, target], inside)
    return [_as_score(cache, subject, key, tally) for key, tally in tallies.items() if tally.voxels], example


def _draw_subsets(
    reading: Reading, batch: Batch, subsets: Sequence[int], targets: tuple[int, ...], slices: list[int]
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield each subset with its foreground (b, h, w) and its images (b, t, h, w), background -1, all from one encoding."""
    on_device = batch.to(reading.device)
    encoding = encoded(reading.model, on_device.images, on_device.observed, mirror=reading.options.mirror)
    for subset in subsets:
        shown = torch.tensor(as_row(subset, batch.observed.shape[1])).expand(len(slices), -1)
        region = shown_foreground(batch.foreground, shown)
        filled = with_content(shown.to(reading.device), on_device.foreground)
        images, _ = draw_images(encoding, filled, targets, reading.options, slices)
        yield subset, region, masked(images.cpu(), region)


def _predictions(reading: Reading, features: Tensor, subset: int, target: int, drawn: Tensor) -> dict[str, Tensor]:
    predictions = {MODEL: drawn}
    moments, hidden = reading.moments, not subset >> target & 1
    mean = moments.mean(target)
    if mean is not None:
        predictions[MEAN_IMAGE] = torch.full_like(drawn, mean)
    regressions = {AFFINE: moments.affine(subset, target), SPATIAL: moments.spatial(subset, target) if hidden else None}
    return predictions | {name: each.predict(features) for name, each in regressions.items() if each is not None}


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
