"""Images of one subject on one grid, with their foregrounds and the subject's maps."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from anymod.arrays import Array
from anymod.cohorts.schema import EXTRA_COLUMNS, Cohort, Subject
from anymod.errors import GridError, VolumeError
from anymod.volumes import Grid, Volume, check_image, foreground_doubt, foreground_of, orient, read_labels, read_volume

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SubjectImages:
    """Observed images of a subject on one grid, with bool foregrounds of the same shape.

    `label` and `tissue` (FreeSurfer labels) are None if the subject has none.
    """

    volumes: dict[str, Volume]
    foregrounds: dict[str, Array]
    label: Array | None = None
    tissue: Array | None = None

    @classmethod
    def of(cls, read: Mapping[str, Volume], where: str = "") -> SubjectImages:
        """Return the images in a subject's volumes, named by modality, `mask`, `label` and `tissue`.

        The mask, if there is one, is the foreground of all images; otherwise each image has its own. Raises GridError if two grids
        differ, VolumeError if the mask is empty or an image shows nothing; `where` is the subject in these errors.
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
        foregrounds = {name: foreground_of(volume.data, mask, volume.spacing_mm) for name, volume in volumes.items()}
        if mask is None:
            _report_doubts(volumes, foregrounds, where)
        return cls(volumes, foregrounds, label, tissue)

    def turned(self, orientation: str) -> SubjectImages:
        """Return views of the images with axes in an orientation such as "RAS"."""

        def turn(data: Array) -> Array:
            return orient(Volume(data, self.grid), orientation).data

        return SubjectImages(
            {name: orient(volume, orientation) for name, volume in self.volumes.items()},
            {name: turn(foreground) for name, foreground in self.foregrounds.items()},
            *(None if each is None else turn(each) for each in (self.label, self.tissue)),
        )

    @property
    def grid(self) -> Grid:
        """Grid of all images."""
        return next(iter(self.volumes.values())).grid

    @property
    def source(self) -> str:
        """File of the first image, for messages."""
        return next(iter(self.volumes.values())).source or "the subject"

    @property
    def file_grid(self) -> Grid:
        """Grid of the first image's file, on which results are written; `grid` unless its axes are not perpendicular."""
        return next(iter(self.volumes.values())).file_grid or self.grid

    @property
    def union(self) -> Array:
        """Union of all foregrounds, bool [X, Y, Z]."""
        return np.logical_or.reduce(list(self.foregrounds.values()))


def read_subject_images(cohort: Cohort, subject: Subject) -> SubjectImages:
    """Return a subject's images; raise the errors of `SubjectImages.of`, and VolumeError for a file that cannot be used."""
    files = {column: cohort.path(subject, column) for column in subject.files}
    read = {column: (read_volume if column in subject.paths else read_labels)(path) for column, path in files.items()}
    return SubjectImages.of(read, f"subject '{subject.name}'")


def _report_doubts(volumes: Mapping[str, Volume], foregrounds: Mapping[str, Array], where: str) -> None:
    for name, volume in volumes.items():
        doubt = foreground_doubt(volume.data, foregrounds[name])
        if doubt is not None:
            logger.warning(
                "%s: %s; give a mask if that is wrong", volume.source or f"{name} of {where or 'the subject'}", doubt
            )


def check_same_grid(volumes: Mapping[str, Volume], where: str = "") -> None:
    """Raise GridError for the first volume whose grid differs from that of the first; `where` is the subject, by default the file."""
    first, *others = volumes
    for other in others:
        if not volumes[first].grid.same_as(volumes[other].grid):
            grids = [volumes[name].grid for name in (first, other)]
            elsewhere = " at another place" if repr(grids[0]) == repr(grids[1]) else ""
            file = f" ({volumes[other].source})" if volumes[other].source else ""
            why = f"{first} has {grids[0]}, {other}{file} has {grids[1]}{elsewhere}"
            remedy = f"put them on one grid with 'anymod prepare --source folder … --resample-to {first}'"
            raise GridError("different grids", where or volumes[other].source or other, why, remedy)
