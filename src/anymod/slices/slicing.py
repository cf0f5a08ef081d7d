"""One subject's images resampled, measured and written as arrays, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.cohorts.schema import Cohort, Modality, Subject
from anymod.cohorts.subject_images import SubjectImages, read_subject_images
from anymod.configuration import read_yaml, validate
from anymod.errors import CohortError, OutputError, VolumeError
from anymod.files import write_json
from anymod.slices.records import ARRAYS, RECORD, CacheSettings, RawRange, SubjectSlices, WhiteMatter
from anymod.volumes import (
    Grid,
    IntensityRule,
    Volume,
    background_of,
    core_median,
    foreground_centre_mm,
    model_grid,
    resample,
)

WHITE_MATTER_LABELS = (2, 41)
"""Left and right cerebral white matter in FreeSurfer's numbers; simulated subjects use 2 for both."""
BRIGHTEST_PERCENTILE = 99.9
"""Of the foreground: what a white-matter median is compared with to find c_m (docs/method.md section 9)."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SlicingTask:
    """One subject to be sliced into `folder`/<its name>."""

    cohort: Cohort
    subject: Subject
    settings: CacheSettings
    folder: Path


def slice_subject(task: SlicingTask) -> SubjectSlices:
    """Return the record of one subject's slices, made now unless files and settings are those they were made from."""
    target, key = task.folder / task.subject.name, slices_key(task)
    if (target / RECORD).is_file():
        try:
            record = read_record(target)
        except CohortError as problem:
            logger.warning("slicing subject %s again: %s", task.subject.name, problem)
        else:
            if record.key == key and all((target / name).is_file() for name in ARRAYS):
                return record
    images = read_subject_images(task.cohort, task.subject)
    white_matter = tuple(_white_matter(task, images, modality) for modality in task.cohort.modalities)
    grid = _model_grid(task, images)
    planes, foreground, cut_off = _to_planes(task, images, grid)
    label = _label_planes(images, grid)
    rule = task.settings.intensity
    record = SubjectSlices(
        name=task.subject.name,
        key=key,
        observed=tuple(name in images.volumes for name in task.cohort.modality_names),
        volume_ranges=tuple(_volume_range(images, name, rule) for name in task.cohort.modality_names),
        backgrounds=tuple(_background(images, name) for name in task.cohort.modality_names),
        slice_ranges=_slice_ranges(planes, foreground, rule) if rule.scope == "slice" else None,
        white_matter=white_matter,
        cores=tuple(_core(task, images, modality) for modality in task.cohort.modalities),
        foreground_fractions=tuple(tuple(row) for row in foreground.mean((2, 3)).round(6).tolist()),
        union_fractions=tuple(foreground.any(1).mean((1, 2)).round(6).tolist()),
        labelled=tuple(bool(plane.any()) for plane in label),
        cut_off=cut_off,
    )
    _write(target, record, (planes, foreground, label))
    return record


def read_record(folder: Path) -> SubjectSlices:
    """Return what `slice_subject` wrote of one subject; raise CohortError where it is missing or broken."""
    path = folder / RECORD
    content = read_yaml(path, error=CohortError)
    content = {name: value for name, value in content.items() if name not in ("format", "anymod")}
    return validate(SubjectSlices, content, path, error=CohortError)


