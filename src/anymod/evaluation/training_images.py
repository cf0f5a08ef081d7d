"""What a model folder says of its training images, measured again on a cohort, for folders that do not say it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from anymod.cohorts import Cohort
from anymod.configuration import write_yaml
from anymod.errors import CohortError
from anymod.evaluation.subjects import in_model_order, without_constants
from anymod.folders import staged_folder
from anymod.models import (
    DESCRIPTION,
    StoredReferences,
    copy_model,
    find_model,
    load_model,
    write_references,
)
from anymod.slices import CacheSettings, build_cache
from anymod.slices.questions import FEWEST
from anymod.slices.references import References
from anymod.slices.typical import write_typical


def learn_training_images(
    model: str | Path, cohort: Cohort, out: Path, *, overwrite: bool = False, workers: int = 1
) -> int:
    """Write a copy of a model folder (or bundled model) that knows its training images; return how many subjects it saw.

    It gets what they look like, what the reference predictors need, and their fingerprints. The subjects are those of `cohort` that the
    model was trained on, or else all of its split `train`.

    Raises CohortError where they are too few to compare other images with.
    """
    folder = find_model(model)
    _, description = load_model(folder)  # checks that the folder is complete and unaltered
    trained_on = set(description.training.get("subjects", ()))
    known = without_constants(in_model_order(cohort, description))
    chosen = [subject for subject in known.subjects if subject.name in trained_on] or known.of_split("train")
    if len(chosen) <= FEWEST:
        why = f"it has {len(chosen)} subjects that the model was trained on"
        raise CohortError("too few subjects", cohort.root, why, f"give the training cohort, with more than {FEWEST}")
    settings = CacheSettings(spacing_mm=description.spacing_mm, image_size=None)
    with tempfile.TemporaryDirectory(prefix="anymod-") as cache_folder:
        cache = build_cache(known, chosen, settings, Path(cache_folder), workers)
        references = References.of(cache, range(len(chosen)), [subject.kind for subject in chosen])
    images = {name: set(cache.fingerprints_of(name).values()) for name in cache.subjects}
    for name, before in description.training.get("images", {}).items():  # also of earlier stages
        images.setdefault(name, set()).update(before)
    changed = description.model_copy(
        update={"training": {**description.training, "images": {name: sorted(each) for name, each in images.items()}}}
    )
    with staged_folder(out, overwrite=overwrite, keep=(folder, cohort.root)) as staged:
        copy_model(folder, staged)
        write_yaml(staged / DESCRIPTION, changed.model_dump(mode="json"))
        write_references(staged, StoredReferences.of(cohort.name, references.fitted))
        write_typical(staged, [look for record in cache.records if (look := record.look) is not None])
    return len(chosen)
