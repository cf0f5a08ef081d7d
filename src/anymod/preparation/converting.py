"""One subject's source files as images of a cohort: read, checked, put on one grid, written as NIfTI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from anymod.cohorts import check_same_grid
from anymod.cohorts.schema import EXTRA_COLUMNS
from anymod.errors import VolumeError
from anymod.files import sha256
from anymod.preparation.folder_source import FoundSubject
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
from anymod.volumes.affines import Array


@dataclass(frozen=True)
class ConversionTask:
    """A subject to be written below `folder` (the cohort's own); `resample_to` names a modality, `spacing_mm` is isotropic."""

    found: FoundSubject
    folder: Path
    resample_to: str | None
    spacing_mm: float | None


@dataclass(frozen=True)
class ConvertedSubject:
    """What was written: paths relative to the cohort by column, and each source file's SHA-256 (empty for a folder)."""

    name: str
    files: dict[str, str]
    sources: dict[str, tuple[Path, str]]


def convert_subject(task: ConversionTask) -> ConvertedSubject:
    """Write a subject's files and return where they lie.

    Raises:
        VolumeError: A file that cannot be used.
        GridError: Images on different grids where `resample_to` does not name one that the subject has.
    """
    volumes = {
        column: (read_labels if column in EXTRA_COLUMNS else read_volume)(file)
        for column, file in task.found.files.items()
    }
    files, sources = {}, {}
    for column, volume in on_one_grid(volumes, task).items():
        files[column] = f"subjects/{task.found.name}/{column}.nii.gz"
        write_volume(task.folder / files[column], replace(volume, data=compact(volume.data)))
        source = task.found.files[column]
        sources[column] = source, image_fingerprint(source)
        if column in task.found.transforms:
            sources[f"{column} transform"] = task.found.transforms[column], sha256(task.found.transforms[column])
    return ConvertedSubject(task.found.name, files, sources)


def on_one_grid(volumes: Mapping[str, Volume], task: ConversionTask) -> dict[str, Volume]:
    """Return the volumes as they came where they share a grid and keep it, else resampled to the one that was asked for."""
    reference = task.resample_to
    transforms = {column: read_transform(file) for column, file in task.found.transforms.items()}
    if transforms and reference not in volumes:
        why = f"transforms start from {reference}, which it lacks"
        raise VolumeError("no grid to put images on", f"subject '{task.found.name}'", why, "leave the subject out")
    if reference is None or reference not in volumes:
        check_same_grid(dict(volumes), task.found.name)
        reference = next(iter(volumes))
    grid = volumes[reference].grid
    if task.spacing_mm is not None:
        grid = model_grid(grid, task.spacing_mm)
    return {
        column: _put_on(grid, volume, column in EXTRA_COLUMNS, transforms.get(column))
        for column, volume in volumes.items()
    }


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
