"""Heads that turn maps into Gaussians (priors and experts) or images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from anymod.core.gaussians import DiagonalGaussian, soft_limit
from anymod.nn.cells import InstanceNorm, SqueezeExcite, in_full_precision


def as_gaussian(features: Tensor, limit: float, log_variance_per_output: int = 1) -> DiagonalGaussian:
    """Return the distribution whose mean is the first half of the channels and whose log-variance is a multiple of the second.

    Both halves are first limited by `soft_limit`, in float32, which fusion and divergence need (method, section 10).
    """
    mean, output = soft_limit(in_full_precision(features), limit).chunk(2, dim=1)
    return DiagonalGaussian(mean, output if log_variance_per_output == 1 else log_variance_per_output * output)


def scale_means(emit: nn.Module, gain: float) -> None:
    """Scale the means that a weight-normalized layer emits (the first half of its rows) by `gain`, once before training."""
    magnitude = emit.get_parameter("parametrizations.weight.original0")
    with torch.no_grad():
        magnitude[: len(magnitude) // 2] *= gain


class ExpertHead(nn.Module):
    """Head that emits an expert's mean and log-variance from the decoder's map joined with one modality's map of the same size.

    At the coarsest level there is no decoder map, so `channels_in` counts the modality's map only.
    """

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.gate = SqueezeExcite(channels)
        self.emit = weight_norm(nn.Conv2d(channels, channels, 1, bias=False))
        self.norm = InstanceNorm()

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, channels, h, w): mean and log-variance along the channels."""
        return self._emitted(self.first(nn.functional.silu(self.norm(x))))

    def beside(self, h: Tensor, maps: Tensor, spread: Callable[[Tensor], Tensor]) -> Tensor:
        """Return what `forward` does for the decoder's map h (b, c, h, w) joined with maps (n, c, h, w) of several modalities.

        `spread` repeats rows computed from h for the maps: (b, ...) to (n, ...). Norms treat channels separately and convolutions add
        over channels, so the part that depends on h is computed once instead of once per modality.
        """
        ours, theirs = self.first.weight.split([h.shape[1], maps.shape[1]], dim=1)
        first = nn.functional.conv2d(nn.functional.silu(self.norm(maps)), theirs, padding=1)
        return self._emitted(
            first + spread(nn.functional.conv2d(nn.functional.silu(self.norm(h)), ours, self.first.bias, padding=1))
        )

    def _emitted(self, first: Tensor) -> Tensor:
        return self.emit(self.gate(self.second(nn.functional.silu(self.norm(first)))))


class PriorHead(nn.Module):
    """Head that emits a prior's mean and log-variance from the decoder's map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.emit = weight_norm(nn.Conv2d(channels, channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, channels, h, w): mean and log-variance along the channels."""
        return self.emit(x)


class VectorTop(nn.Module):
    """Coarsest latent as one vector: dense layers from and to the coarsest map, which fix the size of the image."""

    def __init__(self, channels: int, size: tuple[int, int], latent: int) -> None:
        super().__init__()
        self.shape = (channels, *size)
        pixels = channels * size[0] * size[1]
        self.emit = weight_norm(nn.Linear(pixels, 2 * latent))
        self.spread = weight_norm(nn.Linear(latent, pixels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the expert (b, 2 latent) from the coarsest map of one modality."""
        return self.emit(x.flatten(1))

    def to_map(self, z: Tensor) -> Tensor:
        """Return the map (b, c, h, w) from the vector (b, latent)."""
        return self.spread(z).view(-1, *self.shape)


class ResidualBlock(nn.Module):
    """x + norm(conv(ReLU(norm(conv(x))))), mirrored at the borders."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        self.second = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        self.norm = InstanceNorm()

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape (b, c, h, w)."""
        return x + self.norm(self.second(torch.relu(self.norm(self.first(x)))))


class ImageHead(nn.Module):
    """Head that emits the image of one modality from the finest latent: residual blocks, then two wide convolutions and tanh.

    With `unshuffle` u it emits u^2 interleaved images at the latent's size and shuffles them into one image, u times larger.
    """

    def __init__(self, channels_in: int, channels: int, blocks: int, kernel: int, unshuffle: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels_in, channels, 1) if channels_in != channels else nn.Identity()
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
        self.mix = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, padding_mode="reflect")
        self.emit = nn.Conv2d(channels, unshuffle**2, kernel, padding=kernel // 2, padding_mode="reflect")
        self.norm = InstanceNorm()
        self.unshuffle = unshuffle
        with torch.no_grad():  # equal at the start, to avoid checkerboard artefacts (Aitken et al. 2017)
            for parameter in self.emit.parameters():
                parameter.copy_(parameter[:1].expand_as(parameter))

    def forward(self, z: Tensor) -> Tensor:
        """Return the image (b, u h, u w) in (-1, 1) from the latent (b, c, h, w)."""
        h = nn.functional.leaky_relu(self.norm(self.mix(self.blocks(self.enter(z)))), 0.2)
        return torch.tanh(nn.functional.pixel_shuffle(self.emit(h), self.unshuffle))[:, 0]
