"""Conversion of one subject: its files are read, checked, put on one grid and written as NIfTI."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from anymod.arrays import Array
from anymod.cohorts import check_same_grid
from anymod.cohorts.schema import EXTRA_COLUMNS
from anymod.errors import VolumeError
from anymod.files import finished_record, sha256, write_json
from anymod.preparation.aligning import REGISTRATION, AlignmentRow, align_subject, with_maps
from anymod.preparation.field_of_view import cut_to
from anymod.preparation.folder_source import FoundSubject
from anymod.preparation.options import PreparationOptions
from anymod.preparation.white_matter import tissue_map
from anymod.registration import Kind
from anymod.volumes import (
    Grid,
    Volume,
    background_of,
    check_image,
    foreground_of,
    image_fingerprint,
    model_grid,
    read_labels,
    read_transform,
    read_volume,
    resample,
    write_volume,
)

logger = logging.getLogger(__name__)

FINISHED = ".finished"  # folder with a record for each finished subject


@dataclass(frozen=True)
class ConversionTask:
    """A subject to convert into `folder`, the cohort's own."""

    found: FoundSubject
    folder: Path
    options: PreparationOptions


@dataclass(frozen=True)
class ConvertedSubject:
    """A converted subject.

    Attributes:
        name: Its name.
        files: Path of each written image, relative to the cohort, by column.
        sources: Path and SHA-256 of the file of each image; for a map made here, how it was made and an empty text.
        alignments: Rows of `registration.csv`.
    """

    name: str
    files: dict[str, str]
    sources: dict[str, tuple[str, str]]
    alignments: tuple[AlignmentRow, ...] = ()


def convert_subject(task: ConversionTask) -> ConvertedSubject:
    """Write a subject's images and return their paths; a subject that was finished before an interruption is not converted again.

    Raises:
        VolumeError: A file cannot be used, or with `strict` an alignment is in doubt.
        GridError: The images lie on different grids, and `resample_to` names none that the subject has.
    """
    record = task.folder / FINISHED / f"{task.found.name}.json"
    finished = finished_record(record, {"name": task.found.name})
    if finished is not None and all((task.folder / file).is_file() for file in finished["files"].values()):
        return from_record(finished)
    for place in ("subjects", REGISTRATION):  # remains of an interrupted conversion
        shutil.rmtree(task.folder / place / task.found.name, ignore_errors=True)
    converted = _convert(task)
    write_json(record, asdict(converted))
    return converted


def from_record(content: Mapping[str, Any]) -> ConvertedSubject:
    """Return a converted subject from what `dataclasses.asdict` made of it, with lists for tuples."""
    sources = {column: (file, digest) for column, (file, digest) in content["sources"].items()}
    rows = tuple(AlignmentRow(**row) for row in content["alignments"])
    return ConvertedSubject(content["name"], content["files"], sources, rows)


def _convert(task: ConversionTask) -> ConvertedSubject:
    volumes = {
        column: (read_labels if column in EXTRA_COLUMNS else read_volume)(file)
        for column, file in task.found.files.items()
    }
    options, files, sources = task.options, {}, dict[str, tuple[str, str]]()
    if options.white_matter is not None and "tissue" not in volumes:
        try:
            volumes["tissue"], method = tissue_map(volumes, options.white_matter)
            sources["tissue"] = method, ""
        except VolumeError as error:
            if options.strict:
                raise
            logger.warning("subject %s: %s", task.found.name, error)
    resampled, rows = _on_one_grid(volumes, task)
    if options.cut_to is not None:
        resampled = cut_to(resampled, options.cut_to)
    for column, volume in resampled.items():
        files[column] = f"subjects/{task.found.name}/{column}.nii.gz"
        write_volume(task.folder / files[column], replace(volume, data=compact(volume.data)))
        if column in sources:
            continue
        source = task.found.files[column]
        sources[column] = str(source), image_fingerprint(source)
        if column in task.found.transforms:
            sources[f"{column} transform"] = str(task.found.transforms[column]), sha256(task.found.transforms[column])
    return ConvertedSubject(task.found.name, files, sources, tuple(rows))


def _on_one_grid(volumes: Mapping[str, Volume], task: ConversionTask) -> tuple[dict[str, Volume], list[AlignmentRow]]:
    """Return the volumes on one grid, and the rows of the alignments that `register` asks for.

    The grid is that of `resample_to`, or the volumes' own, which they must share; `spacing_mm` then changes its spacing.
    """
    options, rows = task.options, list[AlignmentRow]()
    transforms = {column: read_transform(file) for column, file in task.found.transforms.items()}
    reference = options.resample_to
    if reference is None or reference not in volumes:
        if reference is not None and (transforms or (options.register is not None and len(volumes) > 1)):
            why = f"it lacks {reference}, to which the others would be aligned"
            raise VolumeError("no reference image", f"subject '{task.found.name}'", why, "leave the subject out")
        check_same_grid(volumes, f"subject '{task.found.name}'")
        reference = next(iter(volumes))
    elif options.register is not None:
        transforms, rows = _aligned(volumes, transforms, task, reference, options.register)
    grid = volumes[reference].grid
    if options.spacing_mm is not None:
        grid = model_grid(grid, options.spacing_mm)
    resampled = {
        column: _resampled(grid, volume, column in EXTRA_COLUMNS, transforms.get(column))
        for column, volume in volumes.items()
    }
    return resampled, rows


def _aligned(
    volumes: Mapping[str, Volume], given: Mapping[str, sitk.Transform], task: ConversionTask, reference: str, kind: Kind
) -> tuple[dict[str, sitk.Transform], list[AlignmentRow]]:
    """Return a transform for every volume that moves, registering those without a given one, and the rows of these alignments."""
    unknown = {column: volume for column, volume in volumes.items() if column not in given}
    found, rows = align_subject(task.found.name, unknown, reference, kind, task.folder)
    doubts = [row for row in rows if row.doubt]
    if doubts and task.options.strict:
        remedy = "look at the images, give a transform, or leave --strict out"
        raise VolumeError("registration in doubt", volumes[doubts[0].column].source, doubts[0].doubt, remedy)
    return with_maps(volumes, {**given, **found}, reference), rows


def _resampled(grid: Grid, volume: Volume, labels: bool, transform: sitk.Transform | None) -> Volume:
    if transform is None and volume.grid.same_as(grid):
        return replace(volume, grid=grid)
    if labels:
        return resample(volume, grid, labels=True, transform=transform)
    # Outside the scan is background, which need not be 0.
    background = background_of(volume.data, foreground_of(volume.data, None, volume.spacing_mm))
    resampled = resample(volume, grid, outside=background, transform=transform)
    try:
        check_image(resampled)
    except VolumeError:
        why = "it does not overlap with the image to which it is resampled"
        raise VolumeError("no overlap", volume.source, why, "check the positions of the scans") from None
    return resampled


def compact(data: Array) -> Array:
    """Return the data as int16 if that holds every value exactly, else unchanged."""
    limits = np.iinfo(np.int16)
    if data.min() < limits.min or data.max() > limits.max or not np.array_equal(data, np.rint(data)):
        return data
    return data.astype(np.int16)
