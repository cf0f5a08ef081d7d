"""Schedules by hand, and draws as functions of seed and step."""

from __future__ import annotations

import pytest
import torch

from anymod.training.recipe import ObjectiveSection, TrainingSection
from anymod.training.schedules import (
    adversarial_weight,
    discriminators_learn,
    learning_rate,
    subsets_of_step,
)

OBJECTIVE = ObjectiveSection(adversarial_weight=0.1, discriminator_start=3, adversarial_start=5, draws=2)


def test_the_rate_falls_along_half_a_cosine() -> None:
    settings = TrainingSection(steps=100, learning_rate=2e-3, final_learning_rate=1e-4)
    assert [learning_rate(step, settings) for step in (0, 50, 100)] == pytest.approx([2e-3, 1.05e-3, 1e-4])


def test_discriminators_learn_before_they_are_heard() -> None:
    assert [discriminators_learn(step, OBJECTIVE) for step in (2, 3)] == [False, True]
    assert [adversarial_weight(step, OBJECTIVE) for step in (4, 5)] == [0.0, 0.1]


def test_subsets_depend_on_seed_and_step_alone() -> None:
    observed = torch.tensor([[True, True, True], [False, True, True]] * 8)
    groups = ("us", "mr", "mr")
    first = subsets_of_step(observed, groups, 7, OBJECTIVE, seed=1)
    torch.rand(3)
    assert torch.equal(first, subsets_of_step(observed, groups, 7, OBJECTIVE, seed=1))
    assert not torch.equal(first, subsets_of_step(observed, groups, 8, OBJECTIVE, seed=1))
    assert not torch.equal(first, subsets_of_step(observed, groups, 7, OBJECTIVE, seed=2))
    assert first.shape == (2, 16, 3)
