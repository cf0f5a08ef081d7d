"""The standard protocol: a cohort's subjects cut into slices, references fitted, every subject scored, a report written."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from anymod.cohorts import Cohort, Modality, Subject
from anymod.core.subsets import as_mask, parse_order
from anymod.engines import Backend
from anymod.errors import CohortError, ModalityError
from anymod.evaluation.options import EvaluationOptions
from anymod.evaluation.regression import TrainingMoments
from anymod.evaluation.scores import Example, Reading, Score, score_subject
from anymod.executors import completed, subject_executor
from anymod.models import ModelDescription
from anymod.progress import track
from anymod.slices import CacheSettings, SliceCache, build_cache, check_same_slices
from anymod.synthesis import SynthesisOptions, Synthesizer, slices_at_once

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model on a split, examples to look at, and where everything came from."""

    scores: list[Score]
    examples: list[Example]
    description: ModelDescription
    cohort: str
    split: str
    training: str
    """Where the references were fitted, in words."""
    seed: int
    draws: SynthesisOptions
    backend: Backend = "torch"


@dataclass(frozen=True)
class _Task:
    model: Path
    device: str
    backend: Backend
    cache: SliceCache
    moments: TrainingMoments
    draws: SynthesisOptions
    given: tuple[tuple[int, ...], ...] | None
    score: Callable[[Reading, int], Any]
    subject: int


def evaluate(
    model: str | Path, cohort: Cohort, options: EvaluationOptions, cache_folder: Path | None = None
) -> Evaluation:
    """Return the scores of a model folder (or bundled name) on the split of a cohort, in the model's grid.

    `cache_folder` keeps the slices for another time; without one they are made in a temporary folder.

    Raises CohortError where the split or the training split is empty or the cache is that of others, ModalityError where the model knows
    nothing of a subject.
    """
    description, backend, results, fitted_on = measured(model, cohort, options, score_subject, cache_folder)
    scores = [score for each, _ in results for score in each]
    if not scores:
        raise nothing_to_measure(cohort)
    fitted = f"{fitted_on} subjects of split '{options.training_split}' of cohort '{cohort.name}'"
    examples = [example for _, example in results]
    return Evaluation(
        scores, examples, description, cohort.name, options.split, fitted, options.seed, options.draws, backend
    )


def measured(
    model: str | Path,
    cohort: Cohort,
    options: EvaluationOptions,
    score: Callable[[Reading, int], Result],
    cache_folder: Path | None = None,
    *,
    references: bool = True,
) -> tuple[ModelDescription, Backend, list[Result], int]:
    """Return the model's description, what ran it, what `score` makes of each subject of the split that has slices, and on how many
    subjects the references were fitted. `score` is a function of a module: other processes run it.
    """
    synthesizer = Synthesizer.from_folder(model, options.device, options.backend)
    description = synthesizer.description
    cohort = in_model_order(cohort, description)
    chosen, training = chosen_subjects(
        cohort, options, references=references, training=references or cache_folder is not None
    )
    _warn_of_trained_on(chosen, cohort.name, description)
    given = _parse_subsets(options.show, description)
    with ExitStack() as stack:
        folder = cache_folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="anymod-")))
        together = list(dict.fromkeys(subject.name for subject in (*training, *chosen)))
        subjects, settings = [cohort.subject(name) for name in together], cache_settings(description)
        check_same_slices(cohort, subjects, settings, folder)  # a cache of others, such as a run's own, stays as it is
        cache = build_cache(cohort, subjects, settings, folder, options.workers)
        chosen = _with_slices(cache, chosen, together)
        moments = fit_references(cache, [together.index(each.name) for each in training] if references else [])
        device, backend = str(synthesizer.device), synthesizer.backend
        tasks = [
            _Task(
                Path(model), device, backend, cache, moments, options.draws, given, score, together.index(subject.name)
            )
            for subject in chosen
        ]
        return description, backend, _score_all(tasks, options), len(training)


def nothing_to_measure(cohort: Cohort) -> CohortError:
    """Return what to raise where nothing was scored."""
    why = "no subject shows what was asked for"
    return CohortError("nothing to measure", cohort.root, why, "choose other subsets")


def _warn_of_trained_on(measured: Sequence[Subject], cohort: str, description: ModelDescription) -> None:
    """Warn where the model was trained on subjects of this cohort that it is measured on, such as those of another fold."""
    training = description.training
    known = set(training.get("subjects", ())) if training.get("cohort") == cohort else set()
    both = [subject.name for subject in measured if subject.name in known]
    if both:
        logger.warning("the model was trained on %d of the subjects it is measured on, such as %s", len(both), both[0])


