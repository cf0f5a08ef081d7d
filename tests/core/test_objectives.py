"""Objectives by hand and against torch.distributions."""

from __future__ import annotations

import math

import pytest
import torch
from formulas import normal_negative_log_likelihood
from torch.distributions import Normal

from anymod.core.objectives import (
    absolute_error,
    adversarial_loss,
    discriminator_loss,
    mean_over_observed,
    squared_error,
)


def test_normal_likelihood_keeps_its_constants() -> None:
    image, prediction = torch.tensor([0.3, -0.5]), torch.tensor([0.1, 0.4])
    expected = -Normal(prediction, 0.2).log_prob(image)
    torch.testing.assert_close(normal_negative_log_likelihood(image, prediction, 0.2), expected)


def test_mean_is_over_pixels_then_observed_modalities_then_rows() -> None:
    error = torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]], [[[4.0, 0.0]], [[9.0, 9.0]]]])
    observed = torch.tensor([[True, True], [True, False]])
    assert mean_over_observed(error, observed).item() == pytest.approx(((2 + 5) / 2 + 2) / 2)


def test_what_is_not_observed_changes_nothing_not_even_a_nan() -> None:  # method, check 18
    error = torch.tensor([[[[1.0, 3.0]], [[math.nan, math.nan]]]], requires_grad=True)
    mean_over_observed(error, torch.tensor([[True, False]])).backward()
    assert error.grad is not None
    assert error.grad.tolist() == [[[[0.5, 0.5]], [[0.0, 0.0]]]]


def test_errors_are_absolute_and_squared() -> None:
    assert absolute_error(torch.tensor(1.0), torch.tensor(-2.0)) == 3
    assert squared_error(torch.tensor(1.0), torch.tensor(-2.0)) == 9


def test_least_squares_adversary_by_hand() -> None:
    real, fakes = [torch.tensor([1.0, 0.0]), torch.tensor([3.0])], [torch.tensor([0.5]), torch.tensor([0.0, 2.0])]
    assert discriminator_loss(real, fakes).item() == pytest.approx((0.5 + 4) / 2 + (0.25 + 2) / 2)
    assert adversarial_loss(fakes).item() == pytest.approx((0.25 + 1) / 2)
