"""Raw intensities to the network's numbers and back, and which voxels count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from anymod.errors import GridError, VolumeError
from anymod.volumes import (
    Grid,
    IntensityRange,
    IntensityRule,
    Volume,
    anchored_range,
    background_of,
    check_image,
    core_median,
    foreground_box,
    foreground_of,
    measure_range,
    scale,
    unscale,
)
from anymod.volumes.intensity import INPUT_FLOOR


def head(background: float = 0.0, darkest: float = 10.0) -> np.ndarray:
    """Return a bright box in a constant background."""
    data = np.full((8, 8, 8), background, dtype=np.float32)
    data[2:6, 2:6, 2:6] = np.linspace(darkest, 200, 64).reshape(4, 4, 4)
    return data


def test_the_value_of_the_edges_is_background():
    np.testing.assert_array_equal(foreground_of(head()), head() != 0)
    assert foreground_of(head(background=-4.75)).sum() == 64


def test_foreground_darker_than_the_background_is_foreground():
    data = head()
    data[3, 3, 3] = -20.0
    assert foreground_of(data)[3, 3, 3]


def test_without_a_constant_background_all_above_the_minimum_is_foreground():
    data = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    data[0, 0, 0] = -10.0
    assert foreground_of(data).sum() == data.size - 1


def test_a_head_cut_by_some_faces_keeps_its_background():
    data = head()
    data[:, 2:6, 2:6] = 50.0  # touches two of the six faces
    assert foreground_of(data).sum() == 8 * 16


def test_a_thin_slab_of_a_head_keeps_its_background_with_voxels_below_it():
    x, y = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 25), indexing="ij")
    inside = np.repeat((x**2 + y**2 <= 1)[..., None], 4, axis=2)  # most of the six faces
    data = np.where(inside, 50.0, 0.0)
    data[10, 12, 2] = -5.0
    np.testing.assert_array_equal(foreground_of(data), inside)


def test_the_box_of_a_foreground_ends_with_it_or_with_the_array():
    data = head()
    assert foreground_box(data > 0) == (slice(2, 6),) * 3
    assert foreground_box(data > 0, margin=3) == (slice(0, 8),) * 3
    assert foreground_box(data > 1e9) == (slice(0, 8),) * 3


def test_the_background_is_the_commonest_value_outside_and_else_the_minimum():
    data = head(background=-4.75)
    assert background_of(data, data > 0) == -4.75
    assert background_of(data, np.ones(data.shape, dtype=bool)) == -4.75


@pytest.mark.parametrize("spacing_mm", [0.8, 2 / 1.5])
def test_the_core_depends_neither_on_rounded_spacings_nor_on_the_size_of_the_background(spacing_mm: float):
    data, foreground = ball((1.7, 2.1, 1.9), core_mm=20.0)
    data[foreground] += np.random.default_rng(0).uniform(0, 500, foreground.sum())
    expected = core_median(data, foreground, (spacing_mm,) * 3)
    margins = [(1, 0), (2, 5), (3, 0)]
    padded = np.pad(data, margins), np.pad(foreground, margins)
    for rounded in (spacing_mm * (1 - 1e-7), spacing_mm * (1 + 1e-7)):
        assert core_median(*padded, (rounded, spacing_mm, spacing_mm)) == expected


def test_a_mask_decides_where_one_is_given():
    mask = np.zeros((8, 8, 8), dtype=np.int32)
    mask[0, 0, 0] = 3
    assert foreground_of(head(), mask).sum() == 1
    with pytest.raises(GridError, match="mask"):
        foreground_of(head(), mask[1:])


def test_a_one_slice_image_has_a_foreground():
    assert foreground_of(head()[:, :, 3:4]).sum() == 16


def test_the_range_runs_from_the_minimum_to_the_percentile_of_the_foreground():
    data = head()
    intensities = measure_range(data, data > 0, 95.0)
    assert intensities.low == 10.0
    assert intensities.high == pytest.approx(np.percentile(data[data > 0], 95), rel=1e-6)


def test_an_overshoot_does_not_decide_the_range_with_a_lower_percentile():
    data = np.concatenate([[-1000.0], np.arange(1.0, 1001.0)]).reshape(1, 7, 143).astype(np.float32)
    everywhere = np.ones(data.shape, dtype=bool)
    measured = measure_range(data, everywhere, 99.0, lower_percentile=1.0)
    assert (measured.low, measured.high) == (10.0, 990.0)
    assert measured == IntensityRule(lower_percentile=1.0, upper_percentile=99.0).measure(data, everywhere)
    assert measure_range(data, everywhere, 99.0).low == -1000.0


def test_known_values_are_scaled_as_the_method_says():
    data = np.array([[0, 10, 60, 110, 500]], dtype=np.float32)
    scaled = scale(data, IntensityRange(10.0, 110.0), data > 0)
    np.testing.assert_allclose(scaled, [[-1, -255 / 256, 0.5 * (1 + 255 / 256) - 255 / 256, 1, 1]], atol=1e-6)
    assert scaled.dtype == np.float32
    assert data[0, 4] == 500


def test_the_darkest_foreground_differs_from_the_background():
    data = head()
    scaled = scale(data, measure_range(data, data > 0, 99.95), data > 0)
    np.testing.assert_array_equal(scaled > -1, data > 0)


@given(st.floats(-1e4, 1e4), st.floats(1e-2, 1e5), st.integers(0, 1000))
@settings(max_examples=40)
def test_scaling_can_be_undone_inside_of_the_range(low: float, extent: float, seed: int):
    intensities = IntensityRange(low, low + extent)
    raw = (low + extent * np.random.default_rng(seed).random((3, 4, 5))).astype(np.float32)
    scaled = scale(raw, intensities, np.ones(raw.shape, dtype=bool))
    assert scaled.min() >= -255 / 256 and scaled.max() <= 1
    np.testing.assert_allclose(unscale(scaled, intensities), raw, atol=4e-6 * (abs(low) + extent))


def test_scaling_what_is_scaled_changes_nothing():  # method, check 23
    data = np.random.default_rng(0).uniform(3, 900, (6, 7, 8)).astype(np.float32)
    foreground = data > 100
    once = scale(data, measure_range(data, foreground, 99.95), foreground)
    again = scale(once, IntensityRange(INPUT_FLOOR, 1.0), foreground)
    np.testing.assert_allclose(again, once, atol=1e-6)


def test_background_comes_back_as_the_lowest_value():
    assert unscale(np.array([-1.0], dtype=np.float32), IntensityRange(3.0, 7.0))[0] == 3.0


def test_scaling_does_not_depend_on_offset_and_gain_of_the_scanner():
    data = head()
    foreground = data > 0
    other = data * 3.7 - 40
    first = scale(data, measure_range(data, foreground, 99.95), foreground)
    second = scale(other, measure_range(other, foreground, 99.95), foreground)
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_harmonized_target_has_white_matter_at_its_constant():
    intensities = anchored_range(10.0, 120.0, 0.6)
    scaled = scale(np.array([10, 120, 1e6], np.float32), intensities, np.ones(3, dtype=bool))
    np.testing.assert_allclose((scaled + 1) / 2, [0.0, 0.6, 1.0], atol=1e-6)
    assert unscale(np.array([0.2], np.float32), intensities)[0] == pytest.approx(120.0, rel=1e-5)


def ball(spacing_mm: tuple[float, float, float], core_mm: float = 28.0) -> tuple[np.ndarray, np.ndarray]:
    """Return (image, foreground) of a ball of radius 40 mm: 100 up to `core_mm` from its centre, 900 beyond, 0 outside."""
    axes = [np.arange(-48, 48.1, size) for size in spacing_mm]
    radius = np.sqrt(sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij")))
    return np.select([radius > 40, radius > core_mm], [0.0, 900.0], 100.0), radius <= 40


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.7, 1.3, 3.0), (4.0, 4.0, 4.0)])
def test_the_core_is_the_innermost_three_tenths_in_millimetres(spacing_mm: tuple[float, float, float]):
    data, foreground = ball(spacing_mm)
    data[foreground & (data == 100)] += np.linspace(0, 1, int((data == 100).sum()))
    # Three tenths of the volume lie within 40 mm times the cube root of 0.3, 26.8 mm: all at about 100.
    assert core_median(data, foreground, spacing_mm) == pytest.approx(100.5, abs=0.5)
    # Half of the core lies within 21.2 mm: brighter voxels from there on pull the median up to theirs.
    data, foreground = ball(spacing_mm, core_mm=19.0)
    assert core_median(data, foreground, spacing_mm) == 900.0


def test_holes_are_no_surface_and_the_image_s_border_is():
    data, foreground = ball((2.0, 2.0, 2.0))
    foreground[24, 24, 24:27] = False
    data[24, 24, 6] = 5.0  # the least foreground, at its border
    assert core_median(data, foreground, (2.0, 2.0, 2.0)) == 100.0
    # All of a cube is foreground: three tenths of it lie within the cube root of 0.3 of its half edge, 33 of 49 mm.
    reach = np.abs(np.indices(data.shape) - 24).max(0) * 2.0
    cube = np.where(reach <= 33, 100.0, 900.0)
    cube[0, 0, 0] = 5.0
    assert core_median(cube, np.ones_like(foreground), (2.0, 2.0, 2.0)) == 100.0


def test_a_foreground_thinner_than_the_steps_has_a_core_too():
    data = np.zeros((9, 9, 9), np.float32)
    data[3, 3, 1:6] = [10, 20, 30, 20, 10]
    assert core_median(data, data > 0, (1.0, 1.0, 1.0)) > 10


def test_a_core_that_is_the_darkest_is_refused():
    data, foreground = ball((2.0, 2.0, 2.0))
    with pytest.raises(VolumeError, match=r"core.*anchor: percentile"):
        core_median(data, foreground, (2.0, 2.0, 2.0), "t1.nii.gz")
    with pytest.raises(VolumeError, match="empty"):
        core_median(data, data < 0, (2.0, 2.0, 2.0))


def test_a_slice_has_no_core():
    with pytest.raises(ValueError, match="a slice has no core"):
        IntensityRule(anchor="core", scope="slice")


@pytest.mark.parametrize("foreground", [np.zeros((8, 8, 8), bool), head() == 0])
def test_an_empty_or_constant_foreground_is_refused(foreground: np.ndarray):
    with pytest.raises(VolumeError, match="flair"):
        measure_range(head(), foreground, 99.95, "flair.nii.gz")


@pytest.mark.parametrize(("median", "constant"), [(10.0, 0.6), (100.0, 1.5)])
def test_an_anchor_that_is_darkest_or_beyond_the_scale_is_refused(median: float, constant: float):
    with pytest.raises(ValueError, match="anchored"):
        anchored_range(10.0, median, constant)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_range_that_is_none_is_refused(low: float, high: float):
    with pytest.raises(ValueError, match="low < high"):
        IntensityRange(low, high)


def test_the_rule_defaults_to_the_papers_percentile_over_the_volume():
    assert IntensityRule() == IntensityRule(upper_percentile=99.95, scope="volume")


def test_no_double_precision_copy_is_made():
    import tracemalloc

    data = np.random.default_rng(0).random((128, 128, 32), dtype=np.float32)
    foreground = data > 0.5
    tracemalloc.start()
    scale(data, IntensityRange(0.0, 1.0), foreground)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * data.nbytes


def test_constant_and_infinite_images_are_told_apart():
    grid = Grid((2, 2, 2), np.eye(4))
    with pytest.raises(VolumeError, match="all voxels are 7"):
        check_image(Volume(np.full((2, 2, 2), 7.0, np.float32), grid))
    with pytest.raises(VolumeError, match="8 of 8 voxels"):
        check_image(Volume(np.full((2, 2, 2), np.inf, np.float32), grid))
