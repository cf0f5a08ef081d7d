"""From a run to a model folder: description and card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from anymod import __version__
from anymod.cohorts import Cohort
from anymod.models import ModelDescription, ModelModality, UnifiedModel, save_model
from anymod.slices import SliceCache
from anymod.training.recipe import Recipe


@dataclass(frozen=True)
class Shipment:
    """What a model folder tells of its training; `started_from` is the SHA-256 of the weights it began with, None for random ones."""

    recipe: Recipe
    cohort: Cohort
    cache: SliceCache
    steps: int
    started_from: str | None


def write_model(folder: Path, model: UnifiedModel, shipment: Shipment) -> None:
    """Write the folder that `--model` takes; raw units of a hidden target are the training subjects' median range."""
    recipe, cohort, cache = shipment.recipe, shipment.cohort, shipment.cache
    train = cache.of_split("train")
    ranges = cache.typical_ranges(train)
    backgrounds = cache.typical_backgrounds(train)
    modalities = tuple(
        ModelModality(
            name=modality.name,
            group=modality.group,
            low=ranges[modality.name].low,
            high=ranges[modality.name].high,
            background=backgrounds[modality.name],
            harmonized_median=cache.harmonized_medians[place],
        )
        for place, modality in enumerate(cohort.modalities)
    )
    training = {
        "cohort": cohort.name,
        "fingerprint": cache.fingerprint,
        "subjects": [cache.subjects[index] for index in train],
        "steps": shipment.steps,
        "started_from": shipment.started_from,
        "objective": recipe.objective.model_dump(mode="json"),
        "seed": recipe.training.seed,
    }
    description = ModelDescription(
        anymod=__version__,
        architecture=recipe.model.architecture,
        settings=recipe.model.settings.model_dump(mode="json"),
        modalities=modalities,
        spacing_mm=recipe.data.spacing_mm,
        image_size=recipe.model.settings.image_size,
        intensity=recipe.data.intensity,
        targets=recipe.data.targets,
        training=training,
    )
    save_model(folder, model, description, card(description, len(train)))


def card(description: ModelDescription, subjects: int) -> str:
    """Return the model card: what it is for, what it has seen, what it cannot do."""
    names = ", ".join(description.names)
    return f"""# Model card

Synthesizes any of {names} from any non-empty subset of them ({description.architecture}, anymod {description.anymod}).

- **Trained on**: cohort "{description.training["cohort"]}", {subjects} subjects, {description.training["steps"]} steps; slices at
  {description.spacing_mm:g} mm. The cohort's fingerprint and the subjects' names are in `model.yaml`.
- **Intended use**: research. Not a medical device; a synthetic image is an estimate and can miss or invent pathology.
- **Input**: volumes of one subject on one grid, prepared like the training images (same skull stripping, for example).
- **Limits**: nothing is known of scanners, populations or diseases that the cohort does not hold. The spread of samples is no
  calibrated uncertainty (too small by design, as its posterior aims at that of all images).
"""
