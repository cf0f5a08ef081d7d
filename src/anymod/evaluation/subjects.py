"""Which subjects, images and subsets of a cohort an evaluation measures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from anymod.cohorts import Cohort, Modality, Subject
from anymod.core.subsets import parse_order
from anymod.errors import CohortError, ModalityError
from anymod.evaluation.options import EvaluationOptions
from anymod.models import ModelDescription
from anymod.slices import SliceCache

DEFAULT_TRAINING_SPLIT = EvaluationOptions().training_split

logger = logging.getLogger(__name__)


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


def without_constants(cohort: Cohort) -> Cohort:
    """Return the cohort without constants c_m: whoever writes them for training does not change the units of scores."""
    return replace(cohort, modalities=tuple(replace(each, harmonized_median=None) for each in cohort.modalities))


def chosen_subjects(
    cohort: Cohort, options: EvaluationOptions, *, references: bool = True, training: bool = True
) -> tuple[tuple[Subject, ...], tuple[Subject, ...]]:
    """Return (subjects to measure, training subjects, none unless `training`); raise CohortError if a named split is empty."""
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
    if references and not fitted_on and options.training_split != DEFAULT_TRAINING_SPLIT:
        why = f"split '{options.training_split}', on which the references are fitted, is empty"
        raise CohortError("no training subjects", cohort.root, why, "choose another --training-split")
    if references and options.split == options.training_split:
        logger.warning("the references are fitted on the measured subjects, so their scores are too good")
    return measured, fitted_on


def parse_subsets(show: Sequence[str] | None, description: ModelDescription) -> tuple[tuple[int, ...], ...] | None:
    """Return the positions of each subset's modalities in the user's order; None for all subsets."""
    if show is None:
        return None
    try:
        return tuple(parse_order(name, description.names) for name in show)
    except ValueError as error:
        raise ModalityError(
            "unknown modality", "--show", str(error), f"this model knows {', '.join(description.names)}"
        ) from None


def warn_about_training_subjects(
    cache: SliceCache, measured: Sequence[Subject], cohort: str, description: ModelDescription
) -> None:
    """Warn if the model was trained on some of the subjects to measure, for example those of another fold."""
    images = {subject.name: cache.fingerprints_of(subject.name).values() for subject in measured}
    both = description.trained_on(cohort, images)
    if both:
        logger.warning("the model was trained on %d of the measured subjects, for example %s", len(both), both[0])


def with_slices(cache: SliceCache, measured: Sequence[Subject], order: list[str]) -> tuple[Subject, ...]:
    """Return the subjects with at least one usable slice; warn about each of the others."""
    kept = tuple(subject for subject in measured if len(cache.usable(order.index(subject.name))))
    for subject in measured:
        if subject not in kept:
            logger.warning("subject %s: left out, because no slice has enough foreground", subject.name)
    return kept


def nothing_to_measure(cohort: Cohort) -> CohortError:
    """Return the error to raise if nothing was scored."""
    why = "no subject has all images of a requested subset"
    return CohortError("nothing to measure", cohort.root, why, "choose other subsets")
