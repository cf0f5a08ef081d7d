"""From a subject's own grid to the model's and back, exactly as the slice cache cuts and scales for training."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from anymod.arrays import Array
from anymod.errors import GridError, VolumeError
from anymod.models import ModelDescription, ModelModality, UnifiedModel
from anymod.volumes import (
    Grid,
    IntensityRange,
    IntensityRule,
    Volume,
    background_of,
    check_image,
    core_median,
    foreground_centre_mm,
    foreground_of,
    measure_harmonized_range,
    model_grid,
    orient,
    orient_grid,
    resample,
    scale,
    unscale,
)
from anymod.volumes.intensity import INPUT_FLOOR

LEAST_WEIGHT = 0.05  # share of a voxel that a model's foreground must reach into before its value counts


@dataclass(frozen=True)
class Placed:
    """What is shown of one subject, as the model sees it, and the way back.

    Shapes: images (float32 in [-1, 1], background -1) and foregrounds (bool) are (slice, row, column) on `model_grid`;
    `foreground` is the union of the foregrounds on the subject's own `grid`. `ranges` are the images' raw ranges over the volume;
    `background` their raw values outside; `cut_off` the fraction of the foreground that the model's grid does not hold.
    """

    grid: Grid
    model_grid: Grid
    images: dict[str, Array]
    foregrounds: dict[str, Array]
    foreground: Array
    ranges: dict[str, IntensityRange]
    background: dict[str, float]
    cut_off: float

    def to_own_grid(self, planes: Array, outside: float = 0.0) -> Volume:
        """Return planes (slice, right, anterior) of raw values on the subject's grid, with `outside` where the model saw no foreground.

        Background must not bleed into the rim: values are weighed by how much of a voxel is the model's foreground.
        """
        seen = np.logical_or.reduce(list(self.foregrounds.values()))
        weight = self._resampled(seen.astype(np.float32))
        values = self._resampled(np.where(seen, planes, np.float32(0)))
        known = self.foreground & (weight > LEAST_WEIGHT)
        np.divide(values, weight, out=values, where=known)
        values[~known] = outside
        return Volume(values, self.grid)

    def _resampled(self, planes: Array) -> Array:
        return resample(Volume(planes.transpose(1, 2, 0), self.model_grid), self.grid).data.copy()


def place(
    volumes: dict[str, Volume], mask: Volume | None, model: UnifiedModel, description: ModelDescription
) -> Placed:
    """Return the shown volumes on the model's grid; raise VolumeError or GridError for what cannot be used."""
    grid = next(iter(volumes.values())).grid
    foregrounds = {name: _foreground(volume, mask) for name, volume in volumes.items()}
    union = np.logical_or.reduce(list(foregrounds.values()))
    seen_grid = model_grid(
        grid,
        description.spacing_mm,
        _plane_size(union, grid, model, description),
        centre_mm=foreground_centre_mm(union, grid),
        orientation=description.orientation,
    )
    rule = description.intensity
    images, seen, ranges = {}, {}, {}
    for name, volume in volumes.items():
        ranges[name] = _input_range(volume, foregrounds[name], description.modalities[description.position(name)], rule)
        planes = resample(volume, seen_grid, outside=float(volume.data.min())).data.transpose(2, 0, 1)
        inside = resample(replace(volume, data=foregrounds[name]), seen_grid, labels=True).data.transpose(2, 0, 1)
        seen[name] = inside
        images[name] = scaled_planes(planes, inside, ranges[name], rule)
    share = np.logical_or.reduce(list(seen.values())).sum() * np.prod(seen_grid.spacing_mm)
    cut_off = max(0.0, 1 - float(share / (union.sum() * np.prod(grid.spacing_mm))))
    background = {name: background_of(volume.data, foregrounds[name]) for name, volume in volumes.items()}
    return Placed(grid, seen_grid, images, seen, union, ranges, background, cut_off)


