"""One subject measured: every subset of what is observed, every observed target, the model and its references."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from anymod.cohorts import Batch, SliceCache
from anymod.core.fidelity import DATA_RANGE, ms_ssim, ssim
from anymod.core.subsets import as_mask, as_row, non_empty_subsets, subset_name
from anymod.evaluation.regression import TrainingMoments, predict_affine
from anymod.models import UnifiedModel
from anymod.synthesis import SynthesisOptions, draw_images, encoded, slices_at_once, with_content
from anymod.types import Array

MODEL, MEAN_IMAGE, AFFINE = "model", "mean-image", "affine-regression"
METHODS = (MODEL, MEAN_IMAGE, AFFINE)
LARGEST_PSNR_DB = 100.0  # equal images would be infinite, and so would any mean with them
SMALLEST_VARIANCE = 1e-12  # of a prediction: below it is one value, which no map makes more of


@dataclass(frozen=True)
class Score:
    """How close one prediction came: one row of `scores.csv`. Intensities in [-1, 1]; `shown` holds names joined by `+`.

    `structure_psnr_db` is what PSNR would be if the volume's intensities were mapped by the best affine map first: it tells an error of
    structure from one of scale, which is arbitrary in MR.
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
    slices: int


@dataclass
class Tally:
    """Sums over the slices of a volume, from which its scores follow as if it had been measured at once."""

    voxels: int = 0
    squared_error: float = 0.0
    absolute_error: float = 0.0
    slices: int = 0
    similarity: float = 0.0
    multi_scale_similarity: float = 0.0
    predicted: float = 0.0
    true: float = 0.0
    predicted_squared: float = 0.0
    true_squared: float = 0.0
    product: float = 0.0

    def add(self, prediction: Tensor, truth: Tensor, inside: Tensor) -> None:
        """Take in slices (b, h, w); those without a voxel `inside` do not count. Both images become background outside."""
        inhabited = inside.flatten(1).any(1)
        count = int(inhabited.sum())
        if not count:
            return
        inside = inside[inhabited]
        prediction, truth = (torch.where(inside, each[inhabited], -1.0) for each in (prediction, truth))
        predicted, true = prediction[inside].double(), truth[inside].double()
        error = predicted - true
        self.voxels += error.numel()
        self.squared_error += float(error.square().sum())
        self.absolute_error += float(error.abs().sum())
        self.predicted += float(predicted.sum())
        self.true += float(true.sum())
        self.predicted_squared += float(predicted.square().sum())
        self.true_squared += float(true.square().sum())
        self.product += float((predicted * true).sum())
        self.slices += count
        self.similarity += count * ssim(prediction, truth, inside)
        self.multi_scale_similarity += count * ms_ssim(prediction, truth, inside)

    def values(self) -> dict[str, float]:
        """Return the scores and the number of slices they were measured on, of which there is at least one."""
        return {
            "psnr_db": _psnr(self.squared_error / self.voxels),
            "ssim": self.similarity / self.slices,
            "ms_ssim": self.multi_scale_similarity / self.slices,
            "mae": self.absolute_error / self.voxels,
            "structure_psnr_db": _psnr(self._unexplained()),
            "slices": self.slices,
        }

    def _unexplained(self) -> float:
        """Return the mean squared error that the best affine map of the prediction leaves: Var(t) - Cov(p, t)^2 / Var(p)."""
        mean_predicted, mean_true = self.predicted / self.voxels, self.true / self.voxels
        variance = self.predicted_squared / self.voxels - mean_predicted**2
        unexplained = self.true_squared / self.voxels - mean_true**2
        if variance > SMALLEST_VARIANCE:
            unexplained -= (self.product / self.voxels - mean_predicted * mean_true) ** 2 / variance
        return unexplained


def _psnr(mean_square: float) -> float:
    least = DATA_RANGE**2 / 10 ** (LARGEST_PSNR_DB / 10)
    return 10 * math.log10(DATA_RANGE**2 / max(mean_square, least))


@dataclass(frozen=True)
class Example:
    """One slice of a subject for the picture grid: (h, w) planes by target, and by (subset, target); keys are masks and positions."""

    subject: str
    truths: dict[int, Array]
    insides: dict[int, Array]
    syntheses: dict[tuple[int, int], Array]


@dataclass(frozen=True)
class Reading:
    """What a subject is measured with: the model, its slices, what the references learned, how the model draws, and which subsets."""

    model: UnifiedModel
    cache: SliceCache
    moments: TrainingMoments
    options: SynthesisOptions
    subsets: tuple[int, ...] | None = None
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
        batch = cache.read(np.full(len(chunk), subject), chunk, reading.model.context)
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
    decode = encoded(reading.model, on_device.images, on_device.observed)
    drawn = []
    for subset in subsets:
        row = torch.tensor(as_row(subset, batch.observed.shape[1]), device=reading.device)
        shown = with_content(row.expand(len(slices), -1), on_device.foreground)
        images, _ = draw_images(decode, shown, targets, reading.options, slices)
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
