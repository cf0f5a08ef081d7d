"""Fidelity against numbers by hand, scikit-image and torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from anymod.core.fidelity import SCALE_WEIGHTS, ms_ssim, psnr, squared_error_of, ssim


def pair(size: tuple[int, int, int], noise: float = 0.2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return smooth images in [-1, 1] and the same with noise added."""
    draws = np.random.default_rng(seed)
    rows, columns = np.meshgrid(np.linspace(0, 6, size[1]), np.linspace(0, 6, size[2]), indexing="ij")
    truth = np.stack([0.8 * np.sin(rows * (1 + k) + columns) * np.cos(columns - k) for k in range(size[0])])
    return torch.tensor(truth + noise * draws.standard_normal(size)), torch.tensor(truth)


def everywhere(images: Tensor) -> Tensor:
    return torch.ones_like(images, dtype=torch.bool)


def test_psnr_of_a_known_error() -> None:
    assert psnr(0.04) == pytest.approx(20.0)  # 10 log10(4 / 0.04)
    assert psnr(1.0, 255.0) == pytest.approx(48.1308036)


def test_equal_images_have_100_db_and_a_range_of_0_has_none() -> None:
    assert psnr(0.0) == psnr(0.0, 255.0) == psnr(1e-12) == 100.0
    assert math.isnan(psnr(0.1, 0.0))


def test_the_squared_error_follows_from_psnr() -> None:
    assert squared_error_of(psnr(0.03, 255.0), 255.0) == pytest.approx(0.03)


def test_equal_images_are_perfect() -> None:
    _, truth = pair((2, 32, 40))
    inside = everywhere(truth)
    assert ssim(truth, truth, inside) == pytest.approx(1.0)
    assert ms_ssim(truth, truth, inside) == pytest.approx(1.0)


def test_ssim_agrees_with_scikit_image_where_no_border_is_near() -> None:
    prediction, truth = pair((3, 40, 48))
    inside = torch.zeros_like(truth, dtype=torch.bool)
    inside[:, 6:-6, 6:-6] = True
    options = {"data_range": 2.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    expected = []
    for one, other in zip(prediction.numpy(), truth.numpy(), strict=True):
        expected.append(structural_similarity(one, other, **options)[1][6:-6, 6:-6].mean())
    assert ssim(prediction, truth, inside) == pytest.approx(float(np.mean(expected)), abs=1e-6)


def test_ssim_averages_each_slice_over_its_foreground_and_then_the_slices() -> None:
    prediction, truth = pair((2, 32, 32))
    inside = torch.zeros_like(truth, dtype=torch.bool)
    inside[0, 10:12, 10:12] = True
    inside[1, 6:26, 6:26] = True
    each = [ssim(prediction[k : k + 1], truth[k : k + 1], inside[k : k + 1]) for k in (0, 1)]
    assert ssim(prediction, truth, inside) == pytest.approx(sum(each) / 2)


def test_ssim_is_two_dimensional_unlike_the_authors() -> None:
    prediction, truth = pair((1, 40, 48))
    rowwise = structural_similarity(prediction[0].numpy(), truth[0].numpy(), data_range=2.0, channel_axis=0)
    assert abs(ssim(prediction, truth, everywhere(truth)) - rowwise) > 0.01


@pytest.mark.parametrize(("size", "scales"), [((2, 192, 208), 5), ((3, 64, 80), 3)])
def test_ms_ssim_is_torchmetrics_with_the_same_scales_and_foreground_everywhere(
    size: tuple[int, int, int], scales: int
) -> None:
    prediction, truth = pair(size)
    weights = tuple(weight / sum(SCALE_WEIGHTS[:scales]) for weight in SCALE_WEIGHTS[:scales])
    expected = multiscale_structural_similarity_index_measure(
        prediction[:, None], truth[:, None], sigma=1.5, kernel_size=11, data_range=2.0, betas=weights
    )
    assert ms_ssim(prediction, truth, everywhere(truth), scales=scales) == pytest.approx(float(expected), abs=1e-6)


def test_a_small_slice_uses_the_scales_it_has() -> None:
    prediction, truth = pair((1, 16, 16))
    inside = everywhere(truth)
    assert ms_ssim(prediction, truth, inside) == pytest.approx(
        ssim(prediction, truth, inside)
    )  # one scale is SSIM itself


@pytest.mark.parametrize("index", [ssim, ms_ssim])
def test_more_noise_is_worse(index: object) -> None:
    values = []
    for noise in (0.01, 0.1, 0.4):
        prediction, truth = pair((2, 48, 48), noise)
        values.append(index(prediction, truth, everywhere(truth)))
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("index", [ssim, ms_ssim])
def test_slices_without_foreground_do_not_count(index: object) -> None:
    prediction, truth = pair((2, 48, 48))
    inside = everywhere(truth)
    inside[1] = False
    assert index(prediction, truth, inside) == pytest.approx(index(prediction[:1], truth[:1], inside[:1]))
    assert math.isnan(index(prediction, truth, torch.zeros_like(inside)))
