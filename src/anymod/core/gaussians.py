"""Diagonal Gaussians, the only distributions in this package, as mean and log-variance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mean, diag exp(log_variance)); both tensors have one shape. A log-variance of +inf means no information about that element."""

    mean: Tensor
    log_variance: Tensor

    @property
    def standard_deviation(self) -> Tensor:
        """Return sigma = exp(log_variance / 2)."""
        return (0.5 * self.log_variance).exp()

    @property
    def precision(self) -> Tensor:
        """Return lambda = 1 / sigma^2."""
        return (-self.log_variance).exp()


def standard_gaussian(like: Tensor) -> DiagonalGaussian:
    """Return N(0, I) with the shape, device and dtype of `like`: the prior of the coarsest level (method, eq. 5)."""
    return DiagonalGaussian(torch.zeros_like(like), torch.zeros_like(like))


def draw(distribution: DiagonalGaussian, noise: Tensor | None, temperature: float = 1.0) -> Tensor:
    """Return mean + temperature * sigma * noise (method, section 11), reparameterized.

    `noise` is standard normal and broadcasts to the distribution's shape. At temperature 0 the result is the mean, and `noise` can be None.
    """
    if temperature == 0:
        return distribution.mean
    if temperature < 0 or noise is None:
        raise ValueError("a draw needs a temperature of at least 0, and noise if it is above 0")
    return distribution.mean + temperature * distribution.standard_deviation * noise


def divergence(first: DiagonalGaussian, second: DiagonalGaussian) -> Tensor:
    """Return KL[first || second] element by element, in nats, for any two diagonal Gaussians.

    For a posterior and the prior it was computed from, use `experts.divergence_from_prior`, which avoids cancellation.
    """
    difference = first.log_variance - second.log_variance
    squared = (first.mean - second.mean).square() * second.precision
    return 0.5 * (difference.exp() - 1 - difference + squared)


def soft_limit(value: Tensor, limit: float) -> Tensor:
    """Return limit * tanh(value / limit), nearly the identity around 0 and never beyond +-limit (deviation A3, method, check 22)."""
    return limit * torch.tanh(value / limit)
