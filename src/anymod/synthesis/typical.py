"""What a model's training images look like, measured again on a cohort, for model folders that do not say it."""

from __future__ import annotations

import shutil
from pathlib import Path

from anymod.cohorts import Cohort, Subject, read_subject_images
from anymod.errors import CohortError
from anymod.executors import for_each_subject, subject_executor
from anymod.folders import staged_folder
from anymod.models import CARD, DESCRIPTION, REFERENCES, WEIGHTS, find_model, load_model
from anymod.slices.looks import Look
from anymod.slices.questions import FEWEST
from anymod.slices.typical import write_typical


def learn_typical(model: str | Path, cohort: Cohort, out: Path, *, overwrite: bool = False, workers: int = 1) -> int:
    """Write a copy of a model folder (or bundled model) that says what its training images look like; return how many subjects it saw.

    These are the subjects of `cohort` that the model was trained on, or else all of its split `train`.

    Raises CohortError where they are too few to compare other images with.
    """
    folder = find_model(model)
    _, description = load_model(folder)  # checks that the folder is complete and unaltered
    trained_on = set(description.training.get("subjects", ()))
    known = [subject for subject in cohort.subjects if subject.name in trained_on] or cohort.of_split("train")
    chosen = {subject.name: (cohort, subject, description.names) for subject in known}
    if len(chosen) <= FEWEST:
        why = f"it has {len(chosen)} subjects that the model was trained on"
        raise CohortError("too few subjects", cohort.root, why, f"give the training cohort, with more than {FEWEST}")
    with subject_executor(workers) as executor:
        outcomes = for_each_subject(executor, _look, chosen, "looking", stop_on=(Exception,))
    with staged_folder(out, overwrite=overwrite, keep=(folder, cohort.root)) as staged:
        for name in (WEIGHTS, CARD, DESCRIPTION, REFERENCES):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, staged / name)
        write_typical(staged, list(outcomes.results.values()))
    return len(chosen)


def _look(task: tuple[Cohort, Subject, tuple[str, ...]]) -> Look:
    """Return the look of those images of a subject that the model knows."""
    cohort, subject, names = task
    return Look.of(read_subject_images(cohort, subject)).part(names)
