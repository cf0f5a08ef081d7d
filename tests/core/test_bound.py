"""The bound on models whose evidence is known exactly (method, section 13, checks 12 to 16)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from formulas import expert_between, normal_negative_log_likelihood, subset_weights
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from anymod.core.experts import divergence_from_prior, product_of_experts
from anymod.core.gaussians import DiagonalGaussian, divergence, draw, standard_gaussian
from anymod.core.subsets import as_row, non_empty_subsets

LATENT, PIXELS, MODALITIES = 3, 5, 3
SIGMA_X = 0.8
GROUPS = ("us", "mr", "mr")


class LinearGaussian:
    """z ~ N(0, I), x_m = W_m z + b_m + N(0, sigma_x^2): columns of W_m orthogonal, so that posteriors are diagonal."""

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        scales = normal(MODALITIES, 1, LATENT).abs() + 0.3
        self.weight = torch.linalg.qr(normal(MODALITIES, PIXELS, LATENT))[0] * scales
        self.offset = normal(MODALITIES, PIXELS)
        z = normal(LATENT)
        self.images = self.weight @ z + self.offset + SIGMA_X * normal(MODALITIES, PIXELS)

    def evidence(self, observed: list[bool]) -> Tensor:
        weight, offset, images = self.weight[observed], self.offset[observed], self.images[observed]
        flat = weight.reshape(-1, LATENT)
        covariance = flat @ flat.T + SIGMA_X**2 * torch.eye(len(flat), dtype=torch.float64)
        return MultivariateNormal(offset.flatten(), covariance).log_prob(images.flatten())

    def exact_experts(self) -> DiagonalGaussian:
        precision = self.weight.square().sum(1) / SIGMA_X**2
        residual = (self.images - self.offset)[:, None] @ self.weight
        return DiagonalGaussian((residual[:, 0] / SIGMA_X**2 / precision)[None], -precision.log()[None])

    def bound(self, experts: DiagonalGaussian, shown: list[bool], observed: list[bool]) -> Tensor:
        """ELBO_s in closed form: the expected squared error is that of the mean plus the posterior's variance."""
        prior = standard_gaussian(experts.mean[:, 0])
        flags = torch.tensor([shown])
        posterior = product_of_experts(prior, experts, flags)
        prediction = (self.weight @ posterior.mean[0] + self.offset)[observed]
        variance = (self.weight.square() @ posterior.log_variance[0].exp())[observed]
        negative = normal_negative_log_likelihood(self.images[observed], prediction, SIGMA_X)
        expected = negative + 0.5 * variance / SIGMA_X**2
        return -expected.sum() - divergence_from_prior(prior, experts, flags).sum()

    def posterior(self, shown: list[bool]) -> DiagonalGaussian:
        experts = self.exact_experts()
        return product_of_experts(standard_gaussian(experts.mean[:, 0]), experts, torch.tensor([shown]))


def as_normal(distribution: DiagonalGaussian) -> Normal:
    return Normal(distribution.mean, distribution.standard_deviation)


@pytest.mark.parametrize("observed", range(1, 8))
def test_the_bound_reaches_the_evidence_at_the_true_posterior(observed: int) -> None:  # check 12
    model, row = LinearGaussian(), as_row(observed, MODALITIES)
    assert model.bound(model.exact_experts(), row, row).item() == pytest.approx(model.evidence(row).item(), abs=1e-9)


