"""One subject's slices made and written as arrays, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.cohorts.schema import Cohort, Modality, Subject
from anymod.cohorts.subject_images import SubjectImages, read_subject_images
from anymod.configuration import read_yaml, validate
from anymod.errors import CohortError, OutputError
from anymod.files import write_json
from anymod.folders import replaced_folder
from anymod.slices.axes import along, axes_of
from anymod.slices.intensities import Anchor
from anymod.slices.looks import Look
from anymod.slices.model_input import RULE, model_input
from anymod.slices.records import ARRAYS, RECORD, CacheSettings, SubjectSlices
from anymod.slices.score_units import Landmarks
from anymod.volumes import content_fingerprint

WHITE_MATTER_LABELS = (2, 41)
"""Left and right cerebral white matter in FreeSurfer's numbers; simulated subjects use 2 for both."""

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
            # Unlike a record of an earlier version.
            whole = record.fingerprints and record.landmarks and record.look is not None
            if whole and record.key == key and all((target / name).is_file() for name in ARRAYS):
                return record
    images = read_subject_images(task.cohort, task.subject)
    white_matter = tuple(_white_matter(task, images, modality) for modality in task.cohort.modalities)
    turned = images.turned("RAS")
    axial = model_input(images, {each.name: each.group for each in task.cohort.modalities}, task.settings)
    size, rule = axial.planes.shape[-2:], task.settings.intensity
    stacks = [along(axial, axis, size, rule) for axis in axes_of(task.settings.slice_axis)]
    planes, foreground, label = (
        np.concatenate(each) for each in zip(*((one.planes, one.foreground, one.label) for one in stacks), strict=True)
    )
    record = SubjectSlices(
        name=task.subject.name,
        key=key,
        scales=axial.scales,
        slice_ranges=None
        if axial.slice_ranges is None
        else tuple(each for one in stacks for each in one.slice_ranges or ()),
        white_matter=white_matter,
        foreground_fractions=tuple(tuple(row) for row in foreground.mean((2, 3)).round(6).tolist()),
        union_fractions=tuple(foreground.any(1).mean((1, 2)).round(6).tolist()),
        labelled=tuple(bool(plane.any()) for plane in label),
        cut_off=max(one.cut_off for one in stacks),
        stacks=tuple(len(one.planes) for one in stacks),
        look=Look.of(turned),
        landmarks=tuple(
            Landmarks.of(turned.volumes[each.name], turned.foregrounds[each.name], each.group)
            if each.name in turned.volumes
            else None
            for each in task.cohort.modalities
        ),
        fingerprints=tuple(
            content_fingerprint(images.volumes[each.name]) if each.name in images.volumes else None
            for each in task.cohort.modalities
        ),
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
    if task.settings.slice_axis == "axial":
        del settings["slice_axis"]  # as before there were others: slices of then are still good
    groups = [(modality.name, modality.group) for modality in task.cohort.modalities]
    parts = [RULE, settings, groups, task.cohort.subject_fingerprint(task.subject)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _white_matter(task: SlicingTask, images: SubjectImages, modality: Modality) -> Anchor | None:
    return white_matter_anchor(images, modality, task.settings, f"subject '{task.subject.name}'")


def white_matter_anchor(
    images: SubjectImages, modality: Modality, settings: CacheSettings, where: str
) -> Anchor | None:
    """Return what a harmonized target needs of one image; None for ultrasound, which keeps the input's rule (docs/method.md section 9).

    Raises CohortError where the subject, named by `where`, has no tissue map or no white matter in it.
    """
    if settings.targets != "harmonized" or modality.group == "us" or modality.name not in images.volumes:
        return None
    if images.tissue is None:
        remedy = "give a tissue map ('anymod prepare --white-matter auto' makes one), or choose targets: percentile"
        raise CohortError("no tissue map", where, "harmonized targets need to know its white matter", remedy)
    foreground, data = images.foregrounds[modality.name], images.volumes[modality.name].data
    white_matter = np.isin(images.tissue, WHITE_MATTER_LABELS) & foreground
    if not white_matter.any():
        why = f"no voxel of {modality.name}'s foreground has label 2 or 41 (white matter)"
        raise CohortError("no white matter", where, why, "correct the tissue map, or choose targets: percentile")
    median = float(np.median(data[white_matter]))
    return Anchor.of(data[foreground], median, settings.intensity, f"the white matter of {modality.name}, {where}")


def _write(target: Path, record: SubjectSlices, arrays: Sequence[Array]) -> None:
    """Put the arrays and their record at `target`, whole or not at all."""
    try:
        strangers = sorted({entry.name for entry in target.iterdir()} - {*ARRAYS, RECORD}) if target.exists() else []
        if strangers:
            why = f"it holds '{strangers[0]}', which no slice cache made"
            raise OutputError("cannot write slices", target, why, "choose another folder for the cache")
        with replaced_folder(target) as folder:
            for name, array in zip(ARRAYS, arrays, strict=True):
                with (folder / name).open("wb") as stream:
                    np.save(stream, np.ascontiguousarray(array))  # `store` reads rows one after the other
            write_json(folder / RECORD, record.model_dump(mode="json"))
    except OSError as error:
        raise OutputError(
            "cannot write", target, error.strerror or str(error), "check space and permissions"
        ) from error
