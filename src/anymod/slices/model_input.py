"""The one way from a subject's images to what a network sees, and back; training, evaluation and synthesis all take it.

The same head gives the same slices, whatever the order in which a file stores its axes, its orientation, and how much background it has:
the images are turned to the model's orientation, the grid is centred on the box around the foreground and covers it, and what lies
outside the foreground contributes to no value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anymod.arrays import Array
from anymod.cohorts.subject_images import SubjectImages
from anymod.errors import VolumeError
from anymod.slices.intensities import ImageScale, RawRange, slice_ranges
from anymod.slices.records import CacheSettings
from anymod.volumes import Grid, Volume, foreground_box, measured_part, model_grid, resample

RULE = 3  # of slicing; a new number whenever the same files would give other slices, so that stored ones are made again
MOST_VOXELS = 2**29  # of one image's slices: 2 GiB; a head of 256 mm has a quarter of that at 0.5 mm
HAIR = 1e-3  # of a voxel: more than rounding moves a point
WHOLE_STRIDE = 16  # even, as model sizes are: voxels of two grids around one foreground then coincide
LEAST_SHARE = 0.0487  # of a voxel that must be inside the model's foreground; far from simple fractions, where rounding would decide


@dataclass(frozen=True)
class ModelGrid:
    """The grid of slices on which a model sees a subject, and the way there and back.

    `own` is the grid of the subject's files, `box` the foreground's box on the images' grid, turned to the model's orientation, and
    `tight` the grid of the box.
    """

    own: Grid
    box: tuple[slice, ...]
    tight: Grid
    grid: Grid

    @classmethod
    def around(cls, turned: SubjectImages, own: Grid, settings: CacheSettings, stride: int | None) -> ModelGrid:
        """Return the grid for a subject's images, whose axes run to the model's orientation.

        Slices have the size of the settings; with a `stride` they grow in multiples of it until they hold the foreground.
        """
        box = foreground_box(turned.union)
        tight = turned.grid.part(box)
        height, width, count = model_grid(tight, settings.spacing_mm, orientation=settings.orientation).shape
        rows, columns = settings.image_size or (0, 0)
        if settings.image_size is None:
            stride = stride or WHOLE_STRIDE
        if stride is not None:
            rows, columns = (-(-max(pair) // stride) * stride for pair in ((rows, height), (columns, width)))
        if rows * columns * count > MOST_VOXELS:
            why = f"slices for {turned.grid} would take {rows} x {columns} x {count} voxels of {settings.spacing_mm} mm"
            raise VolumeError("image too large", turned.source, why, "check its voxel sizes, or crop it")
        grid = model_grid(tight, settings.spacing_mm, (rows, columns, count), settings.orientation)
        return cls(own, box, tight, grid)

    def planes(self, data: Array, foreground: Array) -> tuple[Array, Array]:
        """Return an image and its foreground, turned, both [X, Y, Z], as planes (slice, row, column), float32 and bool.

        Outside the foreground every voxel counts as the darkest one inside, so that the values depend on the foreground alone.
        """
        darkest = float(data[measured_part(data, foreground)].min(initial=data.max()))
        filled = np.where(foreground[self.box], data[self.box], darkest).astype(np.float32)
        values = resample(_with_border(filled, self.tight, darkest), self.grid, outside=darkest)
        return values.data.transpose(2, 0, 1), self.mask_planes(foreground)

    def mask_planes(self, mask: Array) -> Array:
        """Return a turned mask or label map [X, Y, Z] as planes (slice, row, column); outside the foreground's box it is 0.

        The nearest voxel decides; halfway between two it is the later one, as rounding would choose differently from file to file.
        """
        step = np.array(self.grid.spacing_mm) / self.tight.spacing_mm
        first = self.tight.to_indices(self.grid.to_world(np.zeros(3)))
        nearest = [
            np.clip(np.floor(start + each * np.arange(count) + 0.5 + HAIR).astype(int), -1, size)
            for start, each, count, size in zip(first, step, self.grid.shape, self.tight.shape, strict=True)
        ]
        return np.pad(mask[self.box], 1)[np.ix_(*(each + 1 for each in nearest))].transpose(2, 0, 1)

    def to_own_grid(self, planes: Array, seen: Array, foreground: Array, outside: float = 0.0) -> Volume:
        """Return planes (slice, row, column) of raw values as a volume on the own grid.

        Only planes' values inside `seen` (bool, of their shape) count. A voxel outside the subject's `foreground` [X, Y, Z], or that
        the model did not see, is `outside`.
        """
        (values,), known = self.on_grid([planes], seen, self.own)
        values[~(known & foreground)] = outside
        return Volume(values, self.own)

    def on_grid(self, images: Sequence[Array], seen: Array, grid: Grid) -> tuple[list[Array], Array]:
        """Return images, each as planes (slice, row, column), on another grid [X, Y, Z], and where they are known there.

        Only values inside `seen` (bool, of the planes' shape) count; where they are not known, the values mean nothing.
        """
        inside = seen.transpose(1, 2, 0)
        filled = (np.where(inside, planes.transpose(1, 2, 0), np.float32(0)) for planes in images)
        share, *moved = (
            resample(_with_border(each, self.grid, 0.0), grid).data for each in (inside.astype(np.float32), *filled)
        )
        known = share > LEAST_SHARE
        for values in moved:
            np.divide(values, share, out=values, where=known)
        return moved, known


@dataclass(frozen=True)
class ModelInput:
    """A subject's images on a model's grid, in raw intensities, and what their scaling needs.

    Shapes: planes (float32) and foreground (bool) are (slice, modality, row, column), 0 and False where a modality is absent; label, which
    is true where the subject's label map marks something, is (slice, row, column). `scales` runs over the modalities, None for an absent
    one. `slice_ranges` (slices, then modalities) is given where each slice has a range of its own. `cut_off` is the fraction of the
    foreground that lies outside the slices.
    """

    view: ModelGrid
    planes: Array
    foreground: Array
    label: Array
    scales: tuple[ImageScale | None, ...]
    slice_ranges: tuple[tuple[RawRange | None, ...], ...] | None
    cut_off: float

    @property
    def union(self) -> Array:
        """Where any image has foreground (slice, row, column)."""
        return np.logical_or.reduce(self.foreground, axis=1)


def model_input(
    images: SubjectImages, groups: Mapping[str, str], settings: CacheSettings, stride: int | None = None
) -> ModelInput:
    """Return what a model sees of a subject.

    Args:
        images: The images shown. What the model does not know must not be among them.
        groups: The model's modalities in its order, each with its group (`mr`, `us`).
        settings: Spacing, orientation, size of the slices and intensity rule.
        stride: Slices grow to hold the foreground, in multiples of this; None: they have exactly the size of the settings.

    Raises VolumeError where an image cannot be scaled, and where the slices would be too large or show nothing.
    """
    turned, rule = images.turned(settings.orientation), settings.intensity
    view = ModelGrid.around(turned, images.file_grid, settings, stride)
    rows, columns, count = view.grid.shape
    planes = np.zeros((count, len(groups), rows, columns), dtype=np.float32)
    foreground = np.zeros(planes.shape, dtype=bool)
    scales: list[ImageScale | None] = [None] * len(groups)
    for place, (name, group) in enumerate(groups.items()):
        if name in turned.volumes:
            image, inside = turned.volumes[name], turned.foregrounds[name]
            planes[:, place], foreground[:, place] = view.planes(image.data, inside)
            scales[place] = ImageScale.of(image, inside, rule, group)
    if not foreground.any():
        why = f"at {settings.spacing_mm} mm, none of its {turned.union.sum()} voxels of foreground lies in the model's slices"
        raise VolumeError("nothing to see", turned.source, why, "check its voxel sizes and its foreground")
    label = np.zeros_like(foreground[:, 0]) if turned.label is None else view.mask_planes(turned.label != 0)
    each_slice = slice_ranges(planes, foreground, rule) if rule.scope == "slice" else None
    size_here = foreground.any(1).sum() * np.prod(view.grid.spacing_mm)
    size_there = turned.union.sum() * np.prod(turned.grid.spacing_mm)
    cut_off = max(0.0, 1 - float(size_here / size_there))
    return ModelInput(view, planes, foreground, label, tuple(scales), each_slice, cut_off)


def _with_border(data: Array, grid: Grid, value: float) -> Volume:
    """Return an array on `grid` as a volume with one more voxel of a value on every side, so that interpolation ends alike everywhere.

    An axis of one voxel stays as it is: a single slice has no thickness that interpolation could know of.
    """
    widths = [int(size > 1) for size in grid.shape]
    box = tuple(slice(-width, size + width) for width, size in zip(widths, grid.shape, strict=True))
    return Volume(np.pad(data, [(width, width) for width in widths], constant_values=value), grid.part(box))
