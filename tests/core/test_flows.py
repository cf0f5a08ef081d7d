"""Rectified flow against the closed form between two normal distributions."""

from __future__ import annotations

import torch

from anymod.core.flows import follow, on_path


def test_a_path_is_straight_from_start_to_end() -> None:
    start, end = torch.tensor([[0.0, 1.0]] * 3), torch.tensor([[4.0, -1.0]] * 3)
    found = on_path(start, end, torch.tensor([0.0, 0.25, 1.0]))
    assert found.tolist() == [[0.0, 1.0], [1.0, 0.5], [4.0, -1.0]]


def test_following_the_mean_velocity_turns_one_normal_distribution_into_the_other() -> None:
    """For independent normal ends, E[x1 - x0 | x_t = x] is linear in x, and the flow maps quantiles to quantiles."""
    a, s, b, r = 1.0, 0.5, -2.0, 1.5

    def velocity(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        t = time[:, None]
        variance = (1 - t) ** 2 * s**2 + t**2 * r**2
        return b - a + (t * r**2 - (1 - t) * s**2) / variance * (x - (1 - t) * a - t * b)

    start = a + s * torch.linspace(-2, 2, 7, dtype=torch.float64)[:, None]
    errors = []
    for steps in (100, 200):
        ended = follow(velocity, start, steps)
        errors.append(float((ended - (b + r * (start - a) / s)).abs().max()))
    assert errors[1] < 0.05
    assert 0.4 < errors[1] / errors[0] < 0.6  # Euler's method is of the first order
