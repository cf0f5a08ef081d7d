"""The model of voxel errors: known weights are found again, and factors cover what they promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from scipy.optimize import minimize

from anymod.core.error_model import (
    LEAST_VARIATION,
    SMALLEST,
    coverage_factor,
    error_features,
    feature_count,
    fit_log_scale,
)


def laplace(seed: int, count: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, absolute Laplace errors and the weights that they were drawn with."""
    draws = np.random.default_rng(seed)
    features = np.concatenate([np.ones((count, 1)), draws.normal(0, 1, (count, 2))], axis=1)
    weights = np.array([-2.0, 0.7, -0.4])
    return features, draws.exponential(np.exp(features @ weights)), weights


def test_known_weights_are_found() -> None:
    features, errors, weights = laplace(0)
    np.testing.assert_allclose(fit_log_scale(features, errors, np.ones(len(errors))), weights, atol=0.03)


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_the_fit_maximizes_the_likelihood(scale: float) -> None:
    """Against a general optimizer, also where the start is far away."""
    features, errors, _ = laplace(1, 300)
    features[:, 1:] *= 5
    errors = np.maximum(errors * scale, SMALLEST)

    def cost(weights: np.ndarray) -> float:
        score = features @ weights
        return float((errors * np.exp(-score) + score).mean() + 0.5e-3 * (weights[1:] ** 2).sum())

    found = fit_log_scale(features, errors, np.ones(len(errors)))
    best = minimize(cost, found + 0.1, method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(found, best.x, atol=1e-4)


def test_a_constant_alone_is_the_mean_error_and_voxels_count_as_often_as_they_stand_for() -> None:
    errors, voxels = np.array([0.1, 0.4]), np.array([3.0, 1.0])
    weights = fit_log_scale(np.ones((2, 1)), errors, voxels)
    assert np.exp(weights[0]) == pytest.approx(0.175)


def test_a_normal_distribution_needs_its_standard_deviation_and_a_heavier_tail_both_halves() -> None:
    draws = np.random.default_rng(2)
    normal, heavy = np.abs(draws.normal(0, 0.3, 100_000)), draws.exponential(1, 100_000)
    assert coverage_factor(normal, np.ones(100_000)) == pytest.approx(0.3, rel=0.02)
    factor = coverage_factor(heavy, np.ones(100_000))
    assert factor == pytest.approx(np.sqrt(-np.log(1 - 0.6827) * -np.log(1 - 0.9545) / 2), rel=0.02)
    assert 0.68 < (heavy <= factor).mean() < 0.76 and 0.92 < (heavy <= 2 * factor).mean() < 0.9545


@given(st.integers(1, 3), st.integers(0, 99))
def test_features_are_finite_and_see_nothing_outside(count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 2, 9, 8, generator=generator) * 2 - 1
    inside = torch.rand(2, 9, 8, generator=generator) > 0.4
    features = error_features(images, inside)
    assert features.shape == (feature_count(count), 2, 9, 8)
    assert features.isfinite().all()
    other = error_features(torch.where(inside, images, 0.7), inside)
    torch.testing.assert_close(features[:, inside], other[:, inside])


def test_features_of_a_step_between_two_flat_halves() -> None:
    images = torch.full((1, 1, 20, 20), 0.2)
    images[..., 10:] = -0.4
    constant, border, value, square, variation = error_features(images, torch.ones(1, 20, 20, dtype=torch.bool))
    assert constant.eq(1).all()
    assert value[0, 5, 3] == pytest.approx(0.2) and square[0, 5, 15] == pytest.approx(0.16)
    assert border[0, 0, 0] > border[0, 9, 9] > 0
    assert variation[0, 9, 4] == pytest.approx(np.log(LEAST_VARIATION), abs=0.1)
    shares = np.sqrt(0.4 * 0.6) * 0.6  # two of five columns lie beyond the step
    assert variation[0, 9, 9] == pytest.approx(np.log(shares + LEAST_VARIATION), abs=1e-3)
