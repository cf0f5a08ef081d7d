"""Alignment of a subject's images to its reference: transforms are found, checked, written, and shown as checkerboards."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from anymod.cohorts import default_group
from anymod.cohorts.schema import EXTRA_COLUMNS
from anymod.errors import VolumeError
from anymod.figures.checkerboard import draw_checkerboard
from anymod.files import atomic_write, write_text
from anymod.registration import Alignment, Kind, align_modalities
from anymod.texts import read_text
from anymod.volumes import Volume

REGISTRATION, TABLE = "registration", "registration.csv"


@dataclass(frozen=True)
class AlignmentRow:
    """A row of `registration.csv`, with the fields of `anymod.registration.Alignment`; `doubt` is empty if nothing looks wrong."""

    subject: str
    column: str
    measure: str
    similarity: float
    gained: float
    moved_mm: float
    sharpness: float
    overlap: float
    doubt: str

    @property
    def picture(self) -> str:
        """Path of its checkerboard, relative to the cohort."""
        return f"{REGISTRATION}/{self.subject}/{self.column}.png"


def align_subject(
    name: str, volumes: Mapping[str, Volume], reference: str, kind: Kind, folder: Path
) -> tuple[dict[str, sitk.Transform], list[AlignmentRow]]:
    """Return a transform and a table row for each of a subject's images except the reference; transforms and pictures go below `folder`.

    Maps (mask, label, tissue) are not registered: see `with_maps`.
    """
    fixed, transforms, rows = volumes[reference], {}, []
    for column, moving in volumes.items():
        if column == reference or column in EXTRA_COLUMNS:
            continue
        try:
            found = align_modalities(fixed, moving, (default_group(reference), default_group(column)), kind)
        except VolumeError as problem:
            raise VolumeError(problem.what, moving.source, problem.why, problem.remedy) from None
        row = _row(name, column, found)
        draw_checkerboard(folder / row.picture, fixed, moving, found.transform, _title(row, reference))
        with atomic_write(folder / REGISTRATION / name / f"{column}.tfm") as path:
            sitk.WriteTransform(found.transform, str(path))
        transforms[column] = found.transform
        rows.append(row)
    return transforms, rows


def with_maps(
    volumes: Mapping[str, Volume], transforms: Mapping[str, sitk.Transform], reference: str
) -> dict[str, sitk.Transform]:
    """Return the given transforms, with those of the maps (mask, label, tissue) added.

    A map on the grid of the reference needs none. A map on the grid of an image that moves gets the transform of that image.

    Raises:
        VolumeError: A map without a transform lies on a grid of its own, or on the grid of several images that move.
    """
    moving, completed = [column for column in transforms if column not in EXTRA_COLUMNS], dict(transforms)
    for column in EXTRA_COLUMNS:
        if column not in volumes or column in transforms or volumes[column].grid.same_as(volumes[reference].grid):
            continue
        sharing = [other for other in moving if volumes[other].grid.same_as(volumes[column].grid)]
        if len(sharing) != 1:
            why = f"it lies on the grid of {' and '.join(sharing) or 'no image of the subject'}, and images move"
            remedy = f"give its transform with --transform-pattern {column}=..., or leave --register out"
            raise VolumeError("unclear where a map belongs", volumes[column].source, why, remedy)
        completed[column] = transforms[sharing[0]]
    return completed


def write_table(rows: Sequence[AlignmentRow], folder: Path) -> None:
    """Write `registration.csv`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(AlignmentRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_text(folder / TABLE, text.getvalue())


def read_rows(folder: Path) -> list[AlignmentRow]:
    """Return the rows of a cohort's `registration.csv`; none if there is no such file or it has other columns."""
    try:
        return [_from_line(line) for line in csv.DictReader(io.StringIO(read_text(folder / TABLE)))]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return []


def _from_line(line: Mapping[str, str]) -> AlignmentRow:
    values: dict[str, Any] = {each.name: line[each.name] for each in fields(AlignmentRow)}
    numbers = {each.name: float(line[each.name]) for each in fields(AlignmentRow) if each.type == "float"}
    return AlignmentRow(**values | numbers)


def _row(name: str, column: str, found: Alignment) -> AlignmentRow:
    return AlignmentRow(
        name,
        column,
        found.measure,
        round(found.similarity, 4),
        round(found.gained, 4),
        round(found.moved_mm, 2),
        round(found.sharpness, 3),
        round(found.overlap, 3),
        found.doubt,
    )


def _title(row: AlignmentRow, reference: str) -> str:
    doubt = f"; in doubt: {row.doubt}" if row.doubt else ""
    return f"{row.subject}: {row.column} to {reference}, moved by up to {row.moved_mm:.1f} mm{doubt}"
