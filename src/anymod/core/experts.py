"""Product of the prior and one expert per shown modality (method, section 5, eqs. 12 to 14)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool
from torch import Tensor

from anymod.core.gaussians import DiagonalGaussian

Product = Callable[[DiagonalGaussian, DiagonalGaussian, Tensor], DiagonalGaussian]
"""Function that fuses a prior (batch, *latent) with the experts (batch, modality, *latent) marked by `shown` (batch, modality)."""

SERIES_BELOW = 1e-2  # precision ratio below which log(1+rho) - rho/(1+rho) cancels in float32


def product_of_experts(
    prior: DiagonalGaussian, experts: DiagonalGaussian, shown: Bool[Tensor, "batch modality"]
) -> DiagonalGaussian:
    """Return the prior times the experts of the shown modalities (method, eq. 14).

    Shapes: prior (batch, *latent); experts (batch, modality, *latent). Precisions add, and means are weighted by precision. Where nothing
    is shown, the result is exactly the prior. Values in hidden slots, NaN included, have no effect and get no gradient.
    """
    hidden = hidden_like(experts.mean, shown)
    # Infinite variance removes an expert exactly: its weight is 0.
    log_variance = experts.log_variance.masked_fill(hidden, math.inf)
    mean = torch.cat([prior.mean.unsqueeze(1), experts.mean.masked_fill(hidden, 0.0)], dim=1)
    log_precision = -torch.cat([prior.log_variance.unsqueeze(1), log_variance], dim=1)
    weight = log_precision.softmax(dim=1)
    return DiagonalGaussian((weight * mean).sum(1), -log_precision.logsumexp(1))


def product_by_sums(
    prior: DiagonalGaussian, experts: DiagonalGaussian, shown: Bool[Tensor, "batch modality"]
) -> DiagonalGaussian:
    """Return the result of `product_of_experts` from plain sums of precisions, which take engines fewer passes over memory.

    Values in hidden slots must be finite, and precisions must not overflow.
    """
    weight = shown.reshape(*shown.shape, *(1,) * (experts.mean.ndim - 2)).to(experts.mean.dtype)
    precision = experts.precision * weight
    total = prior.precision + precision.sum(1)
    mean = (prior.precision * prior.mean + (precision * experts.mean).sum(1)) / total
    return DiagonalGaussian(mean, -total.log())


def by_inverse_deviation(product: Product) -> Product:
    """Return `product` with 1/sigma instead of 1/sigma^2, for the sum as well as for the weights of the means (deviation A1)."""

    def fuse(prior: DiagonalGaussian, experts: DiagonalGaussian, shown: Tensor) -> DiagonalGaussian:
        fused = product(_with_half_the_log_variance(prior), _with_half_the_log_variance(experts), shown)
        return DiagonalGaussian(fused.mean, 2 * fused.log_variance)

    return fuse


def _with_half_the_log_variance(distribution: DiagonalGaussian) -> DiagonalGaussian:
    return DiagonalGaussian(distribution.mean, distribution.log_variance / 2)


def divergence_from_prior(
    prior: DiagonalGaussian, experts: DiagonalGaussian, shown: Bool[Tensor, "batch modality"]
) -> Tensor:
    """Return KL[product || prior] element by element, in nats: 1/2 [log(1+rho) - rho/(1+rho) + lambda_p d^2] (method, section 5).

    rho is the shown experts' precision divided by the prior's. d is the shift of the mean, sum lambda_m (mu_m - mu_p) / lambda_s, a form in
    which nothing cancels; for rho below 1e-2 the first two terms are computed as a series. Never negative; 0 where nothing is shown.
    """
    hidden = hidden_like(experts.mean, shown)
    log_ratio = (prior.log_variance.unsqueeze(1) - experts.log_variance).masked_fill(hidden, -math.inf)
    offset = (experts.mean - prior.mean.unsqueeze(1)).masked_fill(hidden, 0.0)
    # Weights in the whole product, including the prior (its log-ratio is 0), are finite even where every expert is hidden.
    all_ratios = torch.cat([torch.zeros_like(log_ratio[:, :1]), log_ratio], dim=1)
    shift = (all_ratios.softmax(dim=1)[:, 1:] * offset).sum(1)
    ratio = log_ratio.exp().sum(1)
    return 0.5 * (_variance_term(ratio) + prior.precision * shift.square())


def _variance_term(ratio: Tensor) -> Tensor:
    """Return log(1+rho) - rho/(1+rho), accurate for every rho >= 0."""
    small = ratio < SERIES_BELOW
    # Each branch gets only values at which it is finite, so that neither puts NaN into the other's gradient.
    low = torch.where(small, ratio, 0.0)
    high = torch.where(small, 1.0, ratio)
    series = low.square() * (0.5 - 2 * low / 3 + 0.75 * low.square())
    return torch.where(small, series, torch.log1p(high) - high / (1 + high))


def hidden_like(experts: Tensor, shown: Bool[Tensor, "batch modality"]) -> Tensor:
    """Return the inverse of `shown` with axes of length 1 added, so that it broadcasts over (batch, modality, *latent)."""
    return ~shown.reshape(*shown.shape, *(1,) * (experts.ndim - 2))
