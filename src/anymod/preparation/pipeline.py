"""From found subjects to a cohort: converted one by one, split, written beside its place and renamed into it."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anymod.cohorts import (
    Cohort,
    Modality,
    Subject,
    check_visits_together,
    default_group,
    draw_folds,
    draw_splits,
    patient_of,
    read_cohort,
    splits_from_list,
    write_cohort,
)
from anymod.cohorts.schema import EXTRA_COLUMNS
from anymod.errors import CohortError, ModalityError
from anymod.executors import STOPPING, Outcomes, for_each_subject, subject_executor
from anymod.files import continued_folder, states_of, write_text
from anymod.preparation.aligning import REGISTRATION, write_table
from anymod.preparation.converting import ConversionTask, ConvertedSubject, convert_subject
from anymod.preparation.folder_source import FoundSubject
from anymod.preparation.white_matter import Method, synthseg_for
from anymod.registration import Kind

SOURCES = "sources.csv"


@dataclass(frozen=True)
class SplitChoice:
    """How subjects are split: by a CSV list, or drawn from a seed into folds or with these fractions of all patients.

    Visits of one patient, by their names, stay together, and each split has each kind of patient, by the images of the first
    visit, in proportion.
    """

    seed: int = 0
    validation: float = 0.15
    test: float = 0.15
    test_subjects: tuple[str, ...] = ()
    list_file: Path | None = None
    folds: int | None = None

    def of(self, found: Sequence[FoundSubject]) -> dict[str, str]:
        """Return the split of each subject."""
        names = [subject.name for subject in found]
        if self.list_file is not None:
            splits = splits_from_list(self.list_file, names)
            check_visits_together(splits, self.list_file)
            return splits
        strata: dict[str, str] = {}
        for subject in found:
            strata.setdefault(patient_of(subject.name), "+".join(sorted(set(subject.files) - set(EXTRA_COLUMNS))))
        asked = tuple(dict.fromkeys(map(patient_of, self.test_subjects)))
        if self.folds is not None:
            drawn = draw_folds(list(strata), self.seed, self.folds, strata)
        else:
            drawn = draw_splits(list(strata), self.seed, self.validation, self.test, asked, strata)
        splits = {name: drawn[patient_of(name)] for name in names}
        unnamed = [name for name in names if splits[name] == "test" and name not in self.test_subjects]
        if self.test_subjects and unnamed:
            why = f"'{unnamed[0]}' is another visit of one of these patients"
            raise CohortError("patient in two splits", "--test-subjects", why, "name all visits of a patient")
        return splits


@dataclass(frozen=True)
class PreparationOptions:
    """What a cohort is made with.

    `resample_to` names the modality whose grid each subject's images are put on; `spacing_mm` makes voxels cubic and turns
    axes to RAS order. With neither, images stay on the grids they came with, which a subject's images must share.
    `register` aligns the other images to that modality's first; `cut_to` names the one outside of whose sector they become
    background. `white_matter` finds it where no tissue map is given. `strict` refuses what is left out or noted otherwise: a subject
    that cannot be used, an alignment or white matter in doubt.
    """

    modalities: tuple[str, ...]
    splits: SplitChoice = field(default_factory=SplitChoice)
    resample_to: str | None = None
    spacing_mm: float | None = None
    register: Kind | None = None
    cut_to: str | None = None
    white_matter: Method | None = None
    strict: bool = False
    workers: int = 1
    scheduler: str | None = None


@dataclass(frozen=True)
class Prepared:
    """The cohort as it was written, and why subjects were left out of it."""

    cohort: Cohort
    left_out: dict[str, str]


def prepare_cohort(
    found: Sequence[FoundSubject],
    options: PreparationOptions,
    out: Path,
    provenance: dict[str, Any],
    *,
    overwrite: bool = False,
) -> Prepared:
    """Write the cohort to `out`; a subject whose files cannot be used is left out, told, and named in `failures.json`.

    A call that was interrupted leaves the subjects that it finished, and the next one for the same files goes on from them.

    Raises:
        AnymodError: No subject can be used (with `strict`: one cannot), the splits cannot be drawn, or `out` cannot be written.
    """
    for option, name in (("--resample-to", options.resample_to), ("--cut-to", options.cut_to)):
        if name is not None and name not in options.modalities:
            why = f"'{name}' has no pattern"
            raise ModalityError("unknown modality", option, why, f"known are {', '.join(options.modalities)}")
    if options.white_matter is not None:  # one way for all subjects, also after an interruption
        way: Method = "estimate" if synthseg_for(options.white_matter) is None else "synthseg"
        options = replace(options, white_matter=way)
    splits = options.splits.of(found)
    sources = [file for subject in found for file in subject.files.values()]
    lists = [file for file in (options.splits.list_file,) if file is not None]
    request = _request(found, options, provenance)
    with (
        subject_executor(options.workers, options.scheduler) as executor,
        continued_folder(out, request, overwrite=overwrite, keep=[*sources, *lists]) as building,
    ):
        outcomes = _convert(found, options, building, executor)
        converted = list(outcomes.results.values())
        _write_sources(building, converted)
        if options.register is not None:
            write_table([row for each in converted for row in each.alignments], building)
        write_cohort(_cohort(building, out.absolute().name, converted, splits, options, provenance), building)
    return Prepared(read_cohort(out), outcomes.reasons())


def _request(found: Sequence[FoundSubject], options: PreparationOptions, provenance: dict[str, Any]) -> dict[str, Any]:
    """Return what shapes the images, with what changes when a source file does."""
    files = {
        subject.name: [
            [column, states_of(file)] for column, file in (*subject.files.items(), *subject.transforms.items())
        ]
        for subject in found
    }
    chosen = [options.modalities, *_shaping(options)]
    return {"files": files, "options": chosen, "provenance": provenance}


def _shaping(options: PreparationOptions) -> tuple[Any, ...]:
    """Return what a ConversionTask is told of the options, in its order."""
    return (
        options.resample_to,
        options.spacing_mm,
        options.register,
        options.cut_to,
        options.white_matter,
        options.strict,
    )


def _convert(
    found: Sequence[FoundSubject], options: PreparationOptions, folder: Path, executor: Executor
) -> Outcomes[ConvertedSubject]:
    """Return the converted subjects and the errors of the others; raise an error that is not the fault of one subject."""
    tasks = {subject.name: ConversionTask(subject, folder, *_shaping(options)) for subject in found}
    outcomes = for_each_subject(executor, convert_subject, tasks, "preparing", stop_on=STOPPING)
    if outcomes.failures and (options.strict or not outcomes.results):
        raise outcomes.error()
    for name in outcomes.failures:
        for place in ("subjects", REGISTRATION):
            shutil.rmtree(folder / place / name, ignore_errors=True)
    outcomes.write_failures(folder)
    return outcomes


def _cohort(
    folder: Path,
    name: str,
    converted: Sequence[ConvertedSubject],
    splits: dict[str, str],
    options: PreparationOptions,
    provenance: dict[str, Any],
) -> Cohort:
    subjects = []
    for each in converted:
        paths = {name: each.files[name] for name in options.modalities if name in each.files}
        extras = {column: each.files.get(column) for column in EXTRA_COLUMNS}
        subjects.append(Subject(each.name, splits[each.name], paths, **extras))
    modalities = tuple(Modality(modality, default_group(modality)) for modality in options.modalities)
    spacing = None if options.spacing_mm is None else (options.spacing_mm,) * 3
    return Cohort(folder, name, modalities, tuple(subjects), spacing, options.resample_to, provenance)


def _write_sources(folder: Path, converted: Sequence[ConvertedSubject]) -> None:
    """Write which file each image came from, with the SHA-256 of its bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["subject", "column", "source", "sha256"])
    for each in converted:
        writer.writerows([each.name, column, file, digest] for column, (file, digest) in each.sources.items())
    write_text(folder / SOURCES, text.getvalue())