def slices_key(task: SlicingTask) -> str:
    """Return a SHA-256 over the subject's files and all else that shapes its arrays."""
    # min_foreground chooses among slices when they are used, so it shapes no array.
    settings = task.settings.model_dump(mode="json", exclude={"min_foreground"})
    parts = [settings, task.cohort.modality_names, task.cohort.subject_fingerprint(task.subject)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _model_grid(task: SlicingTask, images: SubjectImages) -> Grid:
    """Return the grid that the slices lie on, its centre that of the foreground."""
    centre_mm = foreground_centre_mm(images.union, images.grid)
    settings = task.settings
    return model_grid(
        images.grid, settings.spacing_mm, settings.image_size, centre_mm=centre_mm, orientation=settings.orientation
    )


def _label_planes(images: SubjectImages, grid: Grid) -> Array:
    """Return what the label map marks (slice, right, anterior); nothing where there is none."""
    if images.label is None:
        return np.zeros((grid.shape[2], *grid.shape[:2]), dtype=bool)
    return resample(Volume(images.label != 0, images.grid), grid, labels=True).data.transpose(2, 0, 1)


def _to_planes(task: SlicingTask, images: SubjectImages, grid: Grid) -> tuple[Array, Array, float]:
    """Return images and foreground (slice, modality, right, anterior), and which part of the foreground did not fit."""
    right, anterior, count = grid.shape
    planes = np.zeros((count, len(task.cohort.modalities), right, anterior), dtype=np.float32)
    foreground = np.zeros(planes.shape, dtype=bool)
    for position, name in enumerate(task.cohort.modality_names):
        if name in images.volumes:
            volume = images.volumes[name]
            inside = replace(volume, data=images.foregrounds[name])
            resampled = resample(volume, grid, outside=float(volume.data.min()))
            planes[:, position] = resampled.data.transpose(2, 0, 1)
            foreground[:, position] = resample(inside, grid, labels=True).data.transpose(2, 0, 1)
    size_there = float(images.union.sum() * np.prod(images.grid.spacing_mm))
    size_here = float(foreground.any(1).sum() * np.prod(grid.spacing_mm))
    return planes, foreground, max(0.0, 1 - size_here / size_there)


def _volume_range(images: SubjectImages, modality: str, rule: IntensityRule) -> RawRange | None:
    if modality not in images.volumes:
        return None
    volume = images.volumes[modality]
    # On the image's own grid, as synthesis measures it too.
    measured = rule.measure(volume.data, images.foregrounds[modality], volume.source)
    return measured.low, measured.high


def _background(images: SubjectImages, modality: str) -> float | None:
    if modality not in images.volumes:
        return None
    return background_of(images.volumes[modality].data, images.foregrounds[modality])


def _slice_ranges(planes: Array, foreground: Array, rule: IntensityRule) -> tuple[tuple[RawRange | None, ...], ...]:
    return tuple(
        tuple(_plane_range(plane, inside, rule) for plane, inside in zip(*both, strict=True))
        for both in zip(planes, foreground, strict=True)
    )


def _plane_range(plane: Array, inside: Array, rule: IntensityRule) -> RawRange | None:
    try:
        measured = rule.measure(plane, inside)
    except VolumeError:  # nothing there, or one value: the slice is shown as background
        return None
    return measured.low, measured.high


def _white_matter(task: SlicingTask, images: SubjectImages, modality: Modality) -> WhiteMatter | None:
    """Return what harmonized targets need of one image; ultrasound keeps the input's rule (docs/method.md section 9)."""
    if task.settings.targets != "harmonized" or modality.group == "us" or modality.name not in images.volumes:
        return None
    where = f"subject '{task.subject.name}'"
    if images.tissue is None:
        remedy = "give a tissue map ('anymod prepare --white-matter auto' makes one), or choose targets: percentile"
        raise CohortError("no tissue map", where, "harmonized targets need to know its white matter", remedy)
    foreground, data = images.foregrounds[modality.name], images.volumes[modality.name].data
    white_matter = np.isin(images.tissue, WHITE_MATTER_LABELS) & foreground
    if not white_matter.any():
        why = f"no voxel of {modality.name}'s foreground has label 2 or 41 (white matter)"
        raise CohortError("no white matter", where, why, "mend the tissue map, or choose targets: percentile")
    median = float(np.median(data[white_matter]))
    return _as_white_matter(data[foreground], median, task.settings.intensity, f"{modality.name}'s white matter", where)


def _core(task: SlicingTask, images: SubjectImages, modality: Modality) -> WhiteMatter | None:
    """Return what anchors one image at the median of its core; None where the intensity rule does not ask for it."""
    if not task.settings.intensity.has_core(modality.group) or modality.name not in images.volumes:
        return None
    volume, foreground = images.volumes[modality.name], images.foregrounds[modality.name]
    # On the image's own grid, as synthesis measures it too.
    median = core_median(volume.data, foreground, volume.spacing_mm, volume.source)
    where = f"subject '{task.subject.name}'"
    return _as_white_matter(volume.data[foreground], median, task.settings.intensity, f"{modality.name}'s core", where)


def _as_white_matter(values: Array, median: float, rule: IntensityRule, what: str, where: str) -> WhiteMatter:
    low, brightest = (float(np.percentile(values, each)) for each in (rule.lower_percentile, BRIGHTEST_PERCENTILE))
    if not low < median < brightest:
        why = f"the median {median:g} of {what} is not inside its range {low:g} to {brightest:g}"
        raise CohortError("unusable intensities", where, why, "look at it with 'anymod check'; leave the image out")
    return WhiteMatter(low=low, median=median, share=(median - low) / (brightest - low))


def _write(target: Path, record: SubjectSlices, arrays: Sequence[Array]) -> None:
    """Put the arrays and their record at `target`: built beside it and renamed, so that no reader meets a half of them."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        strangers = sorted({entry.name for entry in target.iterdir()} - {*ARRAYS, RECORD}) if target.exists() else []
        if strangers:
            why = f"it holds '{strangers[0]}', which no slice cache made"
            raise OutputError("cannot write slices", target, why, "choose another folder for the cache")
        temporary = Path(tempfile.mkdtemp(prefix=".slicing-", dir=target.parent))
        try:
            for name, array in zip(ARRAYS, arrays, strict=True):
                with (temporary / name).open("wb") as stream:
                    np.save(stream, array)
                    stream.flush()
                    os.fsync(stream.fileno())
            write_json(temporary / RECORD, record.model_dump(mode="json"))
            if target.exists():
                shutil.rmtree(target)
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            "cannot write", target, error.strerror or str(error), "check space and permissions"
        ) from error
