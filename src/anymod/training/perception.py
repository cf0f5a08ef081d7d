"""How unlike the hidden images look: the distance of LPIPS between synthetic and real slices, as a term of the loss."""

from __future__ import annotations

import torch
from torch import Tensor

from anymod.core.batch import Batch
from anymod.core.foregrounds import shown_foreground
from anymod.core.perception import lpips_of_slices
from anymod.models.perception import lpips_weights
from anymod.types import Planes, Shown


def perceptual_term(images: Planes, batch: Batch, shown: Shown) -> Tensor:
    """Return the mean over rows of the mean LPIPS of their hidden targets inside their own foreground; 0 for a row that hides nothing."""
    inside = batch.foreground & shown_foreground(batch.foreground, shown)[:, None]
    hidden = batch.observed & ~shown & inside.flatten(2).any(2)
    if not bool(hidden.any()):
        return images.new_zeros(())
    pair = [torch.where(inside[hidden], each[hidden], -1.0) for each in (images, batch.targets)]
    with torch.autocast(images.device.type, enabled=False):  # small differences of normalized maps
        distances = lpips_of_slices(pair[0].float(), pair[1].float(), lpips_weights(images.device))
    row = hidden.nonzero()[:, 0]
    return (distances / hidden.sum(1)[row]).sum() / len(hidden)
