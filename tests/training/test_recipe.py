"""Recipes: the shipped ones are complete, and what does not fit is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from anymod.errors import ConfigurationError
from anymod.nn.discriminators import Discriminator
from anymod.training import Recipe, read_recipe
from anymod.training.recipe import TrainingSection

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_complete(path: Path) -> None:
    assert yaml.safe_load(path.read_text()) == read_recipe(path).model_dump(mode="json")


def test_values_can_be_laid_over_a_recipe() -> None:
    recipe = read_recipe(
        CONFIGS[0], ["training.steps=7", "model.settings.widths=[4, 8]", "model.settings.latent_levels=null"]
    )
    assert recipe.training.steps == 7
    assert recipe.model.settings.widths == (4, 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainning: {}", "did you mean 'training'"),
        ("training: {step: 5}", "did you mean 'steps'"),
        ("training: {steps: '5'}", r"training\.steps"),
        ("training: {steps: 0}", "greater than or equal to 1"),
        ("model: {settings: {image_size: [90, 96]}}", "multiples of"),
        ("objective: {discriminator_start: 5}", "adversarial_start"),
        (
            "{objective: {adversarial_weight: 0.1}, training: {discriminator_depth: 6}}",
            r"discriminator_depth 6 needs slices of at least 192 pixels.*\(96, 96\)",
        ),
        ("{objective: {shown_targets: as_shown}, data: {targets: harmonized}}", "choose data.targets percentile"),
        ("{objective: {level_weights: [1, 2]}}", "one number for each of the 5 model.settings.widths"),
        ("data: {repeats: {'sim-*': 0}}", "greater than or equal to 1"),
        ("- a", "no mapping"),
        ("a: [", "unreadable YAML"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_recipe(path)


def test_defaults_are_a_recipe() -> None:
    assert Recipe().training.steps > 0


def test_a_discriminator_that_nobody_trains_may_be_of_any_depth() -> None:
    assert Recipe(training=TrainingSection(discriminator_depth=9)).training.discriminator_depth == 9


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_the_deepest_discriminator_that_is_accepted_judges_the_smallest_slice(depth: int) -> None:
    assert Discriminator(2, depth)(torch.zeros(1, 3 * 2**depth, 3 * 2**depth)).shape == (1, 1, 1, 1)
    with pytest.raises((ValueError, RuntimeError)):
        Discriminator(2, depth)(torch.zeros(1, 3 * 2**depth - 2**depth, 3 * 2**depth))
