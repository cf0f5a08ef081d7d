"""Schedules, each a function of the step: learning rate, adversarial weight, and the subsets that rows show."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Bool
from torch import Tensor

from anymod.core.subsets import draw_subsets
from anymod.randomness import torch_generator
from anymod.training.recipe import ObjectiveSection, TrainingSection


def learning_rate(step: int, settings: TrainingSection) -> float:
    """Return the learning rate of a step (from 0): half a cosine from `learning_rate` to `final_learning_rate`."""
    share = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
    return settings.final_learning_rate + share * (settings.learning_rate - settings.final_learning_rate)


def adversarial_weight(step: int, settings: ObjectiveSection) -> float:
    """Return the weight of the adversarial term: 0 before `adversarial_start`."""
    return settings.adversarial_weight if step >= settings.adversarial_start else 0.0


def discriminators_learn(step: int, settings: ObjectiveSection) -> bool:
    """Return whether the discriminators are trained at a step."""
    return settings.adversarial_weight > 0 and step >= settings.discriminator_start


def subsets_of_step(
    observed: Bool[Tensor, "b m"], groups: Sequence[str], step: int, settings: ObjectiveSection, seed: int
) -> Bool[Tensor, "k b m"]:
    """Return the subset that every row of the whole batch shows in each draw; a function of (seed, step)."""
    generator = torch_generator(seed, "subsets", step)
    mixed, full_share = settings.mixed_ticket, settings.full_share
    return draw_subsets(observed, groups, settings.draws, generator, mixed=mixed, full_share=full_share)
