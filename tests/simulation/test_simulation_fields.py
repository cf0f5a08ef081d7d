"""Random fields in millimetres, solids, and sulci."""

from __future__ import annotations

import numpy as np
import pytest

from anymod.simulation.cortex import Sulci, pial_distance
from anymod.simulation.fields import BandNoise, Points, smooth_field
from anymod.simulation.shapes import coverage, ellipsoid, smooth_minimum, tube


def grid(half: float, spacing: float) -> Points:
    axis = np.arange(-half, half + spacing / 2, spacing)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    return Points(x, y, z, spacing)


def test_smooth_field_is_the_same_at_any_spacing() -> None:
    fine, coarse = np.arange(-40.0, 40, 2), np.arange(-40.0, 40, 4)
    at_2 = smooth_field(np.random.default_rng(0), (fine, fine, fine), 30.0)
    at_4 = smooth_field(np.random.default_rng(0), (coarse, coarse, coarse), 30.0)
    assert np.allclose(at_2[::2, ::2, ::2], at_4, atol=1e-5)


def test_smooth_field_has_unit_variance() -> None:
    axis = np.arange(-150.0, 150, 5)
    field = smooth_field(np.random.default_rng(1), (axis, axis, axis), 14.0)
    assert float(field.std()) == pytest.approx(1.0, abs=0.05)
    assert abs(float(field.mean())) < 0.05


def test_band_noise_changes_sign_every_half_wavelength() -> None:
    noise = BandNoise.draw(np.random.default_rng(2), 24.0, 0.1)
    line = np.arange(-140.0, 140, 0.5)
    lines = [noise.at(line, np.full_like(line, y), np.zeros_like(line)) for y in range(-120, 121, 20)]
    crossings = np.mean([np.count_nonzero(np.diff(np.sign(values))) for values in lines])
    # A line through an isotropic shell of wave numbers k meets k / (pi sqrt(3)) zeros per length.
    expected = 279.5 * (2 * np.pi / 24.0) / (np.pi * np.sqrt(3))
    assert crossings == pytest.approx(expected, rel=0.2)


def test_sphere_has_its_exact_distance() -> None:
    points = grid(20, 4.0)
    distance = ellipsoid(points, (1.0, 2.0, 3.0), (9.0, 9.0, 9.0))
    exact = np.sqrt((points.x - 1) ** 2 + (points.y - 2) ** 2 + (points.z - 3) ** 2) - 9
    assert np.allclose(distance, exact, atol=1e-4)


def test_tube_distance_beside_and_beyond_it() -> None:
    points = Points(np.array([5.0, 0.0]), np.array([0.0, 0.0]), np.array([5.0, 14.0]), 1.0)
    assert np.allclose(tube(points, [(0, 0, 0, 2), (0, 0, 10, 2)]), [3.0, 2.0])


def test_smooth_minimum_is_the_minimum_away_from_the_crease() -> None:
    assert smooth_minimum(np.array([1.0]), np.array([9.0]), 2.0) == pytest.approx(1.0)


def test_coverage_of_a_sphere_sums_to_its_volume() -> None:
    points = grid(14, 2.0)
    volume = coverage(ellipsoid(points, (0.3, 0.1, 0.2), (10.0, 10.0, 10.0)), 2.0).sum() * 8.0
    assert volume == pytest.approx(4 / 3 * np.pi * 1000, rel=0.02)


def test_a_sulcus_ends_at_its_depth() -> None:
    points = grid(20, 1.0)
    depth = 20 - points.z  # a flat hull at z = 20; the sulcus is the plane x = 0, 10 mm deep
    distance = pial_distance(depth, (Sulci(np.sin(points.x / 10), 10.0),), -1.0, 1.0)
    on_wall, below = distance[20, 20, 35], distance[20, 20, 20]
    assert on_wall < 0.5  # depth 5
    assert below == pytest.approx(10.0, abs=0.6)  # depth 20, 10 below the fundus
