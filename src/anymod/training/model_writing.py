"""The model folder that a training writes: description and card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anymod import __version__
from anymod.cohorts import Cohort
from anymod.models import (
    ModelDescription,
    ModelModality,
    Network,
    StoredReferences,
    save_model,
    write_references,
)
from anymod.slices import SliceCache
from anymod.slices.references import References
from anymod.slices.typical import write_typical
from anymod.training.recipe import Recipe


@dataclass(frozen=True)
class FinishedTraining:
    """Facts about a training for the model folder.

    `references` are fitted on the training subjects; `started_from` is the SHA-256 of the initial weights, None for random ones, and
    `seen_before` has the fingerprints of the images that these were trained on, by subject.
    """

    recipe: Recipe
    cohort: Cohort
    cache: SliceCache
    references: References
    steps: int
    started_from: str | None
    seen_before: Mapping[str, Sequence[str]]


def write_model(folder: Path, model: Network, finished: FinishedTraining) -> None:
    """Write the folder that `--model` takes. Hidden targets come in raw units of the median range over the training subjects."""
    recipe, cohort, cache = finished.recipe, finished.cohort, finished.cache
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
        "images": _images_seen(cache, finished.seen_before),
        "steps": finished.steps,
        "started_from": finished.started_from,
        "objective": {**recipe.objective.model_dump(mode="json"), **recipe.model.objective.model_dump(mode="json")},
        "seed": recipe.training.seed,
    }
    description = ModelDescription(
        anymod=__version__,
        architecture=recipe.model.architecture,
        settings=recipe.model.settings.model_dump(mode="json"),
        modalities=modalities,
        spacing_mm=recipe.data.spacing_mm,
        image_size=recipe.model.settings.image_size,
        slice_axis=recipe.data.slice_axis,
        intensity=recipe.data.intensity,
        targets=recipe.data.targets,
        training=training,
    )
    write_typical(folder, [look for index in train if (look := cache.records[index].look) is not None])
    write_references(folder, StoredReferences.of(cohort.name, finished.references.fitted))
    save_model(folder, model, description, card(description, len(train)), half=recipe.training.half_weights)


def _images_seen(cache: SliceCache, before: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the fingerprints of all images that the weights were trained on, also before this training, by subject."""
    names = [cache.subjects[index] for index in cache.of_split("train")]
    now = {name: set(cache.fingerprints_of(name).values()) for name in names}
    return {name: sorted(now.get(name, set()) | set(before.get(name, ()))) for name in dict.fromkeys((*now, *before))}


def card(description: ModelDescription, subjects: int) -> str:
    """Return the model card: intended use, training data, limits."""
    names = ", ".join(description.names)
    return f"""# Model card

Synthesizes any of {names} from any non-empty subset of them ({description.architecture}, anymod {description.anymod}).

- **Trained on**: cohort "{description.training["cohort"]}", {subjects} subjects, {description.training["steps"]} steps; slices at
  {description.spacing_mm:g} mm. The cohort's fingerprint and the subjects' names are in `model.yaml`.
- **Intended use**: research. Not a medical device; a synthetic image is an estimate and can miss or invent pathology.
- **Input**: volumes of one subject on one grid, prepared like the training images (same skull stripping, for example).
- **Limits**: untested on scanners, populations and diseases outside the cohort. The standard deviation of samples is not a calibrated
  uncertainty; it is too small by design, because the posterior of any subset is trained to match that of all images.
"""
