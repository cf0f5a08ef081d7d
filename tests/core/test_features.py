"""Features of a voxel and its surroundings, by hand."""

from __future__ import annotations

import pytest
import torch

from anymod.core.features import needed_modalities, surroundings


def feature(images: torch.Tensor, kind: int, modality: int) -> torch.Tensor:
    return surroundings(images)[:, kind * images.shape[1] + modality]


def test_each_feature_names_the_modalities_that_it_needs() -> None:
    images = torch.rand(1, 3, 1, 4, 4)
    made, needs = surroundings(images), needed_modalities(3)
    assert made.shape[1] == len(needs)
    for modality in range(3):
        changed = images.clone()
        changed[:, modality] = -1.0
        differs = (surroundings(changed) != made).flatten(2).any(2)[0].tolist()
        assert differs == [bool(need >> modality & 1) for need in needs]


def test_means_leave_the_background_out() -> None:
    images = torch.full((1, 1, 1, 5, 5), -1.0)
    images[..., 2, 1:4] = torch.tensor([0.2, 0.4, 0.9])
    assert feature(images, 3, 0)[0, 2, 2].item() == pytest.approx(0.5, abs=1e-4)  # of 3 x 3 pixels, 6 are background
    assert feature(images, 3, 0)[0, 0, 0].item() == pytest.approx(0.0, abs=1e-4)


def test_only_the_widest_mean_sees_the_neighbours() -> None:
    images = torch.full((1, 1, 3, 4, 4), 0.5)
    images[:, :, 0], images[:, :, 2] = 0.2, -1.0  # on one side there is none
    assert feature(images, 5, 0)[0, 1, 1].item() == pytest.approx(0.35, abs=1e-4)
    assert feature(images, 4, 0)[0, 1, 1].item() == pytest.approx(0.5, abs=1e-4)


def test_distances_count_pixels_to_the_background_of_the_slice() -> None:
    images = torch.full((1, 1, 1, 7, 9), 0.3)
    images[..., 8] = -1.0
    assert (20 * feature(images, 6, 0)[0, 3]).tolist() == pytest.approx([1, 2, 3, 4, 4, 3, 2, 1, 0])
