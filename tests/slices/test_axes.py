"""Slices along three axes: the same voxels, found where they should be, and put back where they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from anymod.cohorts import Cohort
from anymod.slices import CacheSettings, SliceCache, augment, build_cache
from anymod.slices.augmentation import AugmentationSettings
from anymod.slices.axes import Axis, Stack, along, fitted, swapped
from anymod.slices.intensities import ImageScale, write_row
from anymod.slices.model_input import ModelGrid, ModelInput
from anymod.slices.slicing import SlicingTask, slices_key
from anymod.volumes import Grid, IntensityRule

AXES = get_args(Axis)
MakeCohort = Callable[..., Cohort]
ALL = CacheSettings(image_size=(12, 10), spacing_mm=2.0, slice_axis="all")
sizes = st.integers(1, 9)


def seen_of(shape: tuple[int, int, int], *, each_slice: bool = False) -> ModelInput:
    """Return what a model sees of one image with another value in each voxel; `shape` is (slices, rows, columns)."""
    planes = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)[:, None] + 1
    count, rows, columns = shape
    grid = Grid((rows, columns, count), np.eye(4))
    view = ModelGrid(grid, tuple(slice(0, size) for size in grid.shape), grid, grid)
    scale = ImageScale(range=(0.0, 1.0), background=0.0, core=None)
    ranges = tuple(((0.0, 1.0),) for _ in range(count)) if each_slice else None
    return ModelInput(view, planes, planes > 0, planes[:, 0] > 5, (scale,), ranges, 0.0)


@given(st.tuples(sizes, sizes, sizes), st.sampled_from(AXES), st.sampled_from([1, 2, 4]))
@settings(max_examples=30, deadline=None)
def test_slices_along_any_axis_hold_everything_and_come_back_as_axial_ones(
    shape: tuple[int, int, int], axis: Axis, stride: int
) -> None:
    axial = seen_of(shape)
    stack = Stack.of(axial, axis, stride, IntensityRule())
    assert all(side % stride == 0 for side in stack.seen.planes.shape[-2:])
    assert np.isin(axial.planes, stack.seen.planes).all()
    assert stack.seen.cut_off == 0
    images = np.moveaxis(np.concatenate([stack.seen.planes, -stack.seen.planes], axis=1), 1, 0)  # two targets
    np.testing.assert_array_equal(stack.as_axial(images)[0], axial.planes[:, 0])
    np.testing.assert_array_equal(stack.as_axial(images)[1], -axial.planes[:, 0])


def test_a_point_is_found_in_the_slices_of_each_axis() -> None:
    planes = np.zeros((7, 1, 6, 5))  # slices to the head, rows to the right, columns to the front
    planes[4, 0, 3, 2] = 1
    assert swapped(planes, "coronal")[2, 0, 3, 4] == 1  # slices to the front, rows to the right, columns to the head
    assert swapped(planes, "sagittal")[3, 0, 4, 2] == 1  # slices to the right, rows to the head, columns to the front


def test_what_does_not_fit_is_cut_about_the_centre_and_counted() -> None:
    planes = np.arange(5.0)[None, :, None]
    np.testing.assert_array_equal(fitted(planes, (3, 1))[0, :, 0], [1, 2, 3])
    np.testing.assert_array_equal(fitted(planes + 1, (8, 1))[0, :, 0], [0, 1, 2, 3, 4, 5, 0, 0])
    cut = along(seen_of((3, 4, 5)), "coronal", (2, 3), IntensityRule())
    assert cut.cut_off == pytest.approx(0.5)
    again = along(cut, "axial", (2, 3), IntensityRule())
    assert again is cut


def test_ranges_of_single_slices_are_measured_along_the_axis() -> None:
    stack = Stack.of(seen_of((3, 4, 5), each_slice=True), "coronal", 1, IntensityRule(scope="slice"))
    assert stack.seen.slice_ranges is not None and len(stack.seen.slice_ranges) == 5
    assert stack.seen.slice_ranges[2][0] == (3.0, pytest.approx(58.0, rel=0.01))


def build(cohort: Cohort, chosen: CacheSettings = ALL) -> SliceCache:
    return build_cache(cohort, cohort.subjects, chosen, cohort.root.parent / "cache")


def test_a_cache_counts_axial_slices_first(make_cohort: MakeCohort) -> None:
    cohort = make_cohort({"a": ("t1", "t2")})
    cache, record = build(cohort), build(cohort).records[0]
    axial = build_cache(cohort, cohort.subjects, ALL.model_copy(update={"slice_axis": "axial"}), cohort.root / "axial")
    count = axial.slice_count(0)
    assert record.stacks == (count, 10, 12)
    assert cache.slice_count(0) == count
    assert set(axial.usable(0)) < set(cache.usable(0))
    volume = axial.read([0] * count, range(count), context=0).targets[:, 0].numpy()
    np.testing.assert_array_equal(cache.read([0] * count, range(count), context=0).targets[:, 0].numpy(), volume)
    batch = cache.read([0] * 4, [count, count + 9, count + 10, count + 21], context=0)
    assert batch.sagittal is not None and batch.sagittal.tolist() == [False, False, True, True]
    coronal = cache.read([0] * 10, range(count, count + 10), context=0).targets[:, 0].numpy()
    np.testing.assert_array_equal(coronal, fitted(swapped(volume + 1, "coronal"), (12, 10)) - 1)


def test_no_neighbour_is_a_slice_along_another_axis() -> None:
    planes = np.arange(1.0, 10.0, dtype=np.float32)[:, None, None, None]
    maps = np.broadcast_to(np.float32([0, 0.1, 0]), (9, 1, 3))
    out = np.empty((2, 1, 3, 1, 1), np.float32)
    for row, position in zip(out, (3, 5), strict=True):
        write_row(row, planes, planes > 0, maps, position, range(3, 6))
    np.testing.assert_allclose(out[:, 0, :, 0, 0], [[0.4, 0.4, 0.5], [0.5, 0.6, 0.6]])


def test_slices_that_were_made_before_there_were_other_axes_are_still_good(make_cohort: MakeCohort) -> None:
    cohort = make_cohort({"a": ("t1",)})
    axial = ALL.model_copy(update={"slice_axis": "axial"})
    keys = [slices_key(SlicingTask(cohort, cohort.subjects[0], chosen, cohort.root)) for chosen in (axial, ALL)]
    assert keys[0] != keys[1]
    record = build(cohort, axial).records[0].model_copy(update={"stacks": ()})
    assert record.stack_of(1) == (0, range(len(record.union_fractions)))
    with pytest.raises(IndexError):
        record.stack_of(len(record.union_fractions))


def test_a_mirrored_sagittal_slice_has_its_neighbours_exchanged(make_cohort: MakeCohort) -> None:
    cache = build(make_cohort({"a": ("t1", "t2")}))
    count = cache.slice_count(0)
    batch = cache.read([0, 0], [count + 5, count + 10 + 5], context=1)  # coronal, sagittal
    always = AugmentationSettings(mirror_probability=1, affine_probability=0, intensity_probability=0)
    mirrored = augment(batch, 0, 0, always)
    assert torch.equal(mirrored.images[0], batch.images[0].flip(-2))
    assert torch.equal(mirrored.images[1], batch.images[1].flip(1))
    assert not torch.equal(mirrored.images[1], batch.images[1])
    assert torch.equal(mirrored.targets[1], batch.targets[1])
