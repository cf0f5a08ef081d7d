"""Standard normal noise as an argument: who draws it, and how rows share it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from anymod.randomness import torch_generator

USUAL_TEMPERATURE = 0.7  # of several samples (method, section 11)

Noise = Callable[[int, tuple[int, ...]], Tensor]
"""Called with a level (1 finest) and a latent's shape (batch, *latent); returns standard normal noise that broadcasts to it."""


def fresh_noise(generator: torch.Generator) -> Noise:
    """Return noise that differs in every row and call, from `generator` and on its device."""
    return lambda level, shape: torch.randn(shape, generator=generator, device=generator.device)


def noise_of_rows(generator: torch.Generator, rows: slice, total: int) -> Noise:
    """Return the noise of `rows` of a batch of `total` rows: several processes that share a batch draw what one would have drawn."""
    return lambda level, shape: torch.randn((total, *shape[1:]), generator=generator, device=generator.device)[rows]


def shared_noise(seed: int, *stream: str | int, device: str | torch.device = "cpu") -> Noise:
    """Return noise drawn once for each level and the same for all rows and calls, so that the slices of a volume do not flicker.

    Always drawn on the CPU, so that a seed means the same volume on every device; whatever the batching (method, section 11).
    """

    def noise(level: int, shape: tuple[int, ...]) -> Tensor:
        generator = torch_generator(seed, *stream, level)
        return torch.randn((1, *shape[1:]), generator=generator).to(device)

    return noise
