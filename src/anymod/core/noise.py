"""Draws of latents, and the standard normal noise for them, which rows can share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from anymod.core.gaussians import DiagonalGaussian, draw
from anymod.randomness import torch_generator

USUAL_TEMPERATURE = 0.7  # for several samples (method, section 11)

Noise = Callable[[int, tuple[int, ...]], Tensor]
"""Function of a level (1 finest) and a latent's shape (batch, *latent) that returns standard normal noise that broadcasts to it."""


@dataclass(frozen=True)
class Draw:
    """Rule for drawing latents: mean + temperature * standard deviation * noise (method, section 11)."""

    temperature: float = 0.0
    noise: Noise | None = None
    realistic: bool = False
    """Turn posterior means into images that look real, with noise of level 0; for networks that have learnt it."""

    def __call__(self, level: int, distribution: DiagonalGaussian) -> Tensor:
        """Return the latent of a level (1 finest). At temperature 0 it is the mean, and `noise` is not called."""
        if self.temperature == 0 or self.noise is None:
            return draw(distribution, None, self.temperature)
        return draw(distribution, self.noise(level, tuple(distribution.mean.shape)), self.temperature)


MEAN = Draw()


def noise_of_rows(generator: torch.Generator, rows: slice, total: int) -> Noise:
    """Return the noise of `rows` in a batch of `total` rows, so that processes that share a batch draw the same as a single one."""
    return lambda level, shape: torch.randn((total, *shape[1:]), generator=generator, device=generator.device)[rows]


def shared_noise(seed: int, *stream: str | int, device: str | torch.device = "cpu") -> Noise:
    """Return noise drawn once per level and shared by all rows and calls, so that the slices of a volume do not flicker.

    It is drawn on the CPU, so that a seed gives the same volume on every device and with every batch size (method, section 11).
    """

    def noise(level: int, shape: tuple[int, ...]) -> Tensor:
        generator = torch_generator(seed, *stream, level)
        return torch.randn((1, *shape[1:]), generator=generator).to(device)

    return noise
