"""Building the slice cache of a cohort; a build that stopped continues with the missing subjects."""

from __future__ import annotations

import hashlib
import logging
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from anymod.cohorts.schema import Cohort, Subject
from anymod.configuration import Settings, read_yaml, validate
from anymod.errors import CohortError
from anymod.executors import STOPPING, for_each_subject, subject_executor
from anymod.files import write_json
from anymod.slices.intensities import Anchor
from anymod.slices.model_input import RULE
from anymod.slices.records import ARRAYS, CacheSettings, SubjectSlices
from anymod.slices.slicing import SlicingTask, read_record, slice_subject, slices_key
from anymod.slices.store import SliceCache

INDEX = "index.json"
MOST_CUT_OFF = 0.02  # share of the foreground; a warning is logged above it

logger = logging.getLogger(__name__)


class _Index(Settings):
    """The content of `index.json`."""

    format: int
    anymod: str
    rule: int = 1
    fingerprint: str
    settings: CacheSettings
    modalities: tuple[str, ...]
    harmonized_medians: tuple[float | None, ...]
    subjects: tuple[str, ...]
    splits: tuple[str, ...]


def build_cache(
    cohort: Cohort, subjects: Sequence[Subject], settings: CacheSettings, folder: Path, workers: int = 1
) -> SliceCache:
    """Return the cache of these subjects in `folder`, made where it is not there yet.

    A subject whose files and settings are those of before is not made again; one that fails does not stop the others, and the
    first failure is raised at the end. Constants c_m that `cohort.yaml` does not give are measured on those of the subjects
    that train (on all of them if none does): build training and validation subjects into one cache.
    """
    if not subjects:
        raise CohortError("no subjects", cohort.root, "the chosen splits hold none", "choose other splits")
    tasks = {subject.name: SlicingTask(cohort, subject, settings, folder) for subject in subjects}
    with subject_executor(workers) as executor:
        outcomes = for_each_subject(executor, slice_subject, tasks, "slicing", stop_on=STOPPING)
    if outcomes.failures:
        raise outcomes.error()
    in_order = tuple(outcomes.results.values())
    _warn_of_cut_off(in_order, settings)
    cache = SliceCache(
        folder,
        _fingerprint(record.key for record in in_order),
        settings,
        cohort.modality_names,
        _harmonized_medians(cohort, subjects, in_order),
        tuple(subject.split for subject in subjects),
        in_order,
    )
    _write_index(cache)
    return cache


def check_same_slices(cohort: Cohort, subjects: Sequence[Subject], settings: CacheSettings, folder: Path) -> None:
    """Raise CohortError where `folder` holds the cache of other subjects, splits or files, or an older version's; nothing there is changed.

    Without a cache there is nothing to differ from.
    """
    if not (folder / INDEX).is_file():
        return
    index = _read_index(folder)
    if index.rule != RULE:
        why = f"anymod {index.anymod} made them by an earlier rule"
        raise CohortError("slices of another version", folder, why, "choose another folder")
    names = tuple(subject.name for subject in subjects)
    splits = tuple(subject.split for subject in subjects)
    pairs = {
        "modalities": (index.modalities, cohort.modality_names),
        "subjects": (sorted(index.subjects), sorted(names)),
        "splits": (dict(zip(index.subjects, index.splits, strict=True)), dict(zip(names, splits, strict=True))),
        "subjects' order": (index.subjects, names),
        "harmonized_median": (index.harmonized_medians, _with_given(cohort, index.harmonized_medians)),
    }
    differing = [what for what, (theirs, ours) in pairs.items() if theirs != ours]
    if not differing:
        ours = _fingerprint(slices_key(SlicingTask(cohort, subject, settings, folder)) for subject in subjects)
        differing = [] if ours == index.fingerprint else ["files, settings or groups"]
    if differing:
        why = f"its {differing[0]} differ from those that {folder} was made of"
        raise CohortError("another cohort", cohort.root, why, "give the cohort of before, or choose another folder")


def open_cache(folder: Path) -> SliceCache:
    """Return a cache that `build_cache` made; raise CohortError where there is none or a part of it is missing."""
    index = _read_index(folder)
    records = tuple(read_record(folder / name) for name in index.subjects)
    for record in records:
        for name in ARRAYS:
            if not (folder / record.name / name).is_file():
                raise CohortError("missing file", folder / record.name / name, "it is gone", "build the cache again")
    return SliceCache(
        folder, index.fingerprint, index.settings, index.modalities, index.harmonized_medians, index.splits, records
    )


def _write_index(cache: SliceCache) -> None:
    content = {
        "rule": RULE,
        "fingerprint": cache.fingerprint,
        "settings": cache.settings.model_dump(mode="json"),
        "modalities": cache.modalities,
        "harmonized_medians": cache.harmonized_medians,
        "subjects": cache.subjects,
        "splits": cache.splits,
    }
    write_json(cache.folder / INDEX, content)


def _read_index(folder: Path) -> _Index:
    return validate(_Index, read_yaml(folder / INDEX, error=CohortError), folder / INDEX, error=CohortError)


def _fingerprint(keys: Iterable[str]) -> str:
    return hashlib.sha256("".join(keys).encode()).hexdigest()


def _warn_of_cut_off(records: Sequence[SubjectSlices], settings: CacheSettings) -> None:
    for record in records:
        if record.cut_off > MOST_CUT_OFF and settings.image_size is not None:
            text = "subject %s: %.0f %% of the foreground lies outside slices of %d x %d voxels; enlarge image_size"
            logger.warning(text, record.name, 100 * record.cut_off, *settings.image_size)


def _harmonized_medians(
    cohort: Cohort, subjects: Sequence[Subject], records: Sequence[SubjectSlices]
) -> tuple[float | None, ...]:
    """Return c_m for each modality: the cohort's own, else the median share over the training subjects (method, section 9).

    The share is white matter's where targets are harmonized, else the core's. None where no subject has either of that modality.
    """
    training = [record for record, subject in zip(records, subjects, strict=True) if subject.split == "train"]
    medians: list[float | None] = []
    for position, modality in enumerate(cohort.modalities):
        known = [_anchor(record, position) for record in training or records]
        shares = [anchor.share for anchor in known if anchor is not None]
        measured = statistics.median(shares) if shares else None
        harmonized = any(_anchor(record, position) is not None for record in records)
        medians.append((modality.harmonized_median or measured) if harmonized else None)
    return tuple(medians)


def _with_given(cohort: Cohort, medians: tuple[float | None, ...]) -> tuple[float | None, ...]:
    """Return the constants c_m, replaced by those that the cohort gives; None stays None."""
    if len(medians) != len(cohort.modalities):
        return medians
    pairs = zip(medians, cohort.modalities, strict=True)
    return tuple(None if median is None else modality.harmonized_median or median for median, modality in pairs)


def _anchor(record: SubjectSlices, modality: int) -> Anchor | None:
    scale = record.scales[modality]
    return record.white_matter[modality] or (None if scale is None else scale.core)
