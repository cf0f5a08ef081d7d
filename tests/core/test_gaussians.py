"""Diagonal Gaussians against torch.distributions."""

from __future__ import annotations

import pytest
import torch
from formulas import log_density
from torch.distributions import Normal, kl_divergence

from anymod.core.gaussians import DiagonalGaussian, divergence, draw, soft_limit


def some_distribution(seed: int, shape: tuple[int, ...] = (3, 4, 5)) -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(shape, generator=generator, dtype=torch.float64)
    return DiagonalGaussian(mean, 2 * torch.randn(shape, generator=generator, dtype=torch.float64))


def as_normal(distribution: DiagonalGaussian) -> Normal:
    return Normal(distribution.mean, (distribution.log_variance / 2).exp())


def test_log_density_is_that_of_torch() -> None:
    distribution, value = some_distribution(0), some_distribution(1).mean
    torch.testing.assert_close(
        log_density(distribution, value), as_normal(distribution).log_prob(value), atol=1e-10, rtol=1e-10
    )


def test_divergence_is_that_of_torch() -> None:
    first, second = some_distribution(2), some_distribution(3)
    expected = kl_divergence(as_normal(first), as_normal(second))
    torch.testing.assert_close(divergence(first, second), expected, atol=1e-10, rtol=1e-10)


def test_standard_deviation_and_precision_are_two_views_of_one_number() -> None:
    distribution = some_distribution(4)
    torch.testing.assert_close(distribution.standard_deviation**-2, distribution.precision)


def test_at_temperature_zero_every_noise_gives_the_mean() -> None:  # method, check 20
    distribution = some_distribution(5)
    assert torch.equal(draw(distribution, None, 0.0), distribution.mean)
    assert torch.equal(draw(distribution, torch.randn(3, 4, 5, dtype=torch.float64), 0.0), distribution.mean)


def test_spread_of_draws_is_temperature_times_sigma() -> None:  # method, check 21
    distribution = DiagonalGaussian(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 2.0]))
    noise = torch.randn(100_000, 2, generator=torch.Generator().manual_seed(0))
    drawn = draw(distribution, noise, 0.7)
    torch.testing.assert_close(drawn.std(0), 0.7 * distribution.standard_deviation, rtol=0.01, atol=0)
    torch.testing.assert_close(drawn.mean(0), distribution.mean, rtol=0, atol=0.05)


@pytest.mark.parametrize(("noise", "temperature"), [(None, 0.7), (torch.zeros(1), -0.1)])
def test_a_draw_without_noise_or_below_zero_is_refused(noise: torch.Tensor | None, temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        draw(DiagonalGaussian(torch.zeros(1), torch.zeros(1)), noise, temperature)


def test_soft_limit_bounds_the_precision() -> None:  # method, check 22: c = 10 gives lambda in [4.5e-5, 2.2e4]
    limited = soft_limit(torch.tensor([-1e9, 0.0, 0.1, 1e9]), 10.0)
    assert limited[1] == 0
    assert limited[2] == pytest.approx(0.1, abs=1e-5)
    assert (-limited[[3, 0]]).exp().tolist() == pytest.approx([4.54e-5, 2.2026e4], rel=1e-3)
