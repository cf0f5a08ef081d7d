"""Standard evaluation protocol: slice the subjects of a cohort, fit the references, score every subject."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from anymod.cohorts import Cohort, Subject
from anymod.core.regression import ReferenceMoments
from anymod.errors import ConfigurationError
from anymod.evaluation.lesions import LesionScore
from anymod.evaluation.options import EvaluationOptions
from anymod.evaluation.scores import Example, Reading, Score, score_subject
from anymod.evaluation.subjects import (
    DEFAULT_TRAINING_SPLIT,
    chosen_subjects,
    in_model_order,
    nothing_to_measure,
    parse_subsets,
    warn_about_training_subjects,
    with_slices,
    without_constants,
)
from anymod.executors import for_each_subject, subject_executor
from anymod.models import ModelDescription, find_model, read_references
from anymod.slices import CacheSettings, SliceCache, build_cache, check_same_slices
from anymod.slices.references import References
from anymod.slices.score_units import ScoreUnits
from anymod.slices.typical import check_remarks, remarks
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
    """The scores of a model on a split and of the lesions there, one example per subject, and on which subjects the references were fitted.

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
    lesions: list[LesionScore] = field(default_factory=list)

    @property
    def spacing_mm(self) -> float:
        """Edge of the voxels that were scored."""
        return self.origin.options.spacing_mm or self.origin.description.spacing_mm


@dataclass(frozen=True)
class Measured(Generic[Result]):
    """Results of a protocol for each subject, and what they were measured with; `fitted_on` says what the references were fitted on."""

    origin: Origin
    results: list[Result]
    fitted_on: str
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
    cache, examples = found.cache, [each.example for each in found.results]
    constants = {} if found.references is None else found.references.units.constants
    return Evaluation(
        scores,
        examples,
        found.origin,
        found.fitted_on,
        dict(zip(cache.modalities, constants, strict=True)),
        {each.example.subject: each.factors for each in found.results},
        {example.subject: cache.fingerprints_of(example.subject) for example in examples},
        [lesion for each in found.results for lesion in each.lesions],
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
    synthesizer.check(options.draws)
    description = synthesizer.description
    known = in_model_order(cohort, description)
    sliced = without_constants(cohort) if references else known
    settings = score_settings(description, options) if references else cache_settings(description)
    chosen, training = chosen_subjects(
        known, options, references=references, training=references or cache_folder is not None
    )
    given = parse_subsets(options.show, description)
    with ExitStack() as stack:
        folder = cache_folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="anymod-")))
        together = list(dict.fromkeys(subject.name for subject in (*training, *chosen)))
        if references:  # the slices of another voxel size, and those of dorent2024, lie beside them
            folder /= f"scores-{settings.spacing_mm:g}mm"
        subjects = [sliced.subject(name) for name in together]
        # The cache of other subjects, such as a run's own, is never overwritten.
        check_same_slices(sliced, subjects, settings, folder)
        cache = build_cache(sliced, subjects, settings, folder, options.workers)
        chosen = with_slices(cache, chosen, together)
        warn_about_training_subjects(cache, chosen, cohort.name, description)
        _compare_with_training_images(cache, chosen, synthesizer, options)
        fitted, fitted_on = None, "no subjects"
        if references and training:
            places = [together.index(each.name) for each in training]
            fitted = References.of(cache, places, [each.kind for each in training])
            fitted_on = f"{len(training)} subjects of split '{options.training_split}' of cohort '{cohort.name}'"
        elif references:
            fitted, fitted_on = _stored(find_model(model), cache)
        if fitted is not None:
            _warn_about_other_kinds(fitted, chosen)
        options = replace(options, device=str(synthesizer.device), backend=synthesizer.backend)
        tasks = []
        for place, subject in ((together.index(each.name), each) for each in chosen):
            alone = replace(sliced, subjects=(sliced.subject(subject.name),))
            tasks.append(_Task(Path(model), digest, options, alone, cache, fitted, given, score, place))
        results = _score_all(tasks, options)
        return Measured(Origin(description, cohort.name, options), results, fitted_on, cache, fitted)


def _stored(model: Path, cache: SliceCache) -> tuple[References, str]:
    """Return the references in a model's folder, or none, and on what they were fitted; the units follow from all slices' subjects."""
    every = range(len(cache.subjects))
    units = ScoreUnits.measured([record.landmarks for record in cache.records], every)
    stored = read_references(model)
    if stored is None:
        text = "no references: the cohort has no subjects of split '%s', and the model's folder stores none (see --training-split)"
        logger.warning(text, DEFAULT_TRAINING_SPLIT)
        return References(units, ReferenceMoments({}, {}, {})), "no subjects"
    logger.info("the cohort has no training subjects: the references are those in the model's folder")
    fitted = stored.fitted()
    count = sum(fitted.subjects.values())
    return References(units, fitted), f"{count} subjects of cohort '{stored.cohort}' (stored with the model)"


def _warn_about_other_kinds(references: References, subjects: Sequence[Subject]) -> None:
    for kind in sorted({subject.kind or "" for subject in subjects} - {""}):
        if references.fitted.moments and not references.fitted.of_kind(kind).sums:
            logger.warning("no training subject is of kind '%s': subjects of this kind have no references", kind)


def _compare_with_training_images(
    cache: SliceCache, subjects: Sequence[Subject], synthesizer: Synthesizer, options: EvaluationOptions
) -> None:
    """Warn about each subject whose images are unlike those of the training, or raise VolumeError with `strict`."""
    records = {record.name: record for record in cache.records}
    for subject in subjects:
        look = records[subject.name].look
        # The slices may hold images that the model does not know.
        found = () if look is None else remarks(look.part(subject.paths), synthesizer.typical)
        if options.draws.strict:
            check_remarks(found, f"subject '{subject.name}'")
        elif found:
            logger.warning("subject %s: unusual images: %s", subject.name, "; ".join(found))


def score_settings(description: ModelDescription, options: EvaluationOptions) -> CacheSettings:
    """Return how images are cut for their scores: all of the foreground, in the voxel size of the options or else that of the model."""
    return CacheSettings(spacing_mm=options.spacing_mm or description.spacing_mm, image_size=None)


def _score_all(tasks: list[_Task], options: EvaluationOptions) -> list[Any]:
    named = {task.cache.subjects[task.subject]: task for task in tasks}
    with subject_executor(options.workers, options.scheduler) as executor:
        return list(for_each_subject(executor, _score, named, "scoring", stop_on=(Exception,)).results.values())


def _score(task: _Task) -> Any:
    options = task.options
    synthesizer = synthesizer_of_process(task.model, options.device, options.backend, task.digest)
    reading = Reading(synthesizer, task.cohort, task.cache, task.references, options.draws, task.given)
    return task.score(reading, task.subject)
