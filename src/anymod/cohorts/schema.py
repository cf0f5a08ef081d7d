"""What a cohort is: modalities, subjects with their files, and the folder that they lie in."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anymod.configuration import nearest
from anymod.errors import CohortError, ModalityError
from anymod.files import confined, sha256

SPLITS = ("train", "validation", "test")
KEY_COLUMNS = ("subject", "split")
EXTRA_COLUMNS = ("mask", "label", "tissue")
"""Optional maps of a subject: where its foreground is, what a model should segment, FreeSurfer tissue labels."""

MODALITY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
SUBJECT_NAME = re.compile(r"\w([\w .-]{0,62}[\w-])?")


@dataclass(frozen=True)
class Modality:
    """One kind of image.

    `group` holds modalities that are drawn together (`mr`, `us`). `harmonized_median` is the constant c_m in (0, 1) that the
    white-matter median of a harmonized target takes, and the core's median where a recipe scales by it (method, section 9); None where
    it is to be measured.
    """

    name: str
    group: str
    harmonized_median: float | None = None


@dataclass(frozen=True)
class Subject:
    """One patient or visit: `paths` maps each observed modality to its file, relative to the cohort's folder."""

    name: str
    split: str
    paths: dict[str, str]
    mask: str | None = None
    label: str | None = None
    tissue: str | None = None

    @property
    def observed(self) -> tuple[str, ...]:
        """The modalities that the subject has, in the table's order."""
        return tuple(self.paths)

    @property
    def files(self) -> dict[str, str]:
        """Every file of the subject by column: the observed modalities, then mask, label and tissue where given."""
        extras = {column: getattr(self, column) for column in EXTRA_COLUMNS}
        return {**self.paths, **{column: path for column, path in extras.items() if path is not None}}


@dataclass(frozen=True)
class Cohort:
    """Many subjects in one folder.

    `spacing_mm` is what every image was resampled to and `reference` the modality whose grid the others were put on; None where
    the images keep the grids they came with.
    """

    root: Path
    name: str
    modalities: tuple[Modality, ...]
    subjects: tuple[Subject, ...]
    spacing_mm: tuple[float, float, float] | None = None
    reference: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def modality_names(self) -> tuple[str, ...]:
        """Names of the modalities, in the cohort's order."""
        return tuple(modality.name for modality in self.modalities)

    def path(self, subject: Subject, column: str) -> Path:
        """Return the file of one of the subject's modalities (or mask, label, tissue); raise CohortError where it has none."""
        if column not in subject.files:
            raise CohortError(
                "image not observed", f"subject '{subject.name}'", f"it has no {column}", "ask for one of its images"
            )
        return confined(self.root, subject.files[column], error=CohortError)

    def subject(self, name: str) -> Subject:
        """Return the subject of that name, or raise CohortError that proposes the nearest one."""
        for subject in self.subjects:
            if subject.name == name:
                return subject
        names = [subject.name for subject in self.subjects]
        raise CohortError("unknown subject", self.root, f"'{name}' is not in the table", nearest(name, names))

    def modality(self, name: str) -> Modality:
        """Return the modality of that name, or raise ModalityError that proposes the nearest one."""
        for modality in self.modalities:
            if modality.name == name:
                return modality
        remedy = nearest(name, self.modality_names)
        raise ModalityError("unknown modality", self.root, f"'{name}' is not in cohort.yaml", remedy)

    def of_split(self, *splits: str) -> tuple[Subject, ...]:
        """Return the subjects of any of these splits, in the table's order; empty where there are none."""
        for split in splits:
            check_split(split, self.root)
        return tuple(subject for subject in self.subjects if subject.split in splits)

    def held_out(self, fold: int) -> Cohort:
        """Return the cohort with one fold for the test and all others for training.

        Subjects that are in no fold keep their split, but for those that test already: these wait for the final test, and are left out.

        Raises CohortError where no subject is in that fold, or in no other one.
        """
        folds = {subject.split for subject in self.subjects} - set(SPLITS)
        if str(fold) not in folds or len(folds) < 2:
            there = ", ".join(sorted(folds, key=int)) or "none"
            remedy = "draw folds with `anymod prepare --folds`, or write their numbers as splits"
            raise CohortError("no such fold", f"{self.root}, fold {fold}", f"its folds are: {there}", remedy)
        split_of = {name: "test" if name == str(fold) else "train" for name in folds}
        waiting = [each for each in self.subjects if each.split != "test"]
        subjects = (replace(each, split=split_of.get(each.split, each.split)) for each in waiting)
        return replace(self, subjects=tuple(subjects))

    def fingerprint(self) -> str:
        """Return a SHA-256 over the table and the bytes of every file; where the folder lies does not matter."""
        subjects = [[subject.split, *self.subject_fingerprint(subject)] for subject in self.subjects]
        modalities = [[modality.name, modality.group, modality.harmonized_median] for modality in self.modalities]
        content = json.dumps([modalities, self.spacing_mm, sorted(subjects)])
        return hashlib.sha256(content.encode()).hexdigest()

    def subject_fingerprint(self, subject: Subject) -> tuple[str, str]:
        """Return (name, SHA-256 over the bytes of the subject's files and what each of them is)."""
        contents = {column: sha256(self.path(subject, column)) for column in subject.files}
        return subject.name, hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def default_group(modality: str) -> str:
    """Return the group that a modality belongs to where none is given: `us` for ultrasound, else `mr`."""
    return "us" if modality == "us" else "mr"


