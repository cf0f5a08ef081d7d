"""Batches of slices as tensors, for training and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from anymod.types import Images, Masks, Planes, RowFlags, RowMasks, Shown

TENSORS = ("images", "targets", "foreground", "observed", "label", "shown_targets", "sagittal")


@dataclass(frozen=True)
class Batch:
    """B slices of M modalities, each with C = 1 + 2 · context slices: its neighbours, and the slice itself in the middle.

    Shapes: images (b, m, c, h, w), targets (b, m, h, w), foreground (b, m, h, w), observed (b, m), label (b, h, w), which is true where
    the subject's label map is not 0. In an axial slice h increases to the patient's right and w to the front, in a coronal one to the
    right and to the head, in a sagittal one to the head and to the front. Inputs are in [-255/256, 1] in the foreground, targets in
    [-1, 1]; both are exactly -1 outside the foreground and in modalities that the subject lacks. `subjects` are the names of the rows'
    subjects.
    """

    images: Images
    targets: Planes
    foreground: Masks
    observed: Shown
    label: RowMasks
    subjects: tuple[str, ...]
    shown_targets: Planes | None = None
    """Targets of shown modalities, (b, m, h, w); None: the same targets as for hidden ones."""
    sagittal: RowFlags | None = None
    """Which rows are sagittal slices, (b,), whose neighbours lie to the left and to the right; None: none of them."""

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch with its tensors on `device`."""
        return self._each(lambda tensor: tensor.to(device), self.subjects)

    def rows(self, chosen: slice) -> Batch:
        """Return some of the rows, as views."""
        return self._each(lambda tensor: tensor[chosen], self.subjects[chosen])

    def with_shown_targets(self) -> Batch:
        """Return the batch with the network's inputs, augmentation included, as the targets of shown modalities."""
        return replace(self, shown_targets=self.images[:, :, self.images.shape[2] // 2])

    def targets_of(self, shown: Shown) -> Planes:
        """Return the targets (b, m, h, w) of all modalities when `shown` (b, m) are shown."""
        if self.shown_targets is None:
            return self.targets
        return torch.where((shown & self.observed)[:, :, None, None], self.shown_targets, self.targets)

    def _each(self, change: Callable[[Tensor], Tensor], subjects: tuple[str, ...]) -> Batch:
        names = [name for name in TENSORS if getattr(self, name) is not None]
        return replace(self, subjects=subjects, **{name: change(getattr(self, name)) for name in names})
