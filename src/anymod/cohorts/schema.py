"""Cohorts: modalities, subjects with their files, and the rules that they must satisfy."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anymod.cohorts.patients import patients_of
from anymod.configuration import nearest
from anymod.errors import CohortError, ModalityError
from anymod.files import confined
from anymod.volumes.reading import image_fingerprint

SPLITS = ("train", "validation", "test")
KEY_COLUMNS = ("subject", "split")
EXTRA_COLUMNS = ("mask", "label", "tissue")
"""Optional maps of a subject: foreground, labels to segment, FreeSurfer tissue labels."""
DETAIL_COLUMNS = ("patient", "kind")  # optional, one name each; written only if a subject has one

MOST_LISTED = 40  # names in a message
ULTRASOUND = re.compile(r"(.*[_-])?((3d)?i?o?us\d*|.*ultra-?sound|b-?mode|usg|sonography)([_-].*)?", re.IGNORECASE)
MODALITY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
SUBJECT_NAME = re.compile(r"\w([\w .-]{0,62}[\w-])?")


@dataclass(frozen=True)
class Modality:
    """One kind of image.

    Modalities of one `group` (`mr`, `us`) are drawn together. `harmonized_median` is the constant c_m in (0, 1) to which the median of
    white matter is mapped in a harmonized target, and the median of the core if a recipe scales by it (method, section 9); None if it
    must be measured.
    """

    name: str
    group: str
    harmonized_median: float | None = None


@dataclass(frozen=True)
class Subject:
    """One patient or visit; `paths` maps each observed modality to its file, relative to the cohort's folder.

    `patient` is the person if the table says so; None if only the name does (`Cohort.patients`). `kind` says how the images were made,
    such as `stripped` or `head`; None if unknown.
    """

    name: str
    split: str
    paths: dict[str, str]
    mask: str | None = None
    label: str | None = None
    tissue: str | None = None
    patient: str | None = None
    kind: str | None = None

    @property
    def observed(self) -> tuple[str, ...]:
        """Modalities of the subject, in the table's order."""
        return tuple(self.paths)

    @property
    def files(self) -> dict[str, str]:
        """All files of the subject by column: the observed modalities, then mask, label and tissue if present."""
        extras = {column: getattr(self, column) for column in EXTRA_COLUMNS}
        return {**self.paths, **{column: path for column, path in extras.items() if path is not None}}


