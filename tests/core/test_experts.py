"""The product of experts against symmetry, limits, quadrature and closed forms (method, section 13, checks 1 to 11)."""

from __future__ import annotations

import math

import pytest
import torch
from formulas import expert_between, log_density
from hypothesis import given, settings, strategies as st
from torch import Tensor

from anymod.core.experts import divergence_from_prior, product_of_experts
from anymod.core.gaussians import DiagonalGaussian, divergence, standard_gaussian

EXACT = {"atol": 1e-10, "rtol": 1e-10}


def distributions(seed: int, experts: int, latent: int = 6, scale: float = 2.0, dtype: torch.dtype = torch.float64):
    """Return a prior (1, latent) and experts (1, experts, latent)."""
    generator = torch.Generator().manual_seed(seed)
    mean = 3 * torch.randn(1, experts + 1, latent, generator=generator, dtype=torch.float64)
    log_variance = scale * torch.randn(1, experts + 1, latent, generator=generator, dtype=torch.float64)
    mean, log_variance = mean.to(dtype), log_variance.to(dtype)
    return DiagonalGaussian(mean[:, 0], log_variance[:, 0]), DiagonalGaussian(mean[:, 1:], log_variance[:, 1:])


def all_shown(experts: int) -> Tensor:
    return torch.ones(1, experts, dtype=torch.bool)


def scalar(prior: tuple[float, float], experts: list[tuple[float, float]]):
    """Return distributions of one element from (mean, variance) pairs."""
    as_tensor = torch.tensor
    mean = as_tensor([[[mean] for mean, _ in experts]], dtype=torch.float64)
    variance = as_tensor([[[variance] for _, variance in experts]], dtype=torch.float64)
    first = DiagonalGaussian(
        as_tensor([[prior[0]]], dtype=torch.float64), as_tensor([[prior[1]]], dtype=torch.float64).log()
    )
    return first, DiagonalGaussian(mean, variance.log())


def test_empty_set_returns_the_prior_exactly() -> None:  # check 1
    prior, experts = distributions(0, 3)
    product = product_of_experts(prior, experts, torch.zeros(1, 3, dtype=torch.bool))
    assert torch.equal(product.mean, prior.mean)
    assert torch.equal(product.log_variance, prior.log_variance)


