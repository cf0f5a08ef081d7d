"""Source `folder`: finds subjects in any tree of files, by one glob pattern for each column of the cohort."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from unicodedata import normalize

from anymod.cohorts.schema import EXTRA_COLUMNS, check_subject_name
from anymod.configuration import nearest
from anymod.errors import CohortError


@dataclass(frozen=True)
class FoundSubject:
    """The source files of one subject, by column: its modalities, and mask, label or tissue if present.

    `transforms` holds files of ITK transforms for some columns. They map points of the reference image to points of the column's file.
    """

    name: str
    files: dict[str, Path]
    transforms: dict[str, Path] = field(default_factory=dict)


def find_subjects(
    raw: Path, patterns: Mapping[str, str], subject_from: str | None = None, leave_out: Path | None = None
) -> tuple[FoundSubject, ...]:
    """Return the subjects below `raw`, sorted by name, each with the file that every pattern finds for it.

    The first folder below `raw` names the subject of a file, or `subject_from` finds the name in the path (see `subject_pattern`).
    Names that begin with a dot and everything in `leave_out` are ignored. A folder counts as a file, because it may hold a DICOM
    series.

    Raises:
        CohortError: A pattern matches no file or two files of a subject, a file matches two patterns, or a subject has no image.
    """
    if not raw.is_dir():
        raise CohortError("no folder", raw, "there is no such folder", "check --raw")
    name_of = _first_folder if subject_from is None else subject_pattern(subject_from)
    found: dict[str, dict[str, Path]] = {}
    owners: dict[Path, str] = {}
    for column, pattern in patterns.items():
        files = _matches(raw, pattern, leave_out)
        if not files:
            raise CohortError("nothing found", raw, f"no file matches '{pattern}' of {column}", "correct the pattern")
        for file in files:
            if file in owners:
                why = f"it matches the patterns of {owners[file]} and {column}"
                raise CohortError("ambiguous patterns", file, why, "make the patterns more specific")
            owners[file] = column
            own = found.setdefault(name_of(file, raw), {})
            if column in own:
                why = f"'{pattern}' of {column} also matches {own[column]}"
                raise CohortError("two files for one image", file, why, "make the pattern more specific")
            own[column] = file
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
    name_of = _first_folder if subject_from is None else subject_pattern(subject_from)
    found: dict[tuple[str, str], Path] = {}
    for column, pattern in patterns.items():
        for file in _matches(raw, pattern, leave_out):
            key = name_of(file, raw), column
            if key in found:
                why = f"'{pattern}' also matches {found[key]}"
                raise CohortError("two transforms for one image", file, why, "make the pattern more specific")
            found[key] = file
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


def unused_folders(raw: Path, subjects: Sequence[FoundSubject], leave_out: Path | None = None) -> list[str]:
    """Return the names of the folders directly below `raw` in which no pattern found anything."""
    used = {file.relative_to(raw).parts[0] for subject in subjects for file in subject.files.values()}
    folders = (entry for entry in sorted(raw.iterdir()) if entry.is_dir() and not entry.name.startswith("."))
    return [entry.name for entry in folders if entry.name not in used and not _is_inside(entry, leave_out)]


def _matches(raw: Path, pattern: str, leave_out: Path | None) -> list[Path]:
    if ".." in Path(pattern).parts:
        raise CohortError(
            "unusable pattern", f"'{pattern}'", "it leaves the folder", "write a pattern for paths below --raw"
        )
    try:
        # macOS may decompose letters with accents in file names, other systems and keyboards do not.
        spellings = {pattern, normalize("NFC", pattern), normalize("NFD", pattern)}
        paths = sorted({path for spelling in spellings for path in raw.glob(spelling)})
    except (ValueError, NotImplementedError) as problem:
        remedy = "write a pattern for paths below --raw, such as '**/t1.nii.gz'"
        raise CohortError("unusable pattern", f"'{pattern}'", str(problem), remedy) from None
    return [
        path
        for path in paths
        if not any(part.startswith(".") for part in path.relative_to(raw).parts) and not _is_inside(path, leave_out)
    ]


def _is_inside(path: Path, folder: Path | None) -> bool:
    return folder is not None and path.resolve().is_relative_to(folder.resolve())


def _first_folder(file: Path, raw: Path) -> str:
    parts = file.relative_to(raw).parts
    if len(parts) < 2:
        remedy = "put each subject into a folder, or give the place of its name, such as --subject-from '{subject}_*'"
        raise CohortError("no subject", file, f"it lies directly in {raw}", remedy)
    return normalize("NFC", parts[0])


def subject_pattern(pattern: str) -> Callable[[Path, Path], str]:
    """Return a function of (file, raw) that finds a subject's name by a pattern such as `{subject}_*` or `site-*/{subject}/`.

    The pattern is compared with the start of the path below `raw`. `{subject}` matches the name, without '/' and as long as
    possible; `*` matches anything within one name; `**` matches anything. The function raises CohortError if the path does not match.
    """
    if pattern.count("{subject}") != 1:
        remedy = "write one, such as '{subject}_*' or 'site-*/{subject}/'"
        raise CohortError("unusable --subject-from", f"'{pattern}'", "it needs one {subject}", remedy)
    meaning = {"{subject}": r"(?P<subject>[^/]+)", "**": r".*", "*": r"[^/]*"}
    parts = re.split(r"(\{subject\}|\*\*|\*)", normalize("NFC", pattern))
    expression = re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))

    def name_of(file: Path, raw: Path) -> str:
        match = expression.match(normalize("NFC", file.relative_to(raw).as_posix()))
        if match is None:
            raise CohortError("no subject", file, f"its path does not begin like '{pattern}'", "correct --subject-from")
        return match["subject"]

    return name_of