@dataclass(frozen=True)
class Cohort:
    """Many subjects in one folder.

    `spacing_mm` is the spacing of all images after resampling and `reference` the modality whose grid the others were resampled to; None
    if the images keep their original grids.
    """

    root: Path
    name: str
    modalities: tuple[Modality, ...]
    subjects: tuple[Subject, ...]
    spacing_mm: tuple[float, float, float] | None = None
    reference: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def groups(self) -> str:
        """Groups and their modalities, such as `us (US), mr (t1, t2)`."""
        members: dict[str, list[str]] = {}
        for modality in self.modalities:
            members.setdefault(modality.group, []).append(modality.name)
        return ", ".join(f"{group} ({', '.join(names)})" for group, names in members.items())

    @property
    def modality_names(self) -> tuple[str, ...]:
        """Names of the modalities, in the cohort's order."""
        return tuple(modality.name for modality in self.modalities)

    @property
    def patients(self) -> dict[str, str]:
        """Patient of each subject: that of the table, or else the one that its name suggests."""
        guessed = patients_of(subject.name for subject in self.subjects)
        return {subject.name: subject.patient or guessed[subject.name] for subject in self.subjects}

    def path(self, subject: Subject, column: str) -> Path:
        """Return the file of one of the subject's modalities (or mask, label, tissue); raise CohortError if there is none."""
        if column not in subject.files:
            raise CohortError(
                "image not observed", f"subject '{subject.name}'", f"it has no {column}", "choose one of its images"
            )
        return confined(self.root, subject.files[column], error=CohortError)

    def subject(self, name: str) -> Subject:
        """Return the subject with this name, or raise a CohortError that suggests the most similar name."""
        for subject in self.subjects:
            if subject.name == name:
                return subject
        names = [subject.name for subject in self.subjects]
        raise CohortError("unknown subject", self.root, f"'{name}' is not in the table", nearest(name, names))

    def modality(self, name: str) -> Modality:
        """Return the modality with this name, or raise a ModalityError that suggests the most similar name."""
        for modality in self.modalities:
            if modality.name == name:
                return modality
        remedy = nearest(name, self.modality_names)
        raise ModalityError("unknown modality", self.root, f"'{name}' is not in cohort.yaml", remedy)

    def of_split(self, *splits: str) -> tuple[Subject, ...]:
        """Return the subjects in any of these splits, in the table's order; empty if there are none."""
        for split in splits:
            check_split(split, self.root)
        return tuple(subject for subject in self.subjects if subject.split in splits)

    def held_out(self, fold: int) -> Cohort:
        """Return the cohort with one fold as the test split and all other folds as the training split.

        Subjects that are in no fold keep their split, except those in the test split: they are left out and kept for the final test.

        Raises CohortError if no subject is in this fold, or none in any other.
        """
        folds = {subject.split for subject in self.subjects} - set(SPLITS)
        if str(fold) not in folds or len(folds) < 2:
            there = ", ".join(sorted(folds, key=int)) or "none"
            remedy = "draw folds with `anymod prepare --folds`, or write fold numbers as splits"
            raise CohortError("no such fold", f"{self.root}, fold {fold}", f"its folds are: {there}", remedy)
        split_of = {name: "test" if name == str(fold) else "train" for name in folds}
        used = [each for each in self.subjects if each.split != "test"]
        subjects = (replace(each, split=split_of.get(each.split, each.split)) for each in used)
        return replace(self, subjects=tuple(subjects))

    def with_all_folds(self) -> Cohort:
        """Return the cohort with the subjects of all folds in the training split; the others keep their split.

        Raises CohortError if no subject is in a fold.
        """
        if all(subject.split in SPLITS for subject in self.subjects):
            remedy = "draw folds with `anymod prepare --folds`, or leave out --all-folds"
            raise CohortError("no folds", self.root / "subjects.csv", "no split is a number", remedy)
        subjects = (each if each.split in SPLITS else replace(each, split="train") for each in self.subjects)
        return replace(self, subjects=tuple(subjects))

    def fingerprint(self) -> str:
        """Return a SHA-256 over the table and the bytes of all files; it does not depend on the folder's path."""
        subjects = [[subject.split, *self.subject_fingerprint(subject)] for subject in self.subjects]
        modalities = [[modality.name, modality.group, modality.harmonized_median] for modality in self.modalities]
        content = json.dumps([modalities, self.spacing_mm, sorted(subjects)])
        return hashlib.sha256(content.encode()).hexdigest()

    def subject_fingerprint(self, subject: Subject) -> tuple[str, str]:
        """Return the subject's name and a SHA-256 over its columns and the bytes of all files that each image consists of."""
        contents = {column: image_fingerprint(self.path(subject, column)) for column in subject.files}
        return subject.name, hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def default_group(modality: str) -> str:
    """Return the default group of a modality: `us` for ultrasound, by any common name such as US, iUS or us_pre; `mr` for all others."""
    return "us" if ULTRASOUND.fullmatch(modality) else "mr"


def check_split(split: str, where: str | Path) -> str:
    """Return `split`; raise CohortError unless it is train, validation, test or the number of a fold."""
    if split not in SPLITS and not re.fullmatch(r"[0-9]{1,3}", split):
        raise CohortError(
            "unknown split", where, f"'{split}' is none of {', '.join(SPLITS)} or a fold number", nearest(split, SPLITS)
        )
    return split


