"""How close a prediction is to the truth inside a foreground: PSNR, SSIM, MS-SSIM and mean absolute error of slices.

All functions take stacks (slice, h, w) with one fixed data range and return one float for the stack. Slices without foreground do not
count; a stack without any gives NaN. Two-dimensional SSIM: deviation E1 tells why it must not be set beside the authors' row-wise index.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

DATA_RANGE = 2.0  # images in [-1, 1]
WINDOW_SIGMA = 1.5  # pixels, Wang et al. 2004
WINDOW_RADIUS = 5  # 11 x 11, Wang et al. 2004
STABILIZERS = (0.01, 0.03)  # K1 and K2, Wang et al. 2004
ROW_WINDOW = 7  # columns, scikit-image's usual
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang, Simoncelli and Bovik 2003

Stack = Float[Tensor, "slice h w"]
Foreground = Bool[Tensor, "slice h w"]


def psnr(prediction: Stack, target: Stack, foreground: Foreground, data_range: float = DATA_RANGE) -> float:
    """Return 10 log10(range^2 / mean squared error) in dB over all foreground voxels; infinite for equal images."""
    error = (prediction - target)[foreground].double().square().mean()
    return 10 * math.log10(data_range**2 / float(error)) if error != 0 else math.inf


def mean_absolute_error(prediction: Stack, target: Stack, foreground: Foreground) -> float:
    """Return the mean of |prediction - target| over all foreground voxels."""
    return float((prediction - target)[foreground].double().abs().mean())


def ssim(prediction: Stack, target: Stack, foreground: Foreground, data_range: float = DATA_RANGE) -> float:
    """Return the structural similarity (Gaussian window, sigma 1.5) averaged over the foreground of each slice, then over slices."""
    luminance, structure = _similarity_maps(prediction, target, data_range)
    return _mean_of_slices(_inside(luminance * structure, foreground))


def ms_ssim(prediction: Stack, target: Stack, foreground: Foreground, data_range: float = DATA_RANGE) -> float:
    """Return the multi-scale structural similarity inside the foreground, averaged over slices.

    The usual five weights; a slice too small for five halvings uses as many scales as keep its shorter side at the window's 11 pixels,
    their weights rescaled to sum to 1. Negative contrast terms count as 0, as usual.
    """
    scales = max(1, min(5, int(math.log2(min(target.shape[-2:]) / (2 * WINDOW_RADIUS + 1))) + 1))
    weights = torch.tensor(SCALE_WEIGHTS[:scales], dtype=torch.float64)
    result = torch.ones(len(target), dtype=torch.float64)
    share = foreground.float()
    for scale, weight in enumerate(weights / weights.sum()):
        luminance, structure = _similarity_maps(prediction, target, data_range)
        last = scale == scales - 1
        value = _inside(luminance * structure if last else structure, share > 0.5)
        # A thin foreground can vanish at a coarse scale; that scale then says nothing about the slice.
        result = result * torch.where(value.isnan() & (scale > 0), 1.0, value.clamp(min=0) ** weight)
        prediction, target, share = (avg_pool2d(image[:, None], 2)[:, 0] for image in (prediction, target, share))
    return _mean_of_slices(result)


def row_ssim(image: Tensor, target: Tensor, data_range: float) -> float:
    """Return the structural similarity of two images (h, w) as the paper's authors measure it: each row a signal of its own (deviation E1).

    Windows of 7 columns with equal weights, at full overlap only; variances divided by 6. Not to be set beside `ssim`.
    """
    first, second = (each.double().unfold(1, ROW_WINDOW, 1) for each in (image, target))
    c1, c2 = ((k * data_range) ** 2 for k in STABILIZERS)
    mean_1, mean_2 = first.mean(-1), second.mean(-1)
    covariance = ((first - mean_1[..., None]) * (second - mean_2[..., None])).sum(-1) / (ROW_WINDOW - 1)
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1.square() + mean_2.square() + c1)
    structure = (2 * covariance + c2) / (first.var(-1) + second.var(-1) + c2)
    return float((luminance * structure).mean())


def _similarity_maps(first: Stack, second: Stack, data_range: float) -> tuple[Tensor, Tensor]:
    """Return the luminance and the contrast-structure factor of SSIM at every pixel (Wang et al. 2004, eqs. 6 and 13)."""
    c1, c2 = ((k * data_range) ** 2 for k in STABILIZERS)
    mean_1, mean_2 = _window_mean(first), _window_mean(second)
    variance_1 = _window_mean(first.square()) - mean_1.square()
    variance_2 = _window_mean(second.square()) - mean_2.square()
    covariance = _window_mean(first * second) - mean_1 * mean_2
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1.square() + mean_2.square() + c1)
    return luminance, (2 * covariance + c2) / (variance_1 + variance_2 + c2)


def _window_mean(image: Tensor) -> Tensor:
    """Return the Gaussian-weighted mean around every pixel; the image is mirrored at its borders.

    Two small matrix products: on a CPU many times faster than convolutions with one channel.
    """
    rows, columns = (_window_matrix(size).to(image) for size in image.shape[-2:])
    return rows @ image @ columns.T


@lru_cache(maxsize=16)  # one for each side of an image at each scale
def _window_matrix(size: int) -> Tensor:
    """Return (size, size): row i weighs the pixels around pixel i of a line that is mirrored at its ends."""
    offset = torch.arange(-WINDOW_RADIUS, WINDOW_RADIUS + 1, dtype=torch.float64)
    window = torch.exp(-0.5 * (offset / WINDOW_SIGMA).square())
    line = pad(torch.arange(size, dtype=torch.float64)[None], (WINDOW_RADIUS,) * 2, mode="reflect")[0].long()
    neighbours = line.unfold(0, len(window), 1)
    weights = (window / window.sum()).expand(size, -1)
    return torch.zeros(size, size, dtype=torch.float64).scatter_add(1, neighbours, weights)


def _inside(values: Tensor, foreground: Tensor) -> Tensor:
    """Return each slice's mean over its foreground; NaN where it has none."""
    total = torch.where(foreground, values, 0.0).double().sum((1, 2))
    return (total / foreground.sum((1, 2))).cpu()


def _mean_of_slices(values: Tensor) -> float:
    return float(values.nanmean())
