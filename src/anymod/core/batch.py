"""Rows of slices as tensors: what a model trains on and is measured on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from anymod.types import Images, Masks, Planes, RowMasks, Shown

TENSORS = ("images", "targets", "foreground", "observed", "label", "shown_targets")


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
    shown_targets: Planes | None = None
    """What the image of a shown modality is compared with, (b, m, h, w); None: its target as if it were hidden."""

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch with its tensors on `device`."""
        return self._each(lambda tensor: tensor.to(device), self.subjects)

    def rows(self, chosen: slice) -> Batch:
        """Return some of the rows (views of the same memory)."""
        return self._each(lambda tensor: tensor[chosen], self.subjects[chosen])

    def with_shown_targets(self) -> Batch:
        """Return the batch in which shown images are compared with what the network sees of them, augmentation included."""
        return replace(self, shown_targets=self.images[:, :, self.images.shape[2] // 2])

    def targets_of(self, shown: Shown) -> Planes:
        """Return what every image is compared with where `shown` (b, m) is shown."""
        if self.shown_targets is None:
            return self.targets
        return torch.where((shown & self.observed)[:, :, None, None], self.shown_targets, self.targets)

    def _each(self, change: Callable[[Tensor], Tensor], subjects: tuple[str, ...]) -> Batch:
        names = [name for name in TENSORS if getattr(self, name) is not None]
        return replace(self, subjects=subjects, **{name: change(getattr(self, name)) for name in names})