def check_modality_name(name: str, where: str | Path) -> str:
    """Return `name`; raise CohortError if it cannot serve as a column and a file name."""
    reserved = name in (*KEY_COLUMNS, *EXTRA_COLUMNS, *DETAIL_COLUMNS)
    if reserved or not MODALITY_NAME.fullmatch(name):
        why = f"'{name}' " + ("is a column of its own" if reserved else "is not letters, digits, '_' and '-'")
        raise CohortError("unusable modality name", where, why, "choose a name such as t1, cet1, flair or us")
    return name


def check_subject_name(name: str, where: str | Path, what: str = "subject name") -> str:
    """Return `name`, which is a `what`; raise CohortError if it cannot serve as the name of a folder."""
    if not SUBJECT_NAME.fullmatch(name):
        why = f"{name!r} is not 1 to 64 letters, digits, spaces, '.', '_' or '-', beginning with a letter or digit"
        raise CohortError(f"unusable {what}", where, why, f"choose another {what}")
    return name


def check_modalities(cohort: Cohort, where: str | Path) -> None:
    """Raise CohortError unless there are 1 to 16 modalities with usable, different names and constants in (0, 1)."""
    names = [check_modality_name(modality.name, where) for modality in cohort.modalities]
    # Files of names that differ in capitals only are one file on many systems.
    check_no_repeats([name.lower() for name in names], "duplicate modality", where, "keep one of them")
    if not 1 <= len(names) <= 16:
        raise CohortError("unusable modalities", where, f"there are {len(names)}", "list 1 to 16 modalities")
    for modality in cohort.modalities:
        if modality.harmonized_median is not None and not 0 < modality.harmonized_median < 1:
            why = f"harmonized_median of '{modality.name}' is {modality.harmonized_median}"
            raise CohortError("invalid value", where, why, "give a number between 0 and 1")
    if cohort.reference is not None and cohort.reference not in names:
        raise CohortError(
            "unknown modality", where, f"reference '{cohort.reference}' is not listed", nearest(cohort.reference, names)
        )


def check_subjects(cohort: Cohort, where: str | Path) -> None:
    """Raise CohortError at the first subject with a wrong name, split, kind or modality, or with a file that is listed twice."""
    if not cohort.subjects:
        raise CohortError("empty cohort", where, "it lists no subject", "add one line per subject")
    names = [subject.name for subject in cohort.subjects]
    check_no_repeats(names, "duplicate subject", where, "keep one of the lines")
    for subject in cohort.subjects:
        check_subject_name(subject.name, where)
        check_split(subject.split, where)
        if subject.kind is not None:
            check_subject_name(subject.kind, where, "kind")
        for modality in subject.paths:
            cohort.modality(modality)
        if not subject.paths:
            why = f"subject '{subject.name}' has no image of any modality"
            raise CohortError("subject without images", where, why, "add one, or remove its line")
    files = [path for subject in cohort.subjects for path in subject.files.values()]
    check_no_repeats(files, "file listed twice", where, "list each file once")


def check_files(cohort: Cohort, subject: Subject) -> None:
    """Raise CohortError if a file of the subject is missing or outside the cohort's folder."""
    for column in subject.files:
        path = cohort.path(subject, column)
        if not path.is_file():
            why = f"{column} of subject '{subject.name}' does not exist"
            raise CohortError("missing file", path, why, "restore it or empty its cell")


def check_no_repeats(names: Sequence[str], what: str, where: str | Path, remedy: str) -> None:
    """Raise CohortError that lists every name that occurs more than once."""
    repeated = [f"'{name}'" for name, count in Counter(names).items() if count > 1]
    if repeated:
        some = ", ".join(repeated[:MOST_LISTED]) + (
            f" and {len(repeated) - MOST_LISTED} more" * (len(repeated) > MOST_LISTED)
        )
        raise CohortError(what, where, f"listed more than once: {some}", remedy)
