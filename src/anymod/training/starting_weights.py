"""Weights to begin from: those of a model folder in place of random ones, so that a training goes on where another ended."""

from __future__ import annotations

from collections.abc import Sequence

from anymod.errors import ConfigurationError
from anymod.models import UnifiedModel, load_model
from anymod.training.recipe import Recipe

FIELD = "training.start_from"


def take_weights(model: UnifiedModel, recipe: Recipe, modalities: Sequence[str]) -> str:
    """Give `model` the weights of the recipe's `start_from` and return their SHA-256.

    Raises ModelFolderError where there is no such model, ConfigurationError where it knows other modalities or has another shape.
    """
    source, description = load_model(str(recipe.training.start_from))
    if description.names != tuple(modalities):
        why = f"that model knows {', '.join(description.names)}, the cohort has {', '.join(modalities)}"
        raise ConfigurationError("unusable model", FIELD, why, "give the cohort the same modalities in the same order")
    mine = recipe.model.settings.model_dump(mode="json")
    theirs = type(recipe.model.settings).model_validate(description.settings, strict=False).model_dump(mode="json")
    differing = [name for name, value in mine.items() if theirs[name] != value]
    if description.architecture != recipe.model.architecture or differing:
        why = f"{', '.join(differing) or 'the architecture'} of that model differ from the recipe's"
        raise ConfigurationError("unusable model", FIELD, why, "copy the section 'model' from its model.yaml")
    model.load_state_dict(source.state_dict())
    return description.weights_sha256
