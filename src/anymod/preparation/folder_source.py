"""Source `folder`: finds subjects in any tree of files, by one glob pattern for each column of the cohort."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from unicodedata import normalize

from anymod.cohorts.patients import patients_of
from anymod.cohorts.schema import EXTRA_COLUMNS, check_subject_name
from anymod.configuration import nearest
from anymod.errors import CohortError
from anymod.preparation.repeated_files import repeated_files
from anymod.preparation.tree import Tree


@dataclass(frozen=True)
class FoundSubject:
    """The source files of one subject, by column: its modalities, and mask, label or tissue if present.

    `transforms` holds files of ITK transforms for some columns. They map points of the reference image to points of the column's file.
    `patient` is the person whose visit it is, if known otherwise than by the name.
    """

    name: str
    files: dict[str, Path]
    transforms: dict[str, Path] = field(default_factory=dict)
    patient: str | None = None


def find_subjects(
    raw: Path, patterns: Mapping[str, str], subject_from: str | None = None, leave_out: Path | None = None
) -> tuple[FoundSubject, ...]:
    """Return the subjects below `raw`, sorted by name, each with the file that every pattern finds for it.

    The first folder below `raw` names the subject of a file, or `subject_from` finds the name in the path (see `name_pattern`).
    Names that begin with a dot and everything in `leave_out` are ignored. A folder counts as a file, because it may hold a DICOM
    series.

    Raises:
        CohortError: A pattern matches no file or two files of a subject, a file matches two patterns, or a subject has no image.
    """
    tree = Tree(raw, leave_out)
    name_of = _first_folder if subject_from is None else name_pattern(subject_from, "subject")
    claims: dict[tuple[str, str], list[Path]] = {}
    owners: dict[Path, list[str]] = {}
    for column, pattern in patterns.items():
        files = tree.matches(pattern)
        if not files:
            raise CohortError("nothing found", raw, f"no file matches '{pattern}' of {column}", "correct the pattern")
        for file in files:
            owners.setdefault(file, []).append(column)
            claims.setdefault((name_of(file, raw), column), []).append(file)
    for file, columns in owners.items():
        if len(columns) > 1:
            why = f"it matches the patterns of {' and '.join(columns)}"
            raise CohortError("ambiguous patterns", file, why, "make the patterns more specific")
    problem = repeated_files(raw, claims, patterns)
    if problem is not None:
        raise problem
    found: dict[str, dict[str, Path]] = {}
    for (name, column), (file,) in claims.items():
        found.setdefault(name, {})[column] = file
    subjects = tuple(FoundSubject(check_subject_name(name, raw), found[name]) for name in sorted(found))
    for subject in subjects:
        if not set(subject.files) - set(EXTRA_COLUMNS):
            why = f"subject '{subject.name}' has {', '.join(subject.files)} and no image"
            raise CohortError("subject without images", raw, why, "add an image or make the patterns more specific")
    return subjects


def with_transforms(
    raw: Path,
    subjects: Sequence[FoundSubject],
    patterns: Mapping[str, str],
    subject_from: str | None = None,
    leave_out: Path | None = None,
) -> tuple[FoundSubject, ...]:
    """Return the subjects with the transform that each pattern finds for its column; one file may match several columns.

    Raises:
        CohortError: No subject has files of a pattern's column, or one has a file and no transform for it, or two.
    """
    columns = {column for subject in subjects for column in subject.files}
    for column in patterns:
        if column not in columns:
            remedy = nearest(column, sorted(columns))
            raise CohortError("unknown name", f"--transform-pattern {column}=…", f"'{column}' has no files", remedy)
    name_of = _first_folder if subject_from is None else name_pattern(subject_from, "subject")
    claims: dict[tuple[str, str], list[Path]] = {}
    tree = Tree(raw, leave_out)
    for column, pattern in patterns.items():
        for file in tree.matches(pattern):
            claims.setdefault((name_of(file, raw), column), []).append(file)
    problem = repeated_files(raw, claims, patterns)
    if problem is not None:
        raise problem
    found = {key: file for key, (file,) in claims.items()}
    complete = []
    for subject in subjects:
        needed = [column for column in patterns if column in subject.files]
        for column in needed:
            if (subject.name, column) not in found:
                why = f"no file matches '{patterns[column]}' for {column}"
                remedy = "add its transform, or the identity if it is already aligned"
                raise CohortError("missing transform", f"subject '{subject.name}'", why, remedy)
        complete.append(replace(subject, transforms={column: found[subject.name, column] for column in needed}))
    return tuple(complete)


def with_patients(raw: Path, subjects: Sequence[FoundSubject], pattern: str) -> tuple[FoundSubject, ...]:
    """Return the subjects with the patient that a pattern such as `{patient}_MR*` finds in the paths of their files.

    Raises CohortError if a path does not match, or two files of one subject name two patients.
    """
    patient_of = name_pattern(pattern, "patient")
    named = []
    for subject in subjects:
        patients = sorted({patient_of(file, raw) for file in subject.files.values()})
        if len(patients) > 1:
            why = f"its files belong to {' and '.join(patients)}"
            raise CohortError("two patients", f"subject '{subject.name}'", why, "correct --patient-from")
        named.append(replace(subject, patient=check_subject_name(patients[0], raw)))
    return tuple(named)


def patients_in(subjects: Sequence[FoundSubject]) -> dict[str, str]:
    """Return the patient of each subject: the one found for it, or the one that its name suggests."""
    guessed = patients_of(subject.name for subject in subjects)
    return {subject.name: subject.patient or guessed[subject.name] for subject in subjects}


def unused_folders(raw: Path, subjects: Sequence[FoundSubject], leave_out: Path | None = None) -> list[str]:
    """Return the names of the folders directly below `raw` in which no pattern found anything."""
    used = {file.relative_to(raw).parts[0] for subject in subjects for file in subject.files.values()}
    folders = [entry for entry in Tree(raw, leave_out).entries(raw) if entry.is_dir()]
    real = {(raw / name).resolve() for name in used} | {raw.resolve()}  # a link to one of them is used too
    return [entry.name for entry in folders if entry.name not in used and entry.resolve() not in real]


def _first_folder(file: Path, raw: Path) -> str:
    parts = file.relative_to(raw).parts
    if len(parts) < 2:
        remedy = "put each subject into a folder, or give the place of its name, such as --subject-from '{subject}_*'"
        raise CohortError("no subject", file, f"it lies directly in {raw}", remedy)
    return normalize("NFC", parts[0])


def name_pattern(pattern: str, what: str) -> Callable[[Path, Path], str]:
    """Return a function of (file, raw) that finds a name by a pattern such as `{subject}_*` or `site-*/{subject}/`.

    The pattern is compared with the start of the path below `raw`. `what` is "subject" or "patient", the word in braces. It matches the
    name, without '/' and as long as possible; `*` matches anything within one name; `**` matches anything. The function raises
    CohortError if the path does not match.
    """
    place, option = f"{{{what}}}", f"--{what}-from"
    if pattern.count(place) != 1:
        remedy = f"write one, such as '{place}_*' or 'site-*/{place}/'"
        raise CohortError(f"unusable {option}", f"'{pattern}'", f"it needs one {place}", remedy)
    meaning = {place: r"(?P<name>[^/]+)", "**": r".*", "*": r"[^/]*"}
    parts = re.split(rf"({re.escape(place)}|\*\*|\*)", normalize("NFC", pattern))
    expression = re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))

    def name_of(file: Path, raw: Path) -> str:
        match = expression.match(normalize("NFC", file.relative_to(raw).as_posix()))
        if match is None:
            raise CohortError(f"no {what}", file, f"its path does not begin like '{pattern}'", f"correct {option}")
        return match["name"]

    return name_of
