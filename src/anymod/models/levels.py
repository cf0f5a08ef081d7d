"""The distributions at a level of latents, and how experts are fused into a posterior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from anymod.core.experts import Product, by_inverse_deviation, divergence_from_prior
from anymod.core.gaussians import DiagonalGaussian, divergence


@dataclass(frozen=True)
class Level:
    """The distributions at one level (1 finest): prior (b, *latent), experts (b, m, *latent; anything where hidden), posterior."""

    number: int
    prior: DiagonalGaussian
    experts: DiagonalGaussian
    posterior: DiagonalGaussian


@dataclass(frozen=True)
class Fusion:
    """How heads' outputs become distributions, and how these are fused and compared.

    Attributes:
        name: Architecture that fuses so.
        log_variance_per_output: 1 where heads emit log-variances, 2 where they emit log standard deviations.
        adapt: Turns a product of experts into this fusion.
        divergence: KL[posterior || prior] of a level in nats, element by element.
    """

    name: str
    log_variance_per_output: int
    adapt: Callable[[Product], Product]
    divergence: Callable[[Level, Tensor], Tensor]


PRODUCT_OF_EXPERTS = Fusion(
    "mmhvae", 1, lambda product: product, lambda level, shown: divergence_from_prior(level.prior, level.experts, shown)
)
INVERSE_DEVIATIONS = Fusion(
    "dorent2024", 2, by_inverse_deviation, lambda level, shown: divergence(level.posterior, level.prior)
)
"""The fusion of the published code (deviations A1, A2, T4). Images at temperature 0 equal those of precisions exp(-s)."""
