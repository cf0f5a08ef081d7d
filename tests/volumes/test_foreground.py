"""The foreground is a solid head: zeros inside it are foreground, and noise around it is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from anymod.volumes import foreground_doubt, foreground_of

SHAPE = (24, 26, 22)


def distance_mm() -> np.ndarray:
    """Return the distance of each voxel from the centre."""
    axes = np.meshgrid(*(np.arange(size) - (size - 1) / 2 for size in SHAPE), indexing="ij")
    return np.sqrt(sum(axis**2 for axis in axes))


INSIDE = distance_mm() < 9


def head() -> np.ndarray:
    """Return a ball of 100 to 200 in a background of 0."""
    data = np.random.default_rng(0).uniform(100, 200, SHAPE)
    return np.where(INSIDE, data, 0).astype(np.float32)


def test_zeros_inside_a_head_are_foreground():
    data = head()
    data[distance_mm() < 4] = 0
    np.testing.assert_array_equal(foreground_of(data), INSIDE)


def test_a_cavity_behind_a_narrow_channel_is_foreground():
    data = head()
    data[distance_mm() < 4] = 0
    data[10:14, 11:15, 11:] = 0  # to the top
    found = foreground_of(data)
    assert found[distance_mm() < 5].all()
    assert not found[~INSIDE].any()


def test_a_cavity_that_a_cut_opens_is_foreground():
    data = head()[:, :, 10:13]
    data[8:16, 8:16] = 0  # through all three slices
    np.testing.assert_array_equal(foreground_of(data), INSIDE[:, :, 10:13])


def test_dark_regions_wider_than_a_channel_reach_the_outside():
    data = head()
    data[:, :, 11:] = 0
    np.testing.assert_array_equal(foreground_of(data), INSIDE & (np.indices(SHAPE)[2] < 11))


def test_a_gap_wider_than_a_channel_divides_a_sector():
    data = head()
    data[8:16] = 0
    found = foreground_of(data, spacing_mm=(0.5, 0.5, 0.5))
    assert not found[9:15].any()


@pytest.mark.parametrize("offset", [0.0, -4.75])
@pytest.mark.parametrize("noise", [1e-9, 1e-5, 1e-3])
def test_faint_noise_around_a_head_is_background(noise: float, offset: float):
    data = head() + np.where(INSIDE, 0, np.random.default_rng(1).normal(0, noise, SHAPE)) + offset
    found = foreground_of(data.astype(np.float32))
    np.testing.assert_array_equal(found, INSIDE)
    assert foreground_doubt(data, found) is None


def test_noise_that_is_not_faint_is_background_with_a_doubt():
    noise = np.hypot(*np.random.default_rng(1).normal(0, 2, (2, *SHAPE)))
    data = np.where(INSIDE, head(), noise).astype(np.float32)
    found = foreground_of(data)
    assert np.mean(found != INSIDE) < 0.002
    assert "noise about" in str(foreground_doubt(data, found))


@pytest.mark.parametrize("order", [3, 5])
def test_the_ringing_of_a_spline_is_background(order: int):
    moved = ndimage.shift(np.pad(head(), 6).astype(np.float64), 0.4, order=order)
    inside = ndimage.shift(np.pad(INSIDE, 6).astype(np.float64), 0.4, order=1) > 0.5
    found = foreground_of(moved)
    assert (moved != 0).mean() > 0.9
    assert not found[~ndimage.binary_dilation(inside, iterations=4)].any()
    assert found[inside].mean() > 0.99


def test_a_stripped_head_with_overshoot_is_unchanged():
    data = head()
    data[np.logical_and(INSIDE, distance_mm() > 8.9)] = -1.0
    np.testing.assert_array_equal(foreground_of(data), INSIDE)


def test_flipping_the_axes_flips_the_foreground():
    data = head()
    data[distance_mm() < 4] = 0
    data[10:13, 11:14, 11:] = 0
    turned = foreground_of(data[::-1, :, ::-1].transpose(2, 0, 1))
    np.testing.assert_array_equal(turned.transpose(1, 2, 0)[::-1, :, ::-1], foreground_of(data))


def test_a_crop_inside_a_head_is_foreground_with_a_doubt():
    data = np.random.default_rng(0).uniform(100, 200, (6, 7, 8)).astype(np.float32)
    data[3, 3, 3] = 0.0
    found = foreground_of(data)
    assert found.all()
    assert foreground_doubt(data, found) == "100.0 % of the volume is foreground"


def test_integers_are_no_trouble():
    data = np.rint(head()).astype(np.uint8)
    np.testing.assert_array_equal(foreground_of(data), INSIDE)
