"""Recipes: the shipped ones are complete, and what does not fit is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml

from anymod.errors import ConfigurationError
from anymod.nn.discriminators import Discriminator
from anymod.training import Recipe, read_recipe
from anymod.training.recipe import TrainingSection

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
LEAN = CONFIGS[0].parent / "lean.yaml"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_read(path: Path) -> None:
    assert read_recipe(path).training.steps > 0


def test_the_default_recipe_lists_every_setting() -> None:
    assert yaml.safe_load(LEAN.read_text()) == read_recipe(LEAN).model_dump(mode="json")


def test_a_recipe_lists_what_it_changes_of_the_one_it_extends(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("training: {steps: 7, seed: 3}\nmodel: {settings: {widths: [4, 6]}}\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\ntraining: {steps: 9}\nmodel: {objective: {kl_weight: 0.5}}\n")
    recipe = read_recipe(tmp_path / "b.yaml", ["training.seed=4"])
    assert (recipe.training.steps, recipe.training.seed) == (9, 4)
    assert (recipe.model.settings.widths, recipe.model.objective.kl_weight) == ((4, 6), 0.5)


@pytest.mark.parametrize(
    ("base", "fault"), [("b.yaml", "extend one another"), ("c.yaml", "no such file"), ("[1]", "file name")]
)
def test_a_recipe_that_cannot_be_extended_is_refused(tmp_path: Path, base: str, fault: str) -> None:
    (tmp_path / "b.yaml").write_text(f"extends: {base}\n")
    with pytest.raises(ConfigurationError, match=fault):
        read_recipe(tmp_path / "b.yaml")


def test_what_learns_realistic_images_needs_a_flow_and_a_network(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("model: {settings: {realistic: {widths: [8, 16]}}, objective: {learn: realistic}}\n")
    assert read_recipe(path, ["training.start_from=run/model"]).model.settings.realistic.widths == (8, 16)
    with pytest.raises(ConfigurationError, match=r"name it in training\.start_from"):
        read_recipe(path)
    for change, fault in (
        ("training.select=best", "choose training.select last"),
        ("objective.perceptual_weight=0.1", "has no other term"),
        ("model.objective.learn=images", "is learnt alone"),
    ):
        with pytest.raises(ConfigurationError, match=fault):
            read_recipe(path, ["training.start_from=run/model", change])
    with pytest.raises(ConfigurationError, match=r"learn realistic needs settings\.realistic"):
        read_recipe(path, ["training.start_from=run/model", "model.settings.realistic=null"])


def test_names_of_version_0_1_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(
        "model: {architecture: authors}\n"
        "objective: {likelihood: normal, kl_weight: 0.25, critic_start: 3, adversarial_start: 4}\n"
        "training: {gradient_norm: 2.0, averaging: 0.5, critic_width: 8}\n"
    )
    recipe = read_recipe(path, ["training.critic_depth=2", "objective.kl_warmup_steps=9"])
    assert recipe.model.architecture == "dorent2024"
    objective = recipe.model.objective
    assert (objective.likelihood, objective.kl_weight, objective.kl_warmup_steps) == ("normal", 0.25, 9)
    training = recipe.training
    assert (training.max_gradient_norm, training.ema_decay) == (2.0, 0.5)
    assert (training.discriminator_width, training.discriminator_depth) == (8, 2)
    assert recipe.objective.discriminator_start == 3
    path.write_text("training: {averaging: 0.5, ema_decay: 0.5}\n")
    with pytest.raises(ConfigurationError, match=r"older name of 'training\.ema_decay'"):
        read_recipe(path)


def test_values_can_be_laid_over_a_recipe() -> None:
    recipe = read_recipe(
        LEAN, ["training.steps=7", "model.settings.widths=[4, 8]", "model.settings.latent_levels=null"]
    )
    assert recipe.training.steps == 7
    assert recipe.model.settings.widths == (4, 8)


def test_values_that_do_not_fit_together_are_blamed_on_the_options_that_gave_them() -> None:
    for given in (
        "model.settings.image_size=[100, 100]",
        "model.objective.level_weights=[1]",
        "training.discriminator_depth=6",
    ):
        with pytest.raises(ConfigurationError, match=f"in --set {re.escape(given)}: '?(model|training)"):
            read_recipe(LEAN, [given])


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
        ("model: {objective: {level_weights: [1, 2]}}", "one number for each of the 5 settings.widths"),
        ("model: {settings: {width: 3}}", r"'model\.settings\.width' does not exist; did you mean 'widths'"),
        ("model: {architecture: mgan}", "architecture must be mmhvae or dorent2024"),
        ("model: {architecture: [mmhvae]}", "architecture must be mmhvae or dorent2024"),
        ("model:", "architecture must be mmhvae or dorent2024"),
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