def _with_slices(cache: SliceCache, measured: Sequence[Subject], order: list[str]) -> tuple[Subject, ...]:
    """Return the subjects that have a slice to measure on; the others are left out, with a warning."""
    kept = tuple(subject for subject in measured if len(cache.usable(order.index(subject.name))))
    for subject in measured:
        if subject not in kept:
            logger.warning("left out, as no slice of it has enough foreground: %s", subject.name)
    return kept


def in_model_order(cohort: Cohort, description: ModelDescription) -> Cohort:
    """Return the cohort with the model's modalities in the model's order; what the model does not know is left out, with a warning."""
    known = {modality.name: modality for modality in cohort.modalities}
    unknown = sorted(set(known) - set(description.names))
    if set(known) == set(unknown):
        why = f"it has {', '.join(known)}"
        raise ModalityError("no known modality", cohort.root, why, f"this model knows {', '.join(description.names)}")
    if unknown:
        logger.warning("left out, as the model does not know them: %s", ", ".join(unknown))
    # The model's own groups and constants, as in synthesis: a cohort's would put its images on another scale.
    modalities = tuple(Modality(each.name, each.group, each.harmonized_median) for each in description.modalities)
    subjects = tuple(
        replace(subject, paths={name: subject.paths[name] for name in description.names if name in subject.paths})
        for subject in cohort.subjects
    )
    return replace(cohort, modalities=modalities, subjects=subjects)


def chosen_subjects(
    cohort: Cohort, options: EvaluationOptions, *, references: bool = True, training: bool = True
) -> tuple[tuple[Subject, ...], tuple[Subject, ...]]:
    """Return (subjects to measure, subjects of the training split, if asked for); raise CohortError where one is empty that is needed."""
    measured = cohort.of_split(options.split)
    if not measured:
        raise CohortError("no subjects", cohort.root, f"split '{options.split}' is empty", "choose another --split")
    for subject in measured:
        if not subject.paths:
            where = f"subject '{subject.name}'"
            raise ModalityError("no known modality", where, "the model knows none of its images", "leave it out")
    if not training:
        return measured, ()
    fitted_on = tuple(subject for subject in cohort.of_split(options.training_split) if subject.paths)
    if references and not fitted_on:
        why = f"split '{options.training_split}' is empty, and the references are fitted on it"
        raise CohortError("no training subjects", cohort.root, why, "choose another --training-split")
    if references and options.split == options.training_split:
        logger.warning("the references are fitted on the subjects that are measured, which flatters them")
    return measured, fitted_on


def cache_settings(description: ModelDescription) -> CacheSettings:
    """Return how a model's slices are cut and scaled."""
    return CacheSettings(
        spacing_mm=description.spacing_mm,
        orientation=description.orientation,
        image_size=description.image_size,
        intensity=description.intensity,
        targets=description.targets,
    )


def fit_references(cache: SliceCache, subjects: Sequence[int]) -> TrainingMoments:
    """Return the moments of the training subjects (indices), over all their usable slices."""
    moments = TrainingMoments(len(cache.modalities))
    height, width = cache.settings.image_size
    size = 4 * slices_at_once(height * width)
    for subject in track(subjects, "fitting references", len(subjects)):
        slices = cache.usable(subject)
        for start in range(0, len(slices), size):
            chunk = slices[start : start + size]
            moments.add(cache.read([subject] * len(chunk), chunk, 0))
    return moments


def _parse_subsets(show: Sequence[str] | None, description: ModelDescription) -> tuple[tuple[int, ...], ...] | None:
    """Return the positions of each subset's modalities, in the order in which they are named."""
    if show is None:
        return None
    try:
        return tuple(parse_order(name, description.names) for name in show)
    except ValueError as error:
        raise ModalityError(
            "unknown modality", "--show", str(error), f"this model knows {', '.join(description.names)}"
        ) from None


def _score_all(tasks: list[_Task], options: EvaluationOptions) -> list[Any]:
    results = {}
    with subject_executor(options.workers, options.scheduler) as executor:
        for task, result in track(completed(executor, _score, tasks), "scoring", len(tasks)):
            if isinstance(result, Exception):
                raise result
            results[task.subject] = result
    return [results[task.subject] for task in tasks]


def _score(task: _Task) -> Any:
    synthesizer = _synthesizer(task.model, task.device, task.backend)
    subsets = None
    if task.given is not None:
        names = range(len(task.cache.modalities))
        subsets = tuple(as_mask([place in order for place in names]) for order in task.given)
    model, device = synthesizer.model, synthesizer.device
    reading = Reading(model, task.cache, task.moments, task.draws, subsets, task.given, device)
    return task.score(reading, task.subject)


@lru_cache(maxsize=1)
def _synthesizer(model: Path, device: str, backend: Backend) -> Synthesizer:
    """Return the model of this process: loaded once, not once a subject."""
    return Synthesizer.from_folder(model, device, backend)
