"""Initial weights from a model folder instead of random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from anymod.errors import ConfigurationError
from anymod.models import ModelDescription, Network, load_model, newer_name
from anymod.training.recipe import Recipe

FIELD = "training.start_from"


def take_weights(model: Network, recipe: Recipe, modalities: Sequence[str]) -> ModelDescription:
    """Give `model` the weights of the recipe's `start_from` and return the description of that model.

    That model may see fewer neighbouring slices: weights for the new ones begin at zero, so the network computes the same at first. It may
    lack the flow to realistic images, which then begins with random weights, or have learnt slices of another size, such as larger voxels,
    or have other shares of a guide, which is fitted anew.
    Raises ModelFolderError where there is no such model, ConfigurationError where its modalities or its shape differ.
    """
    source, description = load_model(str(recipe.training.start_from))
    if description.names != tuple(modalities):
        why = f"that model knows {', '.join(description.names)}, the cohort has {', '.join(modalities)}"
        raise ConfigurationError("unusable model", FIELD, why, "give the cohort the same modalities in the same order")
    mine = recipe.model.settings.model_dump(mode="json")
    theirs = type(recipe.model.settings).model_validate(description.settings, strict=False).model_dump(mode="json")
    allowed = {"image_size"} if mine["top"] == "map" else set()  # a vector is made of all pixels
    if theirs["context_slices"] < mine["context_slices"]:
        allowed.add("context_slices")
    if theirs["realistic"] is None:
        allowed.add("realistic")
    if recipe.model.objective.learn == "images":
        allowed.add("guide_shares")
    differing = [name for name, value in mine.items() if theirs[name] != value and name not in allowed]
    if newer_name(description.architecture) != recipe.model.architecture or differing:
        why = f"{', '.join(differing) or 'the architecture'} of that model differ from the recipe's"
        raise ConfigurationError("unusable model", FIELD, why, "copy the section 'model' from its model.yaml")
    if description.orientation != "RAS":
        why = f"its slices run to {description.orientation}, those of a training to RAS"
        raise ConfigurationError("unusable model", FIELD, why, "import it again with --orientation RAS")
    if recipe.model.objective.learn == "realistic":
        _check_same_images(recipe, description)
    own = model.state_dict()
    known = {name: weight for name, weight in source.state_dict().items() if name in own}
    model.load_state_dict(own | _with_more_context(known, own))
    return description


def _check_same_images(recipe: Recipe, description: ModelDescription) -> None:
    """Raise ConfigurationError where the recipe makes other images than a network has learnt that will learn nothing more."""
    data = recipe.data
    mine = {
        "spacing_mm": data.spacing_mm,
        "slice_axis": data.slice_axis,
        "intensity": data.intensity,
        "targets": data.targets,
    }
    for name, value in mine.items():
        if getattr(description, name) != value:
            why = f"that model has another {name} than the recipe, and it stays as it is"
            raise ConfigurationError("unusable model", FIELD, why, f"copy data.{name} from its model.yaml")


def _with_more_context(theirs: Mapping[str, Tensor], mine: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return their weights. Where `mine` has more input channels, theirs become the middle ones (the slice itself) and the rest is 0."""
    widened = {}
    for name, weight in theirs.items():
        if weight.shape == mine[name].shape:
            widened[name] = weight
            continue
        beside = (mine[name].shape[1] - weight.shape[1]) // 2
        widened[name] = mine[name].new_zeros(mine[name].shape)
        widened[name][:, beside : beside + weight.shape[1]] = weight
    return widened
