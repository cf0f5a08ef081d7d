"""Validation during training: scores of hidden and shown targets, and a picture of some slices."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from anymod.core.batch import Batch
from anymod.core.fidelity import DATA_RANGE
from anymod.core.noise import MEAN
from anymod.files import atomic_write
from anymod.models import Network, masked, shown_foreground
from anymod.slices import SliceCache

SLICES_PER_SUBJECT = 12
ROWS_AT_ONCE = 16
PICTURE_ROWS = 4


@dataclass(frozen=True)
class ValidationSlices:
    """Fixed slices of the validation subjects with the subset that each row shows; every validation uses the same."""

    cache: SliceCache
    subjects: tuple[int, ...]
    context: int

    def rows(self) -> list[tuple[int, int, int]]:
        """Return (subject, slice, modality), all indices, of every row; empty where no slice has enough foreground."""
        return [
            (subject, int(position), number)
            for subject in self.subjects
            for position in _spread(self.cache.usable(subject))
            for number, observed in enumerate(self.cache.records[subject].observed)
            if observed
        ]

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


@dataclass(frozen=True)
class Example:
    """One row of the picture: targets (m, h, w), shown (m,) and the model's images (m, h, w)."""

    targets: Tensor
    shown: Tensor
    images: Tensor


def _pictured(count: int) -> list[int]:
    """Return which of `count` rows the picture shows, spread evenly; nothing else is kept."""
    return np.linspace(0, count - 1, min(PICTURE_ROWS, count)).round().astype(int).tolist()


def _spread(positions: np.ndarray) -> np.ndarray:
    chosen = np.linspace(0, len(positions) - 1, min(SLICES_PER_SUBJECT, len(positions))).round().astype(int)
    return positions[chosen]


@torch.inference_mode()
def validate(model: Network, slices: ValidationSlices, device: torch.device, picture: Path) -> dict[str, float]:
    """Return PSNR in dB over the foreground of hidden and of shown targets at temperature 0, and write a picture of a few rows.

    Every observed modality is hidden in turn; mean squared errors are pooled over all slices. Hidden and shown are never mixed.
    """
    targets = tuple(range(len(model.spec.modalities)))
    squared = {"hidden": [0.0, 0], "shown": [0.0, 0]}
    examples: list[Example] = []
    pictured, seen = _pictured(len(slices.rows())), 0
    for batch, shown in slices.batches():
        moved, shown_there = batch.to(device), shown.to(device)
        images = model.encode(moved.images, shown_there).decode(shown_there, targets, MEAN)
        images = masked(images, shown_foreground(moved.foreground, shown_there)).float().cpu()
        error = (images - batch.targets).square()
        for kind, flags in (("hidden", batch.observed & ~shown), ("shown", shown)):
            inside = batch.foreground & flags[:, :, None, None]
            squared[kind][0] += float(error[inside].double().sum())
            squared[kind][1] += int(inside.sum())
        chosen = [row - seen for row in pictured if seen <= row < seen + len(shown)]
        examples += [Example(batch.targets[row].clone(), shown[row].clone(), images[row].clone()) for row in chosen]
        seen += len(shown)
    if examples:
        write_picture(picture, examples, model.spec.modalities)
    return {
        f"validation_{kind}_psnr_db": 10 * math.log10(DATA_RANGE**2 * count / total)
        for kind, (total, count) in squared.items()
        if count and total > 0
    }


def write_picture(path: Path, examples: list[Example], modalities: tuple[str, ...]) -> None:
    """Write rows of (truth, model's image) for each modality; a blue frame marks what was shown, a dark panel what is unknown."""
    figure = Figure(figsize=(2.2 * 2 * len(modalities), 2.4 * len(examples)), layout="compressed")
    axes = figure.subplots(len(examples), 2 * len(modalities), squeeze=False)
    for line, example in zip(axes, examples, strict=True):
        for number, name in enumerate(modalities):
            panels = ((f"{name}, true", example.targets[number]), (f"{name}, model", example.images[number]))
            for axis, (title, plane) in zip(line[2 * number : 2 * number + 2], panels, strict=True):
                # Planes run to the patient's right and front; on screen the patient looks up and his right is on the left.
                axis.imshow(plane.numpy().T[::-1, ::-1], cmap="gray", vmin=-1, vmax=1)
                given = bool(example.shown[number])
                axis.set_title(
                    title + (" (shown)" if given else ""), fontsize=9, color="tab:blue" if given else "black"
                )
                axis.set_axis_off()
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=80, format="png")
