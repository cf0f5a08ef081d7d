"""All images of one subject, read together: one grid, a foreground for each, the maps that came with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anymod.arrays import Array
from anymod.cohorts.schema import Cohort, Subject
from anymod.errors import CohortError, GridError
from anymod.volumes import Grid, Volume, foreground_of, read_labels, read_volume


@dataclass(frozen=True)
class SubjectImages:
    """The observed images of a subject on their one grid, with bool foregrounds of the same shape.

    `mask`, `label` and `tissue` (FreeSurfer labels) are None where the cohort gives none.
    """

    volumes: dict[str, Volume]
    foregrounds: dict[str, Array]
    mask: Array | None
    label: Array | None
    tissue: Array | None

    @property
    def grid(self) -> Grid:
        """The grid of every image."""
        return next(iter(self.volumes.values())).grid

    @property
    def union(self) -> Array:
        """Where any image has foreground."""
        return np.logical_or.reduce(list(self.foregrounds.values()))


def read_subject_images(cohort: Cohort, subject: Subject) -> SubjectImages:
    """Return a subject's images; raise VolumeError for a file that cannot be used, GridError where two grids differ.

    The subject's mask, where it has one, is the foreground of all its images; otherwise each image shows its own.
    """
    files = {column: cohort.path(subject, column) for column in subject.files}
    read = {column: (read_volume if column in subject.paths else read_labels)(path) for column, path in files.items()}
    check_same_grid(read, subject.name)
    mask = read["mask"].data != 0 if "mask" in read else None
    if mask is not None and not mask.any():
        raise CohortError("empty mask", files["mask"], "it marks no voxel", "mend it, or empty its cell")
    volumes = {modality: read[modality] for modality in subject.paths}
    foregrounds = {modality: foreground_of(volume.data, mask) for modality, volume in volumes.items()}
    label, tissue = (read[column].data if column in read else None for column in ("label", "tissue"))
    return SubjectImages(volumes, foregrounds, mask, label, tissue)


def check_same_grid(volumes: dict[str, Volume], subject: str) -> None:
    """Raise GridError that names two images of the subject whose grids differ."""
    first, *others = volumes
    for other in others:
        if not volumes[first].grid.same_as(volumes[other].grid):
            grids = [volumes[name].grid for name in (first, other)]
            elsewhere = " at another place" if repr(grids[0]) == repr(grids[1]) else ""
            why = f"{first} has {grids[0]}, {other} has {grids[1]}{elsewhere}"
            remedy = f"put them on one grid with 'anymod prepare --resample-to {first}'"
            raise GridError("different grids", f"subject '{subject}'", why, remedy)
