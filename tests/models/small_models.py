"""Small networks and batches for tests of models."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from formulas import fresh_noise

from anymod.core.batch import Batch
from anymod.core.noise import Draw, Noise
from anymod.models import MMHVAE, Draws, Losses, MMHVAEObjective, MMHVAESettings, Network, Synthesizes

MODALITIES = ("us", "t2", "flair")
SMALL = MMHVAESettings(widths=(4, 6, 8), image_size=(16, 24), unshuffle=2, head_channels=3, head_blocks=1)
OBJECTIVE = MMHVAEObjective(kl_weight=0.1, kl_warmup_steps=0)


def make_model(
    settings: MMHVAESettings = SMALL,
    modalities: tuple[str, ...] = MODALITIES,
    seed: int = 0,
    objective: MMHVAEObjective = OBJECTIVE,
) -> MMHVAE:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MMHVAE(modalities, settings, objective)


def make_batch(observed: torch.Tensor, size: tuple[int, int] = (16, 24), context: int = 0, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    rows, modalities = observed.shape
    images = torch.rand(rows, modalities, 1 + 2 * context, *size, generator=generator) * 2 - 1
    images = torch.where(observed[:, :, None, None, None], images, -1.0)
    foreground = observed[:, :, None, None] & (torch.rand(rows, 1, *size, generator=generator) > 0.2)
    label = torch.rand(rows, *size, generator=generator) > 0.9
    names = tuple(f"s{row}" for row in range(rows))
    return Batch(images, images[:, :, context].clone(), foreground, observed, label, names)


def noise_from(seed: int = 0) -> Noise:
    return fresh_noise(torch.Generator().manual_seed(seed))


def synthesize(
    model: Synthesizes,
    images: torch.Tensor,
    shown: torch.Tensor,
    targets: Sequence[int],
    temperature: float = 0.0,
    noise: Noise | None = None,
) -> torch.Tensor:
    return model.encode(images, shown).decode(shown, targets, Draw(temperature, noise))


def draws_of(batch: Batch, shown: torch.Tensor, noise: Noise, *, everything: bool = False) -> Draws:
    """Return draws of subsets (k, b, m), all with one noise; with `everything` also the images that subjects lack are wanted."""
    wanted = torch.ones_like(batch.observed) if everything else batch.observed
    return Draws(shown, [noise] * len(shown), wanted, step=0)


def losses_of(model: Network, batch: Batch, shown: torch.Tensor, noise: Noise) -> list[Losses]:
    """Return the losses of each draw, too late for gradients to reach the encoders."""
    return list(model.losses(batch, draws_of(batch, shown, noise)))


def go_backward(model: Network, batch: Batch, draws: Draws, *terms: str) -> list[Losses]:
    """Go backward through the mean over draws of these terms (all by default), encoders included; return the losses."""
    seen = []
    for losses in model.losses(batch, draws):
        chosen = terms or tuple(losses.terms)
        (sum(losses.terms[name] for name in chosen) / len(draws.shown)).backward()
        seen.append(losses)
    return seen
