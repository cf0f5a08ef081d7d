"""Images cut to what the ultrasound looked at."""

from __future__ import annotations

import numpy as np
import pytest

from anymod.errors import VolumeError
from anymod.preparation.field_of_view import cut_to, sector
from anymod.volumes import Grid, Volume, foreground_of


def fan() -> np.ndarray:
    """Return a fan [X, Y, Z] of 1-mm voxels: what lies within 30 degrees about y, from 8 to 34 mm from (20, 2, 12)."""
    x, y, z = np.meshgrid(np.arange(40), np.arange(40), np.arange(24), indexing="ij")
    distance = np.hypot(x - 20, y - 2)
    return (np.abs(np.arctan2(x - 20, y - 2)) < np.radians(30)) & (distance > 8) & (distance < 34) & (z > 3) & (z < 20)


def ultrasound() -> Volume:
    """Return the fan with a ventricle of 4 mm, dark as the background, in its middle, and a dark notch at its edge."""
    data = np.where(fan(), np.random.default_rng(0).integers(5, 200, fan().shape), 0).astype(np.int16)
    data[18:22, 18:22, 10:14] = 0
    data[20:22, 34:36, 8:10] = 0
    return Volume(data, Grid(data.shape, np.eye(4)))


def test_dark_pixels_inside_the_sector_stay_inside() -> None:
    found = sector(ultrasound())
    assert found[18:22, 18:22, 10:14].all()
    assert (found != fan()).sum() < 0.02 * fan().sum()
    cut = cut_to({"us": ultrasound()}, "us")["us"]
    np.testing.assert_array_equal(foreground_of(cut.data), found)
    assert cut.data.dtype == np.int16


def test_a_speck_beside_the_fan_is_no_part_of_it() -> None:
    volume = ultrasound()
    volume.data[1:3, 36:38, 1:3] = 90
    assert not sector(volume)[1:3, 36:38, 1:3].any()


def test_other_images_get_their_own_background_and_maps_zero() -> None:
    mr = np.full(fan().shape, -7.5, np.float32)
    mr[2:-2, 2:-2, 2:-2] = np.random.default_rng(1).uniform(50, 90, tuple(n - 4 for n in mr.shape))
    grid = Grid(mr.shape, np.eye(4))
    label = Volume(np.ones(mr.shape, np.int16), grid)
    cut = cut_to({"us": ultrasound(), "t2": Volume(mr, grid), "label": label}, "us")
    looked = sector(ultrasound())
    assert (cut["t2"].data[~looked] == -7.5).all()
    np.testing.assert_array_equal(cut["t2"].data[looked], mr[looked])
    np.testing.assert_array_equal(cut["label"].data > 0, looked)


def test_a_subject_without_the_ultrasound_is_refused() -> None:
    with pytest.raises(VolumeError, match="it has no us"):
        cut_to({"t2": ultrasound()}, "us")
