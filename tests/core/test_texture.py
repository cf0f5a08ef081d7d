"""Power by spatial frequency and change through the plane, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from anymod.core.texture import BANDS, radial_power, through_plane_change

SIZE = 64
EVERYWHERE = torch.ones(1, SIZE, SIZE, dtype=torch.bool)


@given(st.integers(0, SIZE // 2 - 1), st.integers(0, SIZE // 2 - 1), st.floats(0.1, 2.0), st.floats(-0.9, 0.9))
def test_a_wave_has_its_power_in_its_own_band(rows: int, columns: int, amplitude: float, level: float) -> None:
    places = np.indices((SIZE, SIZE))
    wave = amplitude * np.cos(2 * np.pi * (rows * places[0] + columns * places[1]) / SIZE + 0.3) + level
    power = radial_power(torch.from_numpy(wave)[None], EVERYWHERE)
    radius = np.hypot(rows, columns) / SIZE
    expected = torch.zeros(BANDS, dtype=torch.float64)
    if 0 < radius < 0.5:
        expected[int(radius * 2 * BANDS)] = SIZE**2 * amplitude**2 / 2
    torch.testing.assert_close(power, expected, rtol=1e-9, atol=1e-9 * SIZE**2)


def test_white_noise_is_as_strong_at_every_frequency() -> None:
    noise = torch.randn(200, 48, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    power = radial_power(noise, torch.ones(200, 48, 64, dtype=torch.bool))
    radius = np.hypot(np.fft.fftfreq(48)[:, None], np.fft.fftfreq(64)[None])
    counts, _ = np.histogram(radius[radius > 0], bins=BANDS, range=(0, 0.5))
    np.testing.assert_allclose(power.numpy() / counts / 200, 1.0, atol=0.07)


def test_neither_brightness_nor_background_counts() -> None:
    inside = torch.zeros(2, 32, 32, dtype=torch.bool)
    inside[:, 8:24, 4:28] = True
    image = torch.rand(2, 32, 32, generator=torch.Generator().manual_seed(1))
    other = torch.where(inside, image + torch.tensor([3.0, -0.5])[:, None, None], -1.0)
    torch.testing.assert_close(radial_power(other, inside), radial_power(image, inside), rtol=1e-4, atol=1e-6)
    assert float(radial_power(inside.float(), inside).sum()) == pytest.approx(0)
    assert float(radial_power(image, torch.zeros_like(inside)).sum()) == 0


def test_change_counts_where_both_neighbours_are_foreground() -> None:
    images = torch.tensor([0.0, 0.25, 1.0])[:, None, None].expand(3, 4, 5)
    inside = torch.ones(3, 4, 5, dtype=torch.bool)
    inside[2, 1:] = False
    assert through_plane_change(images, inside) == pytest.approx(20 * 0.25 + 5 * 0.75)
    assert through_plane_change(images[:1], inside[:1]) == 0