def _input_range(volume: Volume, foreground: Array, modality: ModelModality, rule: IntensityRule) -> IntensityRange:
    where = volume.source or modality.name
    constant = modality.harmonized_median
    if constant is None or not rule.has_core(modality.group):
        return rule.measure(volume.data, foreground, where)
    median = core_median(volume.data, foreground, volume.spacing_mm, where)
    return measure_harmonized_range(
        volume.data, foreground, median, constant, where, floor=INPUT_FLOOR, lower_percentile=rule.lower_percentile
    )


def scaled_planes(planes: Array, inside: Array, intensities: IntensityRange, rule: IntensityRule) -> Array:
    """Return (slice, h, w) scaled over the volume, or each slice over itself where the rule says so (else as background)."""
    if rule.scope == "volume":
        return scale(planes, intensities, inside)
    scaled = np.full(planes.shape, -1.0, dtype=np.float32)
    for number, (plane, part) in enumerate(zip(planes, inside, strict=True)):
        try:
            scaled[number] = scale(plane, rule.measure(plane, part), part)
        except VolumeError:  # nothing there, or one value: shown as background, as in the slice cache
            continue
    return scaled


def raw_units(name: str, placed: Placed, description: ModelDescription) -> IntensityRange:
    """Return what turns a target's scaled values into raw ones: its own range where it was shown, else the model's typical one.

    Harmonized targets are on their modality's common scale, shown or not; ultrasound never is one (method, section 9).
    """
    modality = description.modalities[description.position(name)]
    harmonized = description.targets == "harmonized" and modality.group != "us"
    if name in placed.ranges and not harmonized:
        return placed.ranges[name]
    if harmonized:
        return IntensityRange(modality.low, modality.high, -1.0)
    return IntensityRange(modality.low, modality.high)


def raw_planes(planes: Array, units: IntensityRange) -> Array:
    """Return scaled planes in raw units."""
    return unscale(planes, units)


def raw_per_scaled(units: IntensityRange) -> float:
    """Return how many raw units one unit of the scale is, for standard deviations and errors."""
    return (units.high - units.low) / (1 - units.floor)


def check_one_grid(volumes: dict[str, Volume], mask: Volume | None) -> None:
    """Raise GridError that names the first image on another grid than the first one."""
    images = {**volumes, **({"the mask": mask} if mask is not None else {})}
    first, *others = images
    for other in others:
        if not images[first].grid.same_as(images[other].grid):
            why = f"{first} has {images[first].grid}, {other} has {images[other].grid}"
            if repr(images[first].grid) == repr(images[other].grid):
                why += " at another place"
            remedy = f"put them on one grid with 'anymod prepare --source folder … --resample-to {first}'"
            raise GridError("different grids", images[other].source or other, why, remedy)


def _foreground(volume: Volume, mask: Volume | None) -> Array:
    check_image(volume)
    inside = foreground_of(volume.data, None if mask is None else mask.data)
    if not inside.any():
        raise VolumeError("empty foreground", volume.source or "the mask", "no voxel is marked", "give another mask")
    return inside


def _plane_size(foreground: Array, grid: Grid, model: UnifiedModel, description: ModelDescription) -> tuple[int, int]:
    """Return (rows, columns) of the model's slices: what the model is bound to, else enough for the foreground."""
    if model.fixed_size is not None:
        return model.fixed_size
    canonical = orient(Volume(foreground, grid), "RAS").data
    spacing = orient_grid(grid, "RAS").spacing_mm
    sizes = []
    for axis in (0, 1):
        occupied = np.flatnonzero(canonical.any(axis=tuple({0, 1, 2} - {axis})))
        length_mm = (occupied[-1] - occupied[0] + 1) * spacing[axis]
        # One voxel more: the grids' voxels need not coincide.
        wanted = max(description.image_size[axis], math.ceil(length_mm / description.spacing_mm) + 1)
        sizes.append(math.ceil(wanted / model.stride) * model.stride)
    return sizes[0], sizes[1]