def test_order_of_experts_does_not_matter() -> None:  # check 2
    prior, experts = distributions(1, 4, scale=8.0, dtype=torch.float32)
    order = torch.tensor([2, 0, 3, 1])
    turned = DiagonalGaussian(experts.mean[:, order], experts.log_variance[:, order])
    first, second = (product_of_experts(prior, each, all_shown(4)) for each in (experts, turned))
    torch.testing.assert_close(first.mean, second.mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(first.log_variance, second.log_variance, atol=1e-5, rtol=1e-5)


@given(seed=st.integers(0, 10_000), experts=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_more_experts_never_lower_the_precision_and_means_stay_between(seed: int, experts: int) -> None:  # check 3
    prior, given_experts = distributions(seed, experts)
    before = prior.precision
    for count in range(1, experts + 1):
        shown = torch.arange(experts)[None] < count
        product = product_of_experts(prior, given_experts, shown)
        assert (product.precision >= before * (1 - 1e-12)).all()
        means = torch.cat([prior.mean[:, None], given_experts.mean[:, :count]], 1)
        assert (product.mean >= means.amin(1) - 1e-9).all()
        assert (product.mean <= means.amax(1) + 1e-9).all()
        before = product.precision


def test_equal_experts_add_their_precisions() -> None:  # check 4
    product = product_of_experts(*scalar((0.0, 1.0), [(2.0, 1.0)]), all_shown(1))
    assert product.mean.item() == pytest.approx(1.0)
    assert product.precision.item() == pytest.approx(2.0)
    three = product_of_experts(*scalar((0.0, 1.0), [(2.0, 0.5)] * 3), all_shown(3))
    one = product_of_experts(*scalar((0.0, 1.0), [(2.0, 0.5 / 3)]), all_shown(1))
    torch.testing.assert_close(three.mean, one.mean, **EXACT)
    torch.testing.assert_close(three.log_variance, one.log_variance, **EXACT)


def test_fusing_one_after_the_other_is_fusing_together() -> None:  # check 5
    prior, experts = distributions(3, 2)
    together = product_of_experts(prior, experts, all_shown(2))
    first = product_of_experts(prior, experts, torch.tensor([[True, False]]))
    second = product_of_experts(first, experts, torch.tensor([[False, True]]))
    torch.testing.assert_close(second.mean, together.mean, **EXACT)
    torch.testing.assert_close(second.log_variance, together.log_variance, **EXACT)


def test_an_expert_that_knows_nothing_is_ignored_and_one_that_knows_all_decides() -> None:  # check 6
    ignored = product_of_experts(*scalar((0.3, 2.0), [(1e6, 1e30)]), all_shown(1))
    assert ignored.mean.item() == pytest.approx(0.3, abs=1e-9)
    assert ignored.log_variance.exp().item() == pytest.approx(2.0)
    certain = product_of_experts(*scalar((0.3, 2.0), [(7.0, 1e-20)]), all_shown(1))
    assert certain.mean.item() == pytest.approx(7.0, abs=1e-9)


def test_the_ratio_of_posterior_and_prior_is_the_expert() -> None:  # check 7
    prior, experts = distributions(4, 1)
    product = product_of_experts(prior, experts, all_shown(1))
    recovered = expert_between(prior, product)
    torch.testing.assert_close(recovered.mean, experts.mean[:, 0], atol=1e-8, rtol=1e-8)
    torch.testing.assert_close(recovered.log_variance, experts.log_variance[:, 0], atol=1e-8, rtol=1e-8)
    assert (product.log_variance < prior.log_variance).all()


def test_a_ratio_that_is_no_gaussian_is_refused() -> None:
    narrow, wide = (DiagonalGaussian(torch.zeros(1), torch.tensor([value])) for value in (-1.0, 1.0))
    with pytest.raises(ValueError, match="more precise"):
        expert_between(narrow, wide)


def test_the_product_of_densities_on_a_grid_has_the_same_moments() -> None:  # check 8
    prior, experts = scalar((0.5, 2.0), [(-1.0, 0.7), (2.0, 0.3)])
    z = torch.linspace(-12, 12, 48_001, dtype=torch.float64)
    log_product = log_density(prior, z).sum(0)
    for number in range(2):
        log_product = log_product + log_density(
            DiagonalGaussian(experts.mean[0, number], experts.log_variance[0, number]), z
        )
    weight = (log_product - log_product.max()).exp()
    weight = weight / weight.sum()
    mean = (weight * z).sum()
    product = product_of_experts(prior, experts, all_shown(2))
    assert product.mean.item() == pytest.approx(mean.item(), abs=1e-9)
    assert product.log_variance.exp().item() == pytest.approx(((z - mean) ** 2 * weight).sum().item(), abs=1e-9)


def test_two_equal_experts_and_a_flat_prior_give_sigma_over_root_two() -> (
    None
):  # check 9: the authors' 1/sigma weights give sigma/2
    product = product_of_experts(*scalar((0.0, 1e30), [(1.0, 0.25), (1.0, 0.25)]), all_shown(2))
    assert product.standard_deviation.item() == pytest.approx(0.5 / math.sqrt(2))


def test_what_is_hidden_changes_nothing_not_even_a_nan() -> None:  # check 18, at the level of the product
    prior, experts = distributions(5, 3)
    shown = torch.tensor([[True, False, True]])
    expected = product_of_experts(prior, experts, shown)
    mean, log_variance = experts.mean.clone(), experts.log_variance.clone()
    mean[:, 1], log_variance[:, 1] = math.nan, math.nan
    mean.requires_grad_(), log_variance.requires_grad_()
    poisoned = DiagonalGaussian(mean, log_variance)
    product = product_of_experts(prior, poisoned, shown)
    assert torch.equal(product.mean, expected.mean)
    assert torch.equal(product.log_variance, expected.log_variance)
    (product.mean.sum() + divergence_from_prior(prior, poisoned, shown).sum()).backward()
    assert mean.grad is not None
    assert mean.grad.isfinite().all()
    assert (mean.grad[:, 1] == 0).all()


@given(seed=st.integers(0, 10_000), mask=st.integers(0, 7))
@settings(max_examples=25, deadline=None)
def test_divergence_agrees_with_the_general_formula(seed: int, mask: int) -> None:  # check 10
    prior, experts = distributions(seed, 3, scale=1.0)
    shown = torch.tensor([[bool(mask >> bit & 1) for bit in range(3)]])
    nats = divergence_from_prior(prior, experts, shown)
    expected = divergence(product_of_experts(prior, experts, shown), prior)
    torch.testing.assert_close(nats, expected, atol=1e-9, rtol=1e-4)
    assert (nats >= 0).all()
    if mask == 0:
        assert (nats == 0).all()


def test_divergence_agrees_with_a_monte_carlo_mean() -> None:  # check 10
    prior, experts = scalar((0.5, 2.0), [(-1.0, 0.7), (2.0, 0.3)])
    posterior = product_of_experts(prior, experts, all_shown(2))
    noise = torch.randn(200_000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = posterior.mean + posterior.standard_deviation * noise
    ratio = log_density(posterior, z) - log_density(prior, z)
    nats = divergence_from_prior(prior, experts, all_shown(2))
    assert abs(nats.item() - ratio.mean().item()) < 4 * ratio.std().item() / math.sqrt(len(z))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_divergence_stays_finite_and_increases_over_sixteen_decades(dtype: torch.dtype) -> None:  # check 10
    ratio = torch.logspace(-8, 8, 161, dtype=torch.float64)
    zero = torch.zeros(161, 1, dtype=dtype)
    log_variance = (-ratio.log()).to(dtype)[:, None, None].requires_grad_()
    nats = divergence_from_prior(
        DiagonalGaussian(zero, zero),
        DiagonalGaussian(zero[:, None], log_variance),
        torch.ones(161, 1, dtype=torch.bool),
    )
    assert (nats.diff(dim=0) > 0).all()
    nats.sum().backward()
    assert log_variance.grad is not None
    assert log_variance.grad.isfinite().all()
    exact = torch.where(
        ratio < 1e-3,
        ratio**2 * (0.5 - 2 * ratio / 3 + 0.75 * ratio**2 - 0.8 * ratio**3),
        torch.log1p(ratio) - ratio / (1 + ratio),
    )
    torch.testing.assert_close(nats[:, 0].double(), 0.5 * exact, rtol=1e-4, atol=0)


def test_the_largest_divergence_of_a_batch_is_finite_in_float32() -> None:  # check 22: all within +- 10
    prior = DiagonalGaussian(torch.full((1, 1), -10.0), torch.full((1, 1), -10.0))
    experts = DiagonalGaussian(torch.full((1, 16, 1), 10.0), torch.full((1, 16, 1), -10.0))
    largest = divergence_from_prior(prior, experts, torch.ones(1, 16, dtype=torch.bool))
    assert 3e6 < largest.item() < 4.5e6
    assert largest.expand(16, 565_000).sum().isfinite()


def test_at_temperature_zero_variances_still_weigh_the_means() -> None:  # check 20
    prior, experts = standard_gaussian(torch.zeros(1, 1)), torch.tensor([[[2.0], [-1.0]]])
    shown = torch.ones(1, 2, dtype=torch.bool)
    surer = [torch.tensor([[[first], [0.0]]]) for first in (0.0, -3.0)]
    means = [product_of_experts(prior, DiagonalGaussian(experts, each), shown).mean.item() for each in surer]
    assert means == pytest.approx([1 / 3, (2 * math.exp(3) - 1) / (2 + math.exp(3))], rel=1e-6)


def test_hierarchical_divergence_is_the_sum_of_its_levels() -> (
    None
):  # check 11: KL of a two-level distribution against draws
    generator = torch.Generator().manual_seed(1)
    count = 400_000
    one = torch.ones(count, 1, dtype=torch.bool)
    top = scalar((0.0, 1.0), [(1.0, 0.5)])
    posterior_2 = product_of_experts(*top, all_shown(1))
    z_2 = posterior_2.mean + posterior_2.standard_deviation * torch.randn(count, 1, generator=generator).double()
    prior_1 = DiagonalGaussian(0.9 * z_2, torch.full_like(z_2, math.log(0.6)))
    expert_1 = DiagonalGaussian((0.5 * z_2 + 1)[:, None], torch.full_like(z_2, math.log(0.4))[:, None])
    posterior_1 = product_of_experts(prior_1, expert_1, one)
    z_1 = posterior_1.mean + posterior_1.standard_deviation * torch.randn(count, 1, generator=generator).double()
    log_q = log_density(posterior_2, z_2) + log_density(posterior_1, z_1)
    log_p = log_density(top[0], z_2) + log_density(prior_1, z_1)
    levels = divergence_from_prior(*top, all_shown(1)).sum() + divergence_from_prior(prior_1, expert_1, one).mean()
    difference = (log_q - log_p).mean() - levels
    assert abs(difference.item()) < 4 * (log_q - log_p).std().item() / math.sqrt(count)
