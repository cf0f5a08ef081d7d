"""Features of a voxel and its surroundings, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from anymod.core.features import border_distances, needed_modalities, slice_features, surroundings


def draws(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8


def feature(kind: int, images: Tensor, inside: Tensor) -> Tensor:
    """Return one of the features of the first of the modalities, (b, h, w)."""
    return surroundings(images, inside)[:, kind * images.shape[1]]


def everywhere(images: Tensor) -> Tensor:
    return torch.ones_like(images, dtype=torch.bool)


def test_each_feature_names_the_modalities_that_it_needs() -> None:
    planes = draws(1, 3, 4, 4)
    made, needs = slice_features(planes, everywhere(planes)), needed_modalities(3)
    assert made.shape[1] == len(needs)
    for modality in range(3):
        inside = everywhere(planes)
        inside[:, modality] = False
        differs = (slice_features(planes, inside) != made).flatten(2).any(2)[0].tolist()
        assert differs == [bool(need >> modality & 1) for need in needs]


def test_the_first_features_are_powers_and_the_last_products() -> None:
    images = draws(2, 2, 1, 3, 3)
    made = surroundings(images, everywhere(images))
    first, second = images[:, 0, 0], images[:, 1, 0]
    for place, expected in ((0, first), (1, second), (2, first**2), (5, second**3), (-1, first * second)):
        torch.testing.assert_close(made[:, place], expected)


def test_means_leave_the_background_out() -> None:
    images, inside = torch.full((1, 1, 1, 5, 5), -1.0), torch.zeros(1, 1, 1, 5, 5, dtype=torch.bool)
    images[..., 2, 1:4], inside[..., 2, 1:4] = torch.tensor([0.2, 0.4, 0.9]), True
    assert feature(3, images, inside)[0, 2, 2].item() == pytest.approx(0.5, abs=1e-4)  # 6 of 3 x 3 are background
    assert feature(3, images, inside)[0, 0, 0].item() == 0


def test_only_the_widest_mean_sees_the_neighbours() -> None:
    planes, inside = torch.full((3, 1, 4, 4), 0.5), torch.ones(3, 1, 4, 4, dtype=torch.bool)
    planes[0], inside[2] = 0.2, False  # on one side there is none
    made = slice_features(planes, inside)[1, :, 1, 1]
    assert made[5].item() == pytest.approx(0.35, abs=1e-4)
    assert made[4].item() == pytest.approx(0.5, abs=1e-4)


def test_distances_count_pixels_to_the_background_of_the_slice() -> None:
    inside = torch.ones(1, 1, 7, 9, dtype=torch.bool)
    inside[..., 8] = False
    found = 20 * border_distances(inside)[0, 0, 3]
    assert found.tolist() == pytest.approx([1, 2, 3, 4, 4, 3, 2, 1, 0])
