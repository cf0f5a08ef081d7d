"""One subject's source files as images of a cohort: read, checked, put on one grid, written as NIfTI."""

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
from anymod.preparation.white_matter import Method, tissue_map
from anymod.registration import Kind
from anymod.volumes import (
    Grid,
    Volume,
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

FINISHED = ".finished"  # folder with a file for each subject that is done


@dataclass(frozen=True)
class ConversionTask:
    """A subject to be written below `folder` (the cohort's own).

    `resample_to` and `cut_to` name modalities, `spacing_mm` is isotropic; `register` aligns images for which no transform is given.
    """

    found: FoundSubject
    folder: Path
    resample_to: str | None = None
    spacing_mm: float | None = None
    register: Kind | None = None
    cut_to: str | None = None
    white_matter: Method | None = None  # how to find it where no tissue map is given
    strict: bool = False  # an alignment, or white matter, in doubt is an error


@dataclass(frozen=True)
class ConvertedSubject:
    """What was written: paths relative to the cohort by column, each source's path and SHA-256 (empty for a folder), alignments."""

    name: str
    files: dict[str, str]
    sources: dict[str, tuple[str, str]]
    alignments: tuple[AlignmentRow, ...] = ()


def convert_subject(task: ConversionTask) -> ConvertedSubject:
    """Write a subject's files and return where they lie; one that was finished before an interruption is only looked up.

    Raises:
        VolumeError: A file that cannot be used, or with `strict` an alignment in doubt.
        GridError: Images on different grids where `resample_to` does not name one that the subject has.
    """
    record = task.folder / FINISHED / f"{task.found.name}.json"
    finished = finished_record(record, {"name": task.found.name})
    if finished is not None and all((task.folder / file).is_file() for file in finished["files"].values()):
        return _from_record(finished)
    for place in ("subjects", REGISTRATION):  # what a kill has left half done
        shutil.rmtree(task.folder / place / task.found.name, ignore_errors=True)
    converted = _convert(task)
    write_json(record, asdict(converted))
    return converted


def _from_record(content: Mapping[str, Any]) -> ConvertedSubject:
    sources = {column: (file, digest) for column, (file, digest) in content["sources"].items()}
    rows = tuple(AlignmentRow(**row) for row in content["alignments"])
    return ConvertedSubject(content["name"], content["files"], sources, rows)


def _convert(task: ConversionTask) -> ConvertedSubject:
    volumes = {
        column: (read_labels if column in EXTRA_COLUMNS else read_volume)(file)
        for column, file in task.found.files.items()
    }
    files, sources = {}, dict[str, tuple[str, str]]()
    if task.white_matter is not None and "tissue" not in volumes:
        try:
            volumes["tissue"], maker = tissue_map(volumes, task.white_matter)
            sources["tissue"] = maker, ""
        except VolumeError as error:
            if task.strict:
                raise
            logger.warning("subject %s: %s", task.found.name, error)
    together, rows = on_one_grid(volumes, task)
    if task.cut_to is not None:
        together = cut_to(together, task.cut_to)
    for column, volume in together.items():
        files[column] = f"subjects/{task.found.name}/{column}.nii.gz"
        write_volume(task.folder / files[column], replace(volume, data=compact(volume.data)))
        if column in sources:
            continue
        source = task.found.files[column]
        sources[column] = str(source), image_fingerprint(source)
        if column in task.found.transforms:
            sources[f"{column} transform"] = str(task.found.transforms[column]), sha256(task.found.transforms[column])
    return ConvertedSubject(task.found.name, files, sources, tuple(rows))


def on_one_grid(volumes: Mapping[str, Volume], task: ConversionTask) -> tuple[dict[str, Volume], list[AlignmentRow]]:
    """Return the volumes as they came where they share a grid and keep it, else resampled to the one that was asked for.

    With `register`, also what is to be said of each alignment that was found.
    """
    reference, rows = task.resample_to, list[AlignmentRow]()
    transforms = {column: read_transform(file) for column, file in task.found.transforms.items()}
    if reference not in volumes and (transforms or (task.register is not None and len(volumes) > 1)):
        why = f"it lacks {reference}, which the others would be aligned to"
        raise VolumeError("no grid to put images on", f"subject '{task.found.name}'", why, "leave the subject out")
    if reference is None or reference not in volumes:
        check_same_grid(dict(volumes), task.found.name)
        reference = next(iter(volumes))
    elif task.register is not None:
        unknown = {column: volume for column, volume in volumes.items() if column not in transforms}
        found, rows = align_subject(task.found.name, unknown, reference, task.register, task.folder)
        doubts = [row for row in rows if row.doubt]
        if doubts and task.strict:
            remedy = "look at the images, give a transform, or leave --strict out"
            raise VolumeError("registration in doubt", volumes[doubts[0].column].source, doubts[0].doubt, remedy)
        transforms = with_maps(volumes, transforms | found, reference)
    grid = volumes[reference].grid
    if task.spacing_mm is not None:
        grid = model_grid(grid, task.spacing_mm)
    together = {
        column: _put_on(grid, volume, column in EXTRA_COLUMNS, transforms.get(column))
        for column, volume in volumes.items()
    }
    return together, rows


def _put_on(grid: Grid, volume: Volume, labels: bool, transform: sitk.Transform | None) -> Volume:
    if transform is None and volume.grid.same_as(grid):
        return replace(volume, grid=grid)
    if labels:
        return resample(volume, grid, labels=True, transform=transform)
    # What the scan did not cover becomes background, which need not be 0.
    background = float(np.median(volume.data[~foreground_of(volume.data)]))
    there = resample(volume, grid, outside=background, transform=transform)
    try:
        check_image(there)
    except VolumeError:
        why = "nothing of it lies where the image does that it is resampled to"
        raise VolumeError("no overlap", volume.source, why, "check the scans' positions") from None
    return there


def compact(data: Array) -> Array:
    """Return int16 where that holds every value exactly, else the data unchanged."""
    limits = np.iinfo(np.int16)
    if data.min() < limits.min or data.max() > limits.max or not np.array_equal(data, np.rint(data)):
        return data
    return data.astype(np.int16)