def check_split(split: str, where: str | Path) -> str:
    """Return `split`, or raise CohortError unless it is train, validation, test or the number of a fold."""
    if split not in SPLITS and not re.fullmatch(r"[0-9]{1,3}", split):
        raise CohortError(
            "unknown split", where, f"'{split}' is none of {', '.join(SPLITS)} or a fold number", nearest(split, SPLITS)
        )
    return split


def check_modality_name(name: str, where: str | Path) -> str:
    """Return `name`, or raise CohortError where it could not be a column and a file name at once."""
    reserved = name in (*KEY_COLUMNS, *EXTRA_COLUMNS)
    if reserved or not MODALITY_NAME.fullmatch(name):
        why = f"'{name}' " + ("is a column of its own" if reserved else "is not letters, digits, '_' and '-'")
        raise CohortError("unusable modality name", where, why, "choose a name such as t1, cet1, flair or us")
    return name


def check_subject_name(name: str, where: str | Path) -> str:
    """Return `name`, or raise CohortError where it could not be a folder's name."""
    if not SUBJECT_NAME.fullmatch(name):
        why = f"{name!r} is not 1 to 64 letters, digits, spaces, '.', '_' or '-', beginning with a letter or digit"
        raise CohortError("unusable subject name", where, why, "rename the subject")
    return name


def check_modalities(cohort: Cohort, where: str | Path) -> None:
    """Raise CohortError unless there are 1 to 16 modalities of usable, different names and constants inside (0, 1)."""
    names = [check_modality_name(modality.name, where) for modality in cohort.modalities]
    repeated = _first_repeated(iter(names))
    if repeated is not None:
        raise CohortError("duplicate modality", where, f"'{repeated}' is listed twice", "keep one of them")
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
    """Raise CohortError at the first wrong subject: its name, split, modalities, or a file that the table names twice."""
    if not cohort.subjects:
        raise CohortError("empty cohort", where, "it lists no subject", "add one line for each subject")
    repeated = _first_repeated(subject.name for subject in cohort.subjects)
    if repeated is not None:
        raise CohortError("duplicate subject", where, f"'{repeated}' is listed twice", "keep one of the lines")
    for subject in cohort.subjects:
        check_subject_name(subject.name, where)
        check_split(subject.split, where)
        for modality in subject.paths:
            cohort.modality(modality)
        if not subject.paths:
            why = f"subject '{subject.name}' has no image of any modality"
            raise CohortError("subject without images", where, why, "give one, or remove its line")
    file = _first_repeated(path for subject in cohort.subjects for path in subject.files.values())
    if file is not None:
        raise CohortError("file listed twice", where, f"'{file}' stands in two places", "one file belongs in one place")


def check_files(cohort: Cohort, subject: Subject) -> None:
    """Raise CohortError where a file of the subject lies outside the cohort's folder or is not there."""
    for column in subject.files:
        path = cohort.path(subject, column)
        if not path.is_file():
            raise CohortError(
                "missing file",
                path,
                f"{column} of subject '{subject.name}' is not there",
                "restore it or empty its cell",
            )


def _first_repeated(names: Iterator[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
