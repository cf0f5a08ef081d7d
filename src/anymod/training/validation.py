"""Validation during training: PSNR of hidden and of shown targets in the units of scores, and a picture of a few rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anymod.arrays import Array
from anymod.core.batch import Batch
from anymod.core.fidelity import psnr
from anymod.core.foregrounds import masked, shown_foreground
from anymod.core.noise import MEAN
from anymod.core.subsets import as_mask, subset_name
from anymod.figures.examples import Example, draw_validation
from anymod.models import Network
from anymod.slices import SliceCache
from anymod.slices.score_units import ScoreUnits

SLICES_PER_SUBJECT = 12
ROWS_AT_ONCE = 16
PICTURE_ROWS = 4


@dataclass(frozen=True)
class ValidationSlices:
    """Fixed axial slices of the validation subjects with the subset that each row shows; every validation uses the same."""

    cache: SliceCache
    subjects: tuple[int, ...]
    context: int

    def rows(self) -> list[tuple[int, int, int]]:
        """Return (subject, slice, modality), all indices, of every row; empty where no slice has enough foreground."""
        return [
            (subject, int(position), number)
            for subject in self.subjects
            for position in _spread(self._axial(subject))
            for number, observed in enumerate(self.cache.records[subject].observed)
            if observed
        ]

    def _axial(self, subject: int) -> Array:
        usable = self.cache.usable(subject)
        return usable[usable < self.cache.slice_count(subject)]

    def factors(self) -> dict[str, list[float]]:
        """Return for each subject how many units of the scores are one unit of each modality's targets; 0 for an absent modality.

        The units are those of `anymod evaluate`, so that runs whose targets are scaled differently can be compared.
        """
        cache = self.cache
        units = ScoreUnits.measured([record.landmarks for record in cache.records], cache.of_split("train"))
        return {
            cache.subjects[subject]: [
                0.0 if score is None or target is None else target.raw_per_scaled / score.raw_per_scaled
                for place, score in enumerate(units.ranges(cache.records[subject].landmarks))
                for target in [cache.target_range(subject, place)]
            ]
            for subject in self.subjects
        }

    def batches(self) -> Iterator[tuple[Batch, Tensor]]:
        """Yield (batch, shown): each slice once per observed modality, which is hidden, or alone where it is all there is."""
        rows = self.rows()
        for start in range(0, len(rows), ROWS_AT_ONCE):
            chosen = rows[start : start + ROWS_AT_ONCE]
            batch = self.cache.read([row[0] for row in chosen], [row[1] for row in chosen], self.context)
            shown = batch.observed.clone()
            shown[torch.arange(len(chosen)), torch.tensor([row[2] for row in chosen])] = False
            shown |= batch.observed & (batch.observed.sum(1) == 1)[:, None]
            yield batch, shown


def _pictured(count: int) -> list[int]:
    """Return the evenly spaced rows, of `count`, that the picture shows."""
    return np.linspace(0, count - 1, min(PICTURE_ROWS, count)).round().astype(int).tolist()


def _spread(positions: np.ndarray) -> np.ndarray:
    chosen = np.linspace(0, len(positions) - 1, min(SLICES_PER_SUBJECT, len(positions))).round().astype(int)
    return positions[chosen]


@torch.inference_mode()
def validate(model: Network, slices: ValidationSlices, device: torch.device, picture: Path) -> dict[str, float]:
    """Return the PSNR in dB over the foreground of hidden and of shown targets at temperature 0, and draw a few rows.

    Errors are in the units of scores, which no constant of the recipe changes.

    Every observed modality is hidden in turn; squared errors are pooled over all slices, separately for hidden and shown targets.
    """
    targets = tuple(range(len(model.spec.modalities)))
    squared = {"hidden": [0.0, 0], "shown": [0.0, 0]}
    examples: list[Example] = []
    pictured, seen, factors = _pictured(len(slices.rows())), 0, slices.factors()
    for batch, shown in slices.batches():
        moved, shown_there = batch.to(device), shown.to(device)
        images = model.encode(moved.images, shown_there).decode(shown_there, targets, MEAN)
        images = masked(images, shown_foreground(moved.foreground, shown_there)).float().cpu()
        scale = torch.tensor([factors[name] for name in batch.subjects])[:, :, None, None]
        error = ((images - batch.targets) * scale).square()
        for kind, flags in (("hidden", batch.observed & ~shown), ("shown", shown)):
            inside = batch.foreground & flags[:, :, None, None]
            squared[kind][0] += float(error[inside].double().sum())
            squared[kind][1] += int(inside.sum())
        chosen = [row - seen for row in pictured if seen <= row < seen + len(shown)]
        examples += [_example(batch, row, shown, images, model.spec.modalities) for row in chosen]
        seen += len(shown)
    if examples:
        draw_validation(picture, examples, model.spec.modalities)
    return {f"validation_{kind}_psnr_db": psnr(total / count) for kind, (total, count) in squared.items() if count}


def _example(batch: Batch, row: int, shown: Tensor, images: Tensor, names: Sequence[str]) -> Example:
    """Return one row of a batch with the model's images (b, m, h, w) for the picture."""
    observed = [(place, name) for place, name in enumerate(names) if batch.observed[row, place]]
    return Example(
        batch.subjects[row],
        {name: batch.targets[row, place].clone().numpy() for place, name in observed},
        {name: batch.foreground[row, place].clone().numpy() for place, name in observed},
        {subset_name(as_mask(shown[row].tolist()), names): dict(zip(names, images[row].clone().numpy(), strict=True))},
    )
