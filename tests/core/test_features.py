"""Features of a voxel and its surroundings, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from anymod.core.features import needed_modalities, surroundings


def draws(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.8, 0.8, shape).astype(np.float32)


def feature(kind: int, planes: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """Return one of the features of the first of the modalities, (slice, row, column)."""
    return surroundings(planes, foreground)[kind * planes.shape[1]]


def test_each_feature_names_the_modalities_that_it_needs() -> None:
    planes, inside = draws(1, 3, 4, 4), np.ones((1, 3, 4, 4), bool)
    made, needs = surroundings(planes, inside), needed_modalities(3)
    assert len(made) == len(needs)
    for modality in range(3):
        changed = inside.copy()
        changed[:, modality] = False
        differs = (surroundings(planes, changed) != made).reshape(len(made), -1).any(1).tolist()
        assert differs == [bool(need >> modality & 1) for need in needs]


def test_the_first_features_are_powers_and_the_last_products() -> None:
    planes = draws(2, 2, 3, 3)
    made = surroundings(planes, np.ones_like(planes, bool))
    first, second = planes[:, 0], planes[:, 1]
    for place, expected in ((0, first), (1, second), (2, first**2), (5, second**3), (-1, first * second)):
        np.testing.assert_allclose(made[place], expected, atol=1e-6)


def test_means_leave_the_background_out() -> None:
    planes, inside = np.full((1, 1, 5, 5), -1, np.float32), np.zeros((1, 1, 5, 5), bool)
    planes[..., 2, 1:4], inside[..., 2, 1:4] = (0.2, 0.4, 0.9), True
    assert feature(3, planes, inside)[0, 2, 2] == pytest.approx(0.5)  # of 3 x 3 pixels, 6 are background
    assert feature(3, planes, inside)[0, 0, 0] == 0


def test_only_the_widest_mean_sees_the_neighbours() -> None:
    planes, inside = np.full((3, 1, 4, 4), 0.5, np.float32), np.ones((3, 1, 4, 4), bool)
    planes[0], inside[2] = 0.2, False  # on one side there is none
    assert feature(5, planes, inside)[1, 1, 1] == pytest.approx(0.35)
    assert feature(4, planes, inside)[1, 1, 1] == pytest.approx(0.5)


def test_distances_count_pixels_to_the_background_of_the_slice() -> None:
    planes, inside = np.full((1, 1, 7, 9), 0.3, np.float32), np.ones((1, 1, 7, 9), bool)
    inside[..., 8] = False
    assert (20 * feature(6, planes, inside)[0, 3]).tolist() == pytest.approx([1, 2, 3, 4, 4, 3, 2, 1, 0])
