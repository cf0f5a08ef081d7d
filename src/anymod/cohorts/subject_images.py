"""All images of one subject together: one grid, a foreground for each, the maps that came with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from anymod.arrays import Array
from anymod.cohorts.schema import EXTRA_COLUMNS, Cohort, Subject
from anymod.errors import GridError, VolumeError
from anymod.volumes import Grid, Volume, check_image, foreground_of, orient, read_labels, read_volume


@dataclass(frozen=True)
class SubjectImages:
    """The observed images of a subject on their one grid, with bool foregrounds of the same shape.

    `label` and `tissue` (FreeSurfer labels) are None where the subject has none.
    """

    volumes: dict[str, Volume]
    foregrounds: dict[str, Array]
    label: Array | None = None
    tissue: Array | None = None

    @classmethod
    def of(cls, read: Mapping[str, Volume], where: str = "") -> SubjectImages:
        """Return a subject's images from all its volumes, by modality or as `mask`, `label` and `tissue`.

        The mask, if there is one, is the foreground of all images; otherwise each image shows its own. Raises GridError where two grids
        differ, VolumeError where the mask is empty or an image shows nothing; `where` names the subject in errors.
        """
        check_same_grid(read, where)
        mask, label, tissue = (read[column].data if column in read else None for column in EXTRA_COLUMNS)
        if mask is not None and not mask.any():
            raise VolumeError(
                "empty mask",
                read["mask"].source or where or "the mask",
                "it marks no voxel",
                "give another mask, or none",
            )
        volumes = {name: volume for name, volume in read.items() if name not in EXTRA_COLUMNS}
        for volume in volumes.values():
            check_image(volume)
        foregrounds = {name: foreground_of(volume.data, mask) for name, volume in volumes.items()}
        return cls(volumes, foregrounds, label, tissue)

    def turned(self, orientation: str) -> SubjectImages:
        """Return the same images with their axes running to `orientation` (such as "RAS"), as views."""

        def turn(data: Array) -> Array:
            return orient(Volume(data, self.grid), orientation).data

        return SubjectImages(
            {name: orient(volume, orientation) for name, volume in self.volumes.items()},
            {name: turn(foreground) for name, foreground in self.foregrounds.items()},
            *(None if each is None else turn(each) for each in (self.label, self.tissue)),
        )

    @property
    def grid(self) -> Grid:
        """The grid of every image."""
        return next(iter(self.volumes.values())).grid

    @property
    def union(self) -> Array:
        """Where any image has foreground."""
        return np.logical_or.reduce(list(self.foregrounds.values()))


def read_subject_images(cohort: Cohort, subject: Subject) -> SubjectImages:
    """Return a subject's images; raise what `SubjectImages.of` raises, and VolumeError for a file that cannot be used."""
    files = {column: cohort.path(subject, column) for column in subject.files}
    read = {column: (read_volume if column in subject.paths else read_labels)(path) for column, path in files.items()}
    return SubjectImages.of(read, f"subject '{subject.name}'")


def check_same_grid(volumes: Mapping[str, Volume], where: str = "") -> None:
    """Raise GridError that names the first volume whose grid differs from the first one's; `where` names the subject instead of a file."""
    first, *others = volumes
    for other in others:
        if not volumes[first].grid.same_as(volumes[other].grid):
            grids = [volumes[name].grid for name in (first, other)]
            elsewhere = " at another place" if repr(grids[0]) == repr(grids[1]) else ""
            file = f" ({volumes[other].source})" if volumes[other].source else ""
            why = f"{first} has {grids[0]}, {other}{file} has {grids[1]}{elsewhere}"
            remedy = f"put them on one grid with 'anymod prepare --source folder … --resample-to {first}'"
            raise GridError("different grids", where or volumes[other].source or other, why, remedy)
