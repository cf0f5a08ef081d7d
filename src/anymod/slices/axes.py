"""Slices along the three axes of a head. On a grid of cubic voxels all hold the same numbers, in another order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from anymod.arrays import Array
from anymod.slices.intensities import slice_ranges
from anymod.slices.model_input import ModelInput
from anymod.slices.records import SliceAxis
from anymod.volumes import IntensityRule

Axis = Literal["axial", "coronal", "sagittal"]


def axes_of(slice_axis: SliceAxis) -> tuple[Axis, ...]:
    """Return the axes that a model's slices are cut along, axial first."""
    return get_args(Axis) if slice_axis == "all" else ("axial",)


def swapped(planes: Array, axis: Axis) -> Array:
    """Return axial planes (slice, ..., row, column) cut along another axis, or such planes as axial ones again; a view.

    Axial slices have rows to the right and columns to the front, coronal ones rows to the right and columns to the head, sagittal ones
    rows to the head and columns to the front.
    """
    return planes if axis == "axial" else planes.swapaxes(0, -1 if axis == "coronal" else -2)


def fitted(planes: Array, size: tuple[int, int]) -> Array:
    """Return planes (..., row, column) cut, or padded with 0, about their centre to `size`; padding is undone by the old size."""
    for axis, wanted in zip((-2, -1), size, strict=True):
        excess = planes.shape[axis] - wanted
        if excess > 0:
            planes = np.take(planes, np.arange(wanted) + excess // 2, axis)
        elif excess < 0:
            widths = [(0, 0)] * planes.ndim
            widths[axis] = (-excess // 2, -excess - -excess // 2)
            planes = np.pad(planes, widths)
    return planes


def along(seen: ModelInput, axis: Axis, size: tuple[int, int], rule: IntensityRule) -> ModelInput:
    """Return what a model sees of a subject in slices of `size` along an axis; its `view` remains that of the axial slices."""
    if axis == "axial" and seen.planes.shape[-2:] == size:
        return seen
    planes, foreground, label = (
        np.ascontiguousarray(fitted(swapped(each, axis), size)) for each in (seen.planes, seen.foreground, seen.label)
    )
    ranges = None if seen.slice_ranges is None else slice_ranges(planes, foreground, rule)
    lost = 1 - foreground.any(1).sum() / seen.union.sum()
    cut_off = 1 - (1 - seen.cut_off) * (1 - float(lost))
    return replace(seen, planes=planes, foreground=foreground, label=label, slice_ranges=ranges, cut_off=cut_off)


@dataclass(frozen=True)
class Stack:
    """What a model sees of a subject in slices along one axis; `size` is theirs before they grew to one that the model takes."""

    axis: Axis
    seen: ModelInput
    size: tuple[int, int]

    @classmethod
    def of(cls, axial: ModelInput, axis: Axis, stride: int, rule: IntensityRule) -> Stack:
        """Return the slices along an axis that hold what the axial ones hold; rows and columns are multiples of the stride."""
        rows, columns = swapped(axial.label, axis).shape[-2:]
        grown = (-(-rows // stride) * stride, -(-columns // stride) * stride)
        return cls(axis, along(axial, axis, grown, rule), (rows, columns))

    def as_axial(self, images: Array) -> Array:
        """Return images (target, slice, row, column) along the axis as axial ones."""
        return np.moveaxis(swapped(np.moveaxis(fitted(images, self.size), 1, 0), self.axis), 0, 1)
