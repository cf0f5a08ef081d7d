"""Formulas of the method that only its proofs need."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from anymod.core.gaussians import DiagonalGaussian
from anymod.core.noise import Noise
from anymod.core.subsets import non_empty_subsets, tickets


def log_density(distribution: DiagonalGaussian, value: Tensor) -> Tensor:
    """Return log N(value; mean, sigma^2) element by element, in nats."""
    squared = (value - distribution.mean).square() * distribution.precision
    return -0.5 * (squared + distribution.log_variance + math.log(2 * math.pi))


def expert_between(prior: DiagonalGaussian, posterior: DiagonalGaussian) -> DiagonalGaussian:
    """Return the Gaussian that, multiplied by `prior`, gives `posterior`: the ratio in method, eq. 11.

    Raises ValueError if the posterior is not more precise than the prior, because the ratio is then no Gaussian (method, section 5).
    """
    precision = posterior.precision - prior.precision
    if not bool((precision > 0).all()):
        raise ValueError("the ratio of two Gaussians is a Gaussian only where the numerator is more precise")
    mean = (posterior.precision * posterior.mean - prior.precision * prior.mean) / precision
    return DiagonalGaussian(mean, -precision.log())


def normal_negative_log_likelihood(image: Tensor, prediction: Tensor, standard_deviation: float) -> Tensor:
    """Return -log N(image; prediction, sigma_x^2) in nats, pixel by pixel, with constants (method, eq. 6), for tests of the bound."""
    squared = ((image - prediction) / standard_deviation).square()
    return 0.5 * squared + math.log(standard_deviation) + 0.5 * math.log(2 * math.pi)


def subset_weights(observed: int, groups: Sequence[str], *, mixed: bool) -> dict[int, float]:
    """Return a_{s|r}, the probability of each subset that a single draw can give (method, section 8); they sum to 1."""
    drawn = tickets(observed, groups, mixed=mixed)
    weights = dict.fromkeys(non_empty_subsets(observed), 0.0)
    for index, ticket in enumerate(drawn):
        candidates = [observed] if index == 0 else non_empty_subsets(ticket)
        for subset in candidates:
            weights[subset] += 1 / (len(drawn) * len(candidates))
    return {subset: weight for subset, weight in weights.items() if weight > 0}


def fresh_noise(generator: torch.Generator) -> Noise:
    """Return noise that differs in every row and call."""
    return lambda level, shape: torch.randn(shape, generator=generator)
