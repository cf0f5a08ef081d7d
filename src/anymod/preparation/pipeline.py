"""Preparation of a cohort from found subjects: converted one by one, split and checked, in a folder that is renamed when it is complete."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anymod.cohorts import Cohort, Modality, Subject, default_group, read_cohort, write_cohort
from anymod.cohorts.patients import possible_visits
from anymod.cohorts.schema import EXTRA_COLUMNS
from anymod.errors import ConfigurationError, ModalityError
from anymod.executors import STOPPING, Outcomes, for_each_subject, subject_executor
from anymod.files import states_of, write_text
from anymod.folders import continued_folder
from anymod.preparation.aligning import REGISTRATION, write_table
from anymod.preparation.checking import check_cohort
from anymod.preparation.converting import ConversionTask, ConvertedSubject, convert_subject
from anymod.preparation.findings import CheckReport, text_table
from anymod.preparation.folder_source import FoundSubject, patients_in
from anymod.preparation.html_report import write_report
from anymod.preparation.options import PreparationOptions, WhiteMatter
from anymod.preparation.white_matter import synthseg_for

SOURCES = "sources.csv"


@dataclass(frozen=True)
class Prepared:
    """A prepared cohort: the subjects that were found, why some were left out, what its check found, and a line for each file not used."""

    cohort: Cohort
    found: tuple[FoundSubject, ...]
    left_out: dict[str, str]
    report: CheckReport
    notes: tuple[str, ...] = ()

    def table(self) -> str:
        """Return one line per subject: its split, the columns that were found, and the modalities that are missing."""
        rows: list[tuple[str, ...]] = [("subject", "split", "found", "missing")]
        names = self.cohort.modality_names
        for subject in self.found:
            there = [column for column in (*names, *EXTRA_COLUMNS) if column in subject.files]
            missing = [name for name in names if name not in subject.files]
            left_out = subject.name in self.left_out
            split = "left out" if left_out else self.cohort.subject(subject.name).split
            rows.append((subject.name, split, " ".join(there), " ".join(missing) or "-"))
        return text_table(rows)


@dataclass(frozen=True)
class Plan:
    """What to do: the subjects, the options, the split, patient and kind of each, and everything that determines the images."""

    found: tuple[FoundSubject, ...]
    options: PreparationOptions
    provenance: dict[str, Any]
    people: dict[str, tuple[str, str, str | None]]
    request: dict[str, Any]

    @classmethod
    def of(cls, found: Sequence[FoundSubject], options: PreparationOptions, provenance: dict[str, Any]) -> Plan:
        """Return the plan; raise an AnymodError if options contradict one another or the splits cannot be drawn."""
        _check(options)
        if options.white_matter is not None:  # one method for all subjects, also after an interruption
            method: WhiteMatter = "estimate" if synthseg_for(options.white_matter) is None else "synthseg"
            options = replace(options, white_matter=method)
        splits, patients, kinds = options.splits.of(found), patients_in(found), options.splits.kinds()
        people = {name: (split, patients[name], kinds.get(name)) for name, split in splits.items()}
        return cls(tuple(found), options, provenance, people, _request(found, options, provenance))

    @property
    def keep(self) -> list[Path]:
        """Files that no result may replace."""
        lists = [file for file in (self.options.splits.list_file,) if file is not None]
        return [*(file for subject in self.found for file in subject.files.values()), *lists]


def prepare_cohort(
    found: Sequence[FoundSubject],
    options: PreparationOptions,
    out: Path,
    provenance: dict[str, Any],
    *,
    overwrite: bool = False,
) -> Prepared:
    """Write the cohort to `out`; a subject whose files cannot be used is left out, with a warning and a line in `failures.json`.

    An interrupted call keeps the subjects that it has finished, and the next call for the same files continues from there.

    Raises:
        AnymodError: No subject can be used (with `strict`: one cannot), the splits cannot be drawn, or `out` cannot be written.
    """
    plan = Plan.of(found, options, provenance)
    with continued_folder(out, plan.request, overwrite=overwrite, keep=plan.keep) as building:
        with subject_executor(options.workers, options.scheduler) as executor:
            outcomes = convert_subjects(plan, plan.found, building, executor)
        if outcomes.failures and not outcomes.results:
            raise outcomes.error()
        report = write_prepared(plan, building, out.absolute().name, list(outcomes.results.values()))
    return prepared_cohort(plan, out, outcomes.reasons(), report)


def write_prepared(plan: Plan, folder: Path, name: str, converted: Sequence[ConvertedSubject]) -> CheckReport:
    """Write the tables of a cohort and the report of its check into the folder that has its images; return what was found."""
    _write_sources(folder, converted)
    if plan.options.register is not None:
        write_table([row for each in converted for row in each.alignments], folder)
    write_cohort(_cohort(folder, name, converted, plan), folder)
    report = check_cohort(folder, plan.options.workers, plan.options.scheduler)
    write_report(report, folder)
    return report


def prepared_cohort(plan: Plan, out: Path, left_out: dict[str, str], report: CheckReport) -> Prepared:
    """Return the cohort in `out` with what there is to say about it."""
    cohort = read_cohort(out)
    notes = (f"groups: {cohort.groups}; change them in cohort.yaml if they are wrong", *_notes_on_visits(plan.found))
    return Prepared(cohort, plan.found, left_out, report, notes)


def _notes_on_visits(found: Sequence[FoundSubject]) -> list[str]:
    """Return a line about the visits that were kept together, and one about names that may be visits."""
    patients = patients_in(found)
    visits: dict[str, list[str]] = {}
    for name, patient in patients.items():
        visits.setdefault(patient, []).append(name)
    several = [names for names in visits.values() if len(names) > 1]
    notes = []
    if several:
        what = "patient has" if len(several) == 1 else "patients have"
        notes.append(f"{len(several)} {what} several visits, kept in one split, such as {' and '.join(several[0][:2])}")
    doubtful = possible_visits({} if any(each.patient for each in found) else patients)
    if doubtful:
        pair = " and ".join(doubtful[:2])
        notes.append(f"{pair} may be visits of one patient: give --patient-from if so, such as '{{patient}}_*'")
    return notes


def _check(options: PreparationOptions) -> None:
    """Raise ModalityError if an option names an unknown modality, ConfigurationError if one is missing that another needs."""
    for option, name in (("--resample-to", options.resample_to), ("--cut-to", options.cut_to)):
        if name is not None and name not in options.modalities:
            why = f"'{name}' has no pattern"
            raise ModalityError("unknown modality", option, why, f"known are {', '.join(options.modalities)}")
    for option, given in (("--register", options.register), ("--cut-to", options.cut_to)):
        if given is not None and options.resample_to is None:
            why = "it needs --resample-to, the image on whose grid the others are put"
            raise ConfigurationError("missing option", option, why, "add --resample-to")


def _request(found: Sequence[FoundSubject], options: PreparationOptions, provenance: dict[str, Any]) -> dict[str, Any]:
    """Return everything that determines the images: the options, and the state of every source file."""
    files = {
        subject.name: [
            [column, states_of(file)] for column, file in (*subject.files.items(), *subject.transforms.items())
        ]
        for subject in found
    }
    names = ("modalities", "resample_to", "spacing_mm", "register", "cut_to", "white_matter", "strict")
    return {"files": files, "options": [getattr(options, name) for name in names], "provenance": provenance}


def convert_subjects(
    plan: Plan, found: Sequence[FoundSubject], folder: Path, executor: Executor
) -> Outcomes[ConvertedSubject]:
    """Return the converted subjects and the errors of the others; raise an error that is not the fault of one subject."""
    tasks = {subject.name: ConversionTask(subject, folder, plan.options) for subject in found}
    outcomes = for_each_subject(executor, convert_subject, tasks, "preparing", stop_on=STOPPING)
    if outcomes.failures and plan.options.strict:
        raise outcomes.error()
    for name in outcomes.failures:
        for place in ("subjects", REGISTRATION):
            shutil.rmtree(folder / place / name, ignore_errors=True)
    outcomes.write_failures(folder)
    return outcomes


def _cohort(folder: Path, name: str, converted: Sequence[ConvertedSubject], plan: Plan) -> Cohort:
    """Return the cohort of the converted subjects."""
    options, subjects = plan.options, []
    for each in converted:
        paths = {name: each.files[name] for name in options.modalities if name in each.files}
        extras = {column: each.files.get(column) for column in EXTRA_COLUMNS}
        split, patient, kind = plan.people[each.name]
        subjects.append(Subject(each.name, split, paths, **extras, patient=patient, kind=kind))
    modalities = tuple(Modality(modality, default_group(modality)) for modality in options.modalities)
    spacing = None if options.spacing_mm is None else (options.spacing_mm,) * 3
    return Cohort(folder, name, modalities, tuple(subjects), spacing, options.resample_to, plan.provenance)


def _write_sources(folder: Path, converted: Sequence[ConvertedSubject]) -> None:
    """Write the source file of each image, with its SHA-256."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["subject", "column", "source", "sha256"])
    for each in converted:
        writer.writerows([each.name, column, file, digest] for column, (file, digest) in each.sources.items())
    write_text(folder / SOURCES, text.getvalue())