@pytest.mark.parametrize("shown", range(1, 7))
def test_the_gap_of_a_subset_is_its_divergence_from_the_full_posterior(shown: int) -> None:  # check 12
    model, row, everything = LinearGaussian(1), as_row(shown, MODALITIES), [True] * MODALITIES
    gap = model.evidence(everything) - model.bound(model.exact_experts(), row, everything)
    expected = kl_divergence(as_normal(model.posterior(row)), as_normal(model.posterior(everything))).sum()
    assert gap.item() == pytest.approx(expected.item(), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_other_experts_stay_below_the_evidence(seed: int) -> None:  # check 12
    model, generator = LinearGaussian(2), torch.Generator().manual_seed(seed)
    exact = model.exact_experts()
    mean = exact.mean + torch.randn(exact.mean.shape, generator=generator, dtype=torch.float64)
    log_variance = exact.log_variance + torch.randn(exact.mean.shape, generator=generator, dtype=torch.float64)
    row = [True] * MODALITIES
    assert model.bound(DiagonalGaussian(mean, log_variance), row, row) < model.evidence(row)


def test_the_mean_bound_lies_below_the_mixtures_bound_by_no_more_than_the_entropy() -> None:  # check 13, on a 1-D grid
    z = torch.linspace(-15, 15, 30_001, dtype=torch.float64)
    step = (z[1] - z[0]).item()
    prior = Normal(torch.zeros((), dtype=torch.float64), 1.0)
    slopes, noise, images = (1.2, -0.7, 0.5), (0.5, 0.8, 0.3), (1.0, 0.4, -0.6)
    log_likelihood = sum(
        Normal(slope * z, sigma).log_prob(torch.tensor(image, dtype=torch.float64))
        for slope, sigma, image in zip(slopes, noise, images, strict=True)
    )
    evidence = (log_likelihood + prior.log_prob(z)).logsumexp(0).item() + math.log(step)
    weights = subset_weights(7, GROUPS, mixed=True)
    parts = {}
    for subset in weights:
        flags = as_row(subset, 3)
        precision = 1 + sum(s**2 / v**2 for s, v, on in zip(slopes, noise, flags, strict=True) if on)
        mean = sum(s * x / v**2 for s, v, x, on in zip(slopes, noise, images, flags, strict=True) if on) / precision
        parts[subset] = Normal(torch.tensor(mean, dtype=torch.float64), precision**-0.5)

    def integral(values: Tensor) -> float:
        return values.sum().item() * step

    density = sum(weight * parts[subset].log_prob(z).exp() for subset, weight in weights.items())
    assert isinstance(density, Tensor)
    log_density = density.clamp(min=1e-300).log()
    mixture = integral(density * (log_likelihood + prior.log_prob(z) - log_density))
    mean_bound, slack = 0.0, 0.0
    for subset, weight in weights.items():
        log_part = parts[subset].log_prob(z)
        part = log_part.exp()
        mean_bound += weight * integral(part * (log_likelihood + prior.log_prob(z) - log_part))
        slack += weight * integral(part * (log_part - log_density))
    entropy = -sum(weight * math.log(weight) for weight in weights.values())
    assert mean_bound <= mixture <= evidence
    assert mixture - mean_bound == pytest.approx(slack, abs=1e-8)
    assert 0 <= slack <= entropy <= math.log(len(non_empty_subsets(7)))


def test_the_best_law_over_data_has_the_right_mean_and_the_full_posteriors_variance() -> None:  # check 14
    v_r, k = 0.4, 2.5
    v_s = k * v_r
    spread = v_s - v_r  # of the full posterior's mean, given what is shown

    nodes, weights = (torch.from_numpy(values) for values in np.polynomial.hermite_e.hermegauss(20))
    full = DiagonalGaussian(nodes * math.sqrt(spread), torch.full_like(nodes, math.log(v_r)))

    def mean_gap(mean: float, variance: float) -> float:
        distribution = DiagonalGaussian(torch.full_like(nodes, mean), torch.full_like(nodes, math.log(variance)))
        return (weights * divergence(distribution, full)).sum().item() / math.sqrt(2 * math.pi)

    at_subset_posterior, at_best = mean_gap(0.0, v_s), mean_gap(0.0, v_r)
    assert at_subset_posterior == pytest.approx(k - 1 - 0.5 * math.log(k))
    assert at_best == pytest.approx((k - 1) / 2)
    for mean, variance in [(0.1, v_r), (0.0, 1.1 * v_r), (0.0, 0.9 * v_r)]:
        assert mean_gap(mean, variance) > at_best


def test_multiplying_exact_unimodal_posteriors_is_overconfident_above_the_finest_level() -> None:  # check 15
    x = torch.tensor([0.7, -0.2], dtype=torch.float64)
    slope, v_1, v_x = 0.9, 0.6, 0.4
    # z_2 given one image: x = 0.9 z_2 + N(0, v_1 + v_x). The experts are the ratios of these posteriors to the prior.
    prior = standard_gaussian(torch.zeros(1, 1, dtype=torch.float64))
    precision = torch.tensor(1 + slope**2 / (v_1 + v_x), dtype=torch.float64)
    unimodal = [
        DiagonalGaussian((slope * value / (v_1 + v_x) / precision).reshape(1, 1), -precision.log().reshape(1, 1))
        for value in x
    ]
    each = [expert_between(prior, posterior) for posterior in unimodal]
    experts = DiagonalGaussian(
        torch.stack([expert.mean for expert in each], 1), torch.stack([expert.log_variance for expert in each], 1)
    )
    product = product_of_experts(prior, experts, torch.ones(1, 2, dtype=torch.bool))
    exact = 1 + slope**2 / (v_1 + v_x / 2)
    assert exact == pytest.approx(2.0125)
    assert product.precision.item() == pytest.approx(2.62)
    # Level 1 is exact, so that the gap of the whole bound is the divergence of z_2's distribution from its true posterior.
    true = DiagonalGaussian(
        (slope * x.mean() / (v_1 + v_x / 2) / exact).reshape(1, 1), -torch.tensor([[exact]], dtype=torch.float64).log()
    )
    gap = kl_divergence(as_normal(product), as_normal(true)).item()
    assert gap == pytest.approx(0.016994, abs=1e-6)
    covariance = (slope**2 + v_1) * torch.ones(2, 2, dtype=torch.float64) + v_x * torch.eye(2, dtype=torch.float64)
    evidence = MultivariateNormal(torch.zeros(2, dtype=torch.float64), covariance).log_prob(x).item()
    assert evidence - two_level_bound(product, x) == pytest.approx(gap, abs=1e-6)
    assert evidence - two_level_bound(true, x) == pytest.approx(0, abs=1e-8)


def two_level_bound(top: DiagonalGaussian, x: Tensor) -> float:
    """Return the bound of the example of method, section 5 with `top` for z_2 and exact experts at level 1, by quadrature over z_2."""
    slope, v_1, v_x = 0.9, 0.6, 0.4
    z_2 = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    prior = DiagonalGaussian((slope * z_2)[:, None], torch.full((len(z_2), 1), math.log(v_1), dtype=torch.float64))
    experts = DiagonalGaussian(
        x[None, :, None].expand(len(z_2), 2, 1), torch.full((len(z_2), 2, 1), math.log(v_x), dtype=torch.float64)
    )
    shown = torch.ones(len(z_2), 2, dtype=torch.bool)
    z_1 = product_of_experts(prior, experts, shown)
    squares = (x - z_1.mean) ** 2 + z_1.log_variance.exp()
    likelihood = (-0.5 * math.log(2 * math.pi * v_x) - squares / (2 * v_x)).sum(1)
    fine = likelihood - divergence_from_prior(prior, experts, shown)[:, 0]
    distribution, standard = as_normal(top), Normal(torch.zeros((), dtype=torch.float64), 1.0)
    log_distribution = distribution.log_prob(z_2).flatten()
    return torch.trapezoid(log_distribution.exp() * (fine + standard.log_prob(z_2) - log_distribution), z_2).item()


def test_the_monte_carlo_bound_is_unbiased() -> None:  # check 16
    model, row, everything = LinearGaussian(3), [True, False, True], [True] * MODALITIES
    experts = model.exact_experts()
    posterior = model.posterior(row)
    noise = torch.randn(20_000, LATENT, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = draw(posterior, noise)
    prediction = torch.einsum("mpl,nl->nmp", model.weight, z) + model.offset
    negative = normal_negative_log_likelihood(model.images, prediction, SIGMA_X).sum((1, 2))
    nats = divergence_from_prior(standard_gaussian(experts.mean[:, 0]), experts, torch.tensor([row])).sum()
    estimates = -negative - nats
    difference = estimates.mean() - model.bound(experts, row, everything)
    assert abs(difference.item()) < 4 * estimates.std().item() / math.sqrt(len(z))
