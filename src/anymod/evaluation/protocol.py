"""Standard evaluation protocol: slice the subjects of a cohort, fit the references, score every subject."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from anymod.cohorts import Cohort, Modality, Subject
from anymod.core.regression import TrainingMoments
from anymod.core.subsets import parse_order
from anymod.errors import CohortError, ConfigurationError, ModalityError
from anymod.evaluation.options import EvaluationOptions
from anymod.evaluation.scores import Example, Reading, References, Score, score_subject
from anymod.executors import for_each_subject, subject_executor
from anymod.models import ModelDescription
from anymod.progress import track
from anymod.slices import CacheSettings, SliceCache, build_cache, check_same_slices
from anymod.slices.score_units import ScoreUnits
from anymod.synthesis import Synthesizer, cache_settings
from anymod.synthesis.cohort import model_digest, synthesizer_of_process

logger = logging.getLogger(__name__)

PROTOCOL_VERSION = 2
"""1: the units of each model's own images, on its own slices. 2: units of the cohort, on all of the foreground."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Origin:
    """Model, cohort (its name) and options (with the engine that ran) of an evaluation."""

    description: ModelDescription
    cohort: str
    options: EvaluationOptions

    def facts(self, scores: Sequence[Any]) -> dict[str, Any]:
        """Return the entries that the `summary.json` of every protocol has; `scores` are rows with a subject."""
        return {
            "model_sha256": self.description.weights_sha256,
            "model_fingerprint": self.description.fingerprint(),
            "modalities": list(self.description.names),
            "cohort": self.cohort,
            "split": self.options.split,
            "subjects": len({score.subject for score in scores}),
            "seed": self.options.seed,
            "draws": self.options.draws.draws(),
            "backend": self.options.backend,
        }

    def text(self, scores: Sequence[Any]) -> str:
        """Return one sentence of Markdown with cohort, split, number of subjects and model."""
        facts = self.facts(scores)
        where = f"Cohort `{self.cohort}`, split `{self.options.split}`, {facts['subjects']} subject(s)"
        return f"{where}; model `{self.description.weights_sha256[:12]}`."


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model on a split, one example per subject, and on which subjects the references were fitted.

    `constants` are those of the units of the scores, `factors` says for each subject and target how many units of the model's images one
    unit of the scores is, and `fingerprints` holds the content fingerprints of each subject's images.
    """

    scores: list[Score]
    examples: list[Example]
    origin: Origin
    training: str
    constants: dict[str, float] = field(default_factory=dict)
    factors: dict[str, dict[str, float]] = field(default_factory=dict)
    fingerprints: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def spacing_mm(self) -> float:
        """Edge of the voxels that were scored."""
        return self.origin.options.spacing_mm or self.origin.description.spacing_mm


@dataclass(frozen=True)
class Measured(Generic[Result]):
    """Results of a protocol for each subject, and what they were measured with; `fitted_on` counts the training subjects."""

    origin: Origin
    results: list[Result]
    fitted_on: int
    cache: SliceCache
    references: References | None


@dataclass(frozen=True)
class _Task:
    """One subject (an index) to score; `digest` is that of the model, `options` name the device and the engine in use."""

    model: Path
    digest: str
    options: EvaluationOptions
    cohort: Cohort
    cache: SliceCache
    references: References | None
    given: tuple[tuple[int, ...], ...] | None
    score: Callable[[Reading, int], Any]
    subject: int


def evaluate(
    model: str | Path, cohort: Cohort, options: EvaluationOptions, cache_folder: Path | None = None
) -> Evaluation:
    """Return the scores of a model folder (or bundled model) on a split of a cohort, in units that no model has a part in.

    `cache_folder` keeps the slices for later evaluations; without it they are written to a temporary folder.

    Raises:
        CohortError: The split or the training split is empty, or the cache folder holds the slices of other subjects.
        ConfigurationError: The options name a cluster, and there is no cache folder.
        ModalityError: The model knows none of the images of a subject.
    """
    found = measured(model, cohort, options, score_subject, cache_folder)
    scores = [score for each in found.results for score in each.scores]
    if not scores:
        raise nothing_to_measure(cohort)
    training = f"{found.fitted_on} subjects of split '{options.training_split}' of cohort '{cohort.name}'"
    cache, examples = found.cache, [each.example for each in found.results]
    constants = {} if found.references is None else found.references.units.constants
    return Evaluation(
        scores,
        examples,
        found.origin,
        training,
        dict(zip(cache.modalities, constants, strict=True)),
        {each.example.subject: each.factors for each in found.results},
        {example.subject: cache.fingerprints_of(example.subject) for example in examples},
    )


def measured(
    model: str | Path,
    cohort: Cohort,
    options: EvaluationOptions,
    score: Callable[[Reading, int], Result],
    cache_folder: Path | None = None,
    *,
    references: bool = True,
) -> Measured[Result]:
    """Return the result of `score` for each subject of the split that has slices.

    `score` must be importable by other processes. Without `references` none are fitted, and the slices are those that the model sees.

    Raises ConfigurationError for a cluster without `cache_folder`: its workers cannot read a temporary folder of this machine.
    """
    if options.scheduler is not None and cache_folder is None:
        why = "workers on other machines cannot read the slices in a temporary folder of this machine"
        raise ConfigurationError("no cache", "--scheduler", why, "add --cache DIR, a folder that all machines see")
    digest = model_digest(Path(model))
    synthesizer = Synthesizer.from_folder(model, options.device, options.backend)
    description = synthesizer.description
    known = in_model_order(cohort, description)
    sliced = _without_constants(cohort) if references else known
    settings = score_settings(description, options) if references else cache_settings(description)
    chosen, training = chosen_subjects(
        known, options, references=references, training=references or cache_folder is not None
    )
    given = _parse_subsets(options.show, description)
    with ExitStack() as stack:
        folder = cache_folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="anymod-")))
        together = list(dict.fromkeys(subject.name for subject in (*training, *chosen)))
        if references:  # the slices of another voxel size, and those of dorent2024, lie beside them
            folder /= f"scores-{settings.spacing_mm:g}mm"
        subjects = [sliced.subject(name) for name in together]
        # The cache of other subjects, such as a run's own, is never overwritten.
        check_same_slices(sliced, subjects, settings, folder)
        cache = build_cache(sliced, subjects, settings, folder, options.workers)
        chosen = _with_slices(cache, chosen, together)
        _warn_about_training_subjects(cache, chosen, cohort.name, description)
        fitted = fit_references(cache, [together.index(each.name) for each in training]) if references else None
        options = replace(options, device=str(synthesizer.device), backend=synthesizer.backend)
        tasks = []
        for place, subject in ((together.index(each.name), each) for each in chosen):
            alone = replace(sliced, subjects=(sliced.subject(subject.name),))
            tasks.append(_Task(Path(model), digest, options, alone, cache, fitted, given, score, place))
        results = _score_all(tasks, options)
        return Measured(Origin(description, cohort.name, options), results, len(training), cache, fitted)


def nothing_to_measure(cohort: Cohort) -> CohortError:
    """Return the error to raise if nothing was scored."""
    why = "no subject has all images of a requested subset"
    return CohortError("nothing to measure", cohort.root, why, "choose other subsets")


def _warn_about_training_subjects(
    cache: SliceCache, measured: Sequence[Subject], cohort: str, description: ModelDescription
) -> None:
    """Warn if the model was trained on some of the subjects to measure, for example those of another fold."""
    images = {subject.name: cache.fingerprints_of(subject.name).values() for subject in measured}
    both = description.trained_on(cohort, images)
    if both:
        logger.warning("the model was trained on %d of the measured subjects, for example %s", len(both), both[0])


def _with_slices(cache: SliceCache, measured: Sequence[Subject], order: list[str]) -> tuple[Subject, ...]:
    """Return the subjects with at least one usable slice; warn about each of the others."""
    kept = tuple(subject for subject in measured if len(cache.usable(order.index(subject.name))))
    for subject in measured:
        if subject not in kept:
            logger.warning("subject %s: left out, because no slice has enough foreground", subject.name)
    return kept


def in_model_order(cohort: Cohort, description: ModelDescription) -> Cohort:
    """Return the cohort with the model's modalities in the model's order; warn about modalities that the model does not know."""
    known = {modality.name: modality for modality in cohort.modalities}
    unknown = sorted(set(known) - set(description.names))
    if set(known) == set(unknown):
        why = f"it has {', '.join(known)}"
        raise ModalityError("no known modality", cohort.root, why, f"this model knows {', '.join(description.names)}")
    if unknown:
        logger.warning("left out, because the model does not know them: %s", ", ".join(unknown))
    # The model's own groups and constants, as in synthesis: those of the cohort would scale its images differently.
    modalities = tuple(Modality(each.name, each.group, each.harmonized_median) for each in description.modalities)
    subjects = tuple(
        replace(subject, paths={name: subject.paths[name] for name in description.names if name in subject.paths})
        for subject in cohort.subjects
    )
    return replace(cohort, modalities=modalities, subjects=subjects)


def chosen_subjects(
    cohort: Cohort, options: EvaluationOptions, *, references: bool = True, training: bool = True
) -> tuple[tuple[Subject, ...], tuple[Subject, ...]]:
    """Return (subjects to measure, training subjects, none unless `training`); raise CohortError if a needed split is empty."""
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
        why = f"split '{options.training_split}', on which the references are fitted, is empty"
        raise CohortError("no training subjects", cohort.root, why, "choose another --training-split")
    if references and options.split == options.training_split:
        logger.warning("the references are fitted on the measured subjects, so their scores are too good")
    return measured, fitted_on


def score_settings(description: ModelDescription, options: EvaluationOptions) -> CacheSettings:
    """Return how images are cut for their scores: all of the foreground, in the voxel size that was asked for or that of the model."""
    return CacheSettings(spacing_mm=options.spacing_mm or description.spacing_mm, image_size=None)


def _without_constants(cohort: Cohort) -> Cohort:
    """Return the cohort without constants c_m: whoever writes them for training does not change the units of scores."""
    return replace(cohort, modalities=tuple(replace(each, harmonized_median=None) for each in cohort.modalities))


def fit_references(cache: SliceCache, subjects: Sequence[int]) -> References:
    """Return the units that follow from the training subjects (indices), and the moments over all of their usable slices."""
    landmarks = [record.landmarks for record in cache.records]
    units, moments = ScoreUnits.measured(landmarks, subjects), TrainingMoments(len(cache.modalities))
    for subject in track(subjects, "fitting references", len(subjects)):
        usable, ranges = cache.usable(subject).tolist(), units.ranges(landmarks[subject])
        for place in usable:
            moments.add(*cache.scaled(subject, slice(place, place + 1), ranges))
    return References(units, moments)


def _parse_subsets(show: Sequence[str] | None, description: ModelDescription) -> tuple[tuple[int, ...], ...] | None:
    """Return the positions of each subset's modalities in the user's order; None for all subsets."""
    if show is None:
        return None
    try:
        return tuple(parse_order(name, description.names) for name in show)
    except ValueError as error:
        raise ModalityError(
            "unknown modality", "--show", str(error), f"this model knows {', '.join(description.names)}"
        ) from None


def _score_all(tasks: list[_Task], options: EvaluationOptions) -> list[Any]:
    named = {task.cache.subjects[task.subject]: task for task in tasks}
    with subject_executor(options.workers, options.scheduler) as executor:
        return list(for_each_subject(executor, _score, named, "scoring", stop_on=(Exception,)).results.values())


def _score(task: _Task) -> Any:
    options = task.options
    synthesizer = synthesizer_of_process(task.model, options.device, options.backend, task.digest)
    reading = Reading(synthesizer, task.cohort, task.cache, task.references, options.draws, task.given)
    return task.score(reading, task.subject)
