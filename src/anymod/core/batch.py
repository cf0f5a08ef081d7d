"""Rows of slices as tensors: what a model trains on and is measured on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from anymod.types import Images, Masks, Planes, RowMasks, Shown


@dataclass(frozen=True)
class Batch:
    """B slices of M modalities, C = 1 + 2 · context neighbouring slices each, the slice itself in the middle.

    Shapes: images (b, m, c, h, w), targets (b, m, h, w), foreground (b, m, h, w), observed (b, m), label (b, h, w), true where the
    subject's label map marks something. Planes are (right, anterior):
    h grows to the patient's right, w to the front. Inputs lie in [-255/256, 1] in the foreground, targets in [-1, 1]; outside the
    foreground, and everywhere in a modality that the subject lacks, both are exactly -1. `subjects` names the rows.
    """

    images: Images
    targets: Planes
    foreground: Masks
    observed: Shown
    label: RowMasks
    subjects: tuple[str, ...]

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch with its tensors on `device`."""
        return self._each(lambda tensor: tensor.to(device), self.subjects)

    def rows(self, chosen: slice) -> Batch:
        """Return some of the rows (views of the same memory)."""
        return self._each(lambda tensor: tensor[chosen], self.subjects[chosen])

    def _each(self, change: Callable[[Tensor], Tensor], subjects: tuple[str, ...]) -> Batch:
        images, targets, foreground = change(self.images), change(self.targets), change(self.foreground)
        return Batch(images, targets, foreground, change(self.observed), change(self.label), subjects)
