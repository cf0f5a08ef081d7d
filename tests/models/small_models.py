"""Small networks and batches for tests of models."""

from __future__ import annotations

import torch

from anymod.core.batch import Batch
from anymod.models import MMHVAE, MMHVAESettings

MODALITIES = ("us", "t2", "flair")
SMALL = MMHVAESettings(widths=(4, 6, 8), image_size=(16, 24), unshuffle=2, head_channels=3, head_blocks=1)


def make_model(settings: MMHVAESettings = SMALL, modalities: tuple[str, ...] = MODALITIES, seed: int = 0) -> MMHVAE:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MMHVAE(modalities, settings)


def make_batch(observed: torch.Tensor, size: tuple[int, int] = (16, 24), context: int = 0, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    rows, modalities = observed.shape
    images = torch.rand(rows, modalities, 1 + 2 * context, *size, generator=generator) * 2 - 1
    images = torch.where(observed[:, :, None, None, None], images, -1.0)
    foreground = observed[:, :, None, None] & (torch.rand(rows, 1, *size, generator=generator) > 0.2)
    label = torch.rand(rows, *size, generator=generator) > 0.9
    names = tuple(f"s{row}" for row in range(rows))
    return Batch(images, images[:, :, context].clone(), foreground, observed, label, names)
