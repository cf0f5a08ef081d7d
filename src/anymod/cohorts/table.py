"""Cohort folders on disk: `cohort.yaml` and `subjects.csv`, read strictly and written whole."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated, Any, Literal
from unicodedata import normalize

from pydantic import Field

from anymod.cohorts.schema import (
    DETAIL_COLUMNS,
    EXTRA_COLUMNS,
    KEY_COLUMNS,
    Cohort,
    Modality,
    Subject,
    check_files,
    check_modalities,
    check_subjects,
    default_group,
)
from anymod.configuration import Settings, nearest, read_yaml, validate, write_yaml
from anymod.errors import CohortError
from anymod.files import write_text
from anymod.texts import read_text

DESCRIPTION = "cohort.yaml"
TABLE = "subjects.csv"


class ModalityEntry(Settings):
    """One modality in `cohort.yaml`; the default `group` is `us` for us and `mr` for all others."""

    name: str
    group: str | None = None
    harmonized_median: float | None = None


Edge = Annotated[float, Field(gt=0, le=1000)]  # of a voxel, in mm


class CohortDescription(Settings):
    """The content of `cohort.yaml`."""

    format: Literal[1]
    name: str
    modalities: tuple[ModalityEntry, ...] = Field(max_length=1000)
    spacing_mm: tuple[Edge, Edge, Edge] | None = None
    reference: str | None = None
    provenance: dict[str, Any] = Field(default_factory=dict)


def read_cohort(path: str | Path) -> Cohort:
    """Return the cohort in a folder; raise CohortError at the first error in it, such as a missing file."""
    cohort = read_table(path)
    for subject in cohort.subjects:
        check_files(cohort, subject)
    return cohort


def read_table(path: str | Path) -> Cohort:
    """Return the cohort described by a folder's two text files, without looking for the images."""
    root = Path(path)
    if not root.is_dir():
        raise CohortError("no cohort", root, "there is no such folder", "give a folder with a cohort.yaml")
    where = root / DESCRIPTION
    content = validate(CohortDescription, read_yaml(where, error=CohortError), where, error=CohortError)
    modalities = tuple(
        Modality(entry.name, entry.group or default_group(entry.name), entry.harmonized_median)
        for entry in content.modalities
    )
    cohort = Cohort(root, content.name, modalities, (), content.spacing_mm, content.reference, content.provenance)
    check_modalities(cohort, where)
    subjects = _read_subjects(root / TABLE, cohort.modality_names)
    cohort = Cohort(root, content.name, modalities, subjects, content.spacing_mm, content.reference, content.provenance)
    check_subjects(cohort, root / TABLE)
    return cohort


def write_cohort(cohort: Cohort, path: str | Path) -> Cohort:
    """Write `cohort.yaml` and `subjects.csv` into a folder that contains the images; return the cohort as read back."""
    root = Path(path)
    check_modalities(cohort, root / DESCRIPTION)
    check_subjects(cohort, root / TABLE)
    details = [column for column in DETAIL_COLUMNS if any(getattr(subject, column) for subject in cohort.subjects)]
    columns = [*KEY_COLUMNS, *cohort.modality_names, *EXTRA_COLUMNS, *details]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for subject in cohort.subjects:
        row = {"subject": subject.name, "split": subject.split, **subject.files}
        writer.writerow(row | {column: getattr(subject, column) for column in details})
    write_text(root / TABLE, text.getvalue())
    # cohort.yaml is written last, so that a folder that has one is complete.
    write_yaml(root / DESCRIPTION, _description(cohort))
    return read_cohort(root)


def _description(cohort: Cohort) -> dict[str, Any]:
    entries = [
        {"name": modality.name, "group": modality.group}
        | ({} if modality.harmonized_median is None else {"harmonized_median": modality.harmonized_median})
        for modality in cohort.modalities
    ]
    return {
        "format": 1,
        "name": cohort.name,
        "modalities": entries,
        "spacing_mm": None if cohort.spacing_mm is None else list(cohort.spacing_mm),
        "reference": cohort.reference,
        "provenance": cohort.provenance,
    }


def _read_subjects(path: Path, modalities: tuple[str, ...]) -> tuple[Subject, ...]:
    lines = read_csv(path)
    columns = lines[0]
    _check_columns(columns, modalities, path)
    subjects = []
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(columns):
            why = f"row {number} has {len(line)} fields for {len(columns)} columns"
            raise CohortError("broken table", path, why, "give every row one field per column")
        cells = dict(zip(columns, line, strict=True))
        if not cells["subject"]:
            why = f"the row with '{next(filter(None, line))}' names no subject"
            raise CohortError("row without subject", path, why, "name it, or empty the whole row")
        extras = {column: cells.get(column) or None for column in (*EXTRA_COLUMNS, *DETAIL_COLUMNS)}
        paths = {name: cells[name] for name in modalities if cells[name]}
        subjects.append(Subject(cells["subject"], cells["split"], paths, **extras))
    return tuple(subjects)


def read_csv(path: Path) -> list[list[str]]:
    """Return the stripped cells of a comma-separated UTF-8 file, header first; raise CohortError if broken.

    Rows and columns at the right in which every cell is empty are left out.
    """
    try:
        # utf-8-sig, because spreadsheet programs start files with a byte-order mark.
        text = normalize("NFC", read_text(path, encoding="utf-8-sig"))
        lines = [[cell.strip() for cell in line] for line in csv.reader(io.StringIO(text), strict=True)]
    except FileNotFoundError:
        raise CohortError("no such file", path, "it does not exist", "write the table") from None
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise CohortError("unreadable table", path, str(problem), "write comma-separated UTF-8 text") from problem
    # Spreadsheet programs leave commas where cells were emptied, below the table and to its right.
    width = max((place + 1 for line in lines for place, cell in enumerate(line) if cell), default=0)
    lines = [line[:width] for line in lines if any(line)]
    if not lines:
        raise CohortError("empty table", path, "it has no header", "start with 'subject,split,…'")
    if any(not character.isprintable() for line in lines for cell in line for character in cell):
        raise CohortError("unreadable table", path, "a cell contains control characters", "write plain text")
    return lines


def _check_columns(columns: list[str], modalities: tuple[str, ...], path: Path) -> None:
    known = [*KEY_COLUMNS, *modalities, *EXTRA_COLUMNS, *DETAIL_COLUMNS]
    for position, column in enumerate(columns):
        if column not in known:
            raise CohortError("unknown column", path, f"'{column}' is no known column", nearest(column, known))
        if column in columns[:position]:
            raise CohortError("duplicate column", path, f"'{column}' appears twice", "keep one of them")
    for column in (*KEY_COLUMNS, *modalities):
        if column not in columns:
            raise CohortError("missing column", path, f"there is no '{column}'", "add it; its cells may be empty")
