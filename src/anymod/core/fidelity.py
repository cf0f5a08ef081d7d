"""Fidelity of synthetic images: PSNR, SSIM, MS-SSIM and the row-wise SSIM of the paper's authors.

SSIM and MS-SSIM take stacks of slices (slice, h, w) and return one float per stack: the mean over the slices that have foreground, NaN
without any. Do not compare the two-dimensional SSIM with the authors' row-wise index (deviation E1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

DATA_RANGE = 2.0  # images in [-1, 1]
LARGEST_PSNR_DB = 100.0  # equal images would be infinite, and so would every mean that contains them
WINDOW_SIGMA = 1.5  # pixels, Wang et al. 2004
WINDOW_RADIUS = 5  # 11 x 11, Wang et al. 2004
STABILIZERS = (0.01, 0.03)  # K1 and K2, Wang et al. 2004
ROW_WINDOW = 7  # columns, the default of scikit-image
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang, Simoncelli and Bovik 2003

Stack = Float[Tensor, "slice h w"]
Foreground = Bool[Tensor, "slice h w"]


def psnr(mean_squared_error: float, data_range: float = DATA_RANGE) -> float:
    """Return 10 log10(range^2 / mean squared error) in dB, at most 100 dB, the value of equal images; NaN for a range of 0."""
    if data_range == 0:
        return math.nan
    least = data_range**2 / 10 ** (LARGEST_PSNR_DB / 10)
    return 10 * math.log10(data_range**2 / max(mean_squared_error, least))


def squared_error_of(psnr_db: float, data_range: float = DATA_RANGE) -> float:
    """Return the mean squared error that gives a PSNR, the inverse of `psnr` below its limit."""
    return data_range**2 * 10 ** (-psnr_db / 10)


def ssim(prediction: Stack, target: Stack, foreground: Foreground, data_range: float = DATA_RANGE) -> float:
    """Return the structural similarity (Gaussian window, sigma 1.5 pixels): the mean over each slice's foreground, then over slices."""
    luminance, structure = _similarity_maps(prediction, target, data_range, _window_mean)
    return _mean_of_slices(_inside(luminance * structure, foreground))


def ms_ssim(
    prediction: Stack, target: Stack, foreground: Foreground, data_range: float = DATA_RANGE, scales: int = 5
) -> float:
    """Return the multi-scale structural similarity inside the foreground, averaged over slices.

    Of the published weights the first `scales` are rescaled to sum to 1. Negative contrast terms count as 0. As in torchmetrics, windows
    that reach over the border do not count, except at the last scale, where the image is mirrored; with foreground everywhere the two
    are equal. With background around the image (`scaled_margin`) all windows count. An image that would get smaller than a window has
    fewer scales.
    """
    scales = max(1, min(scales, int(math.log2(min(target.shape[-2:]) / (2 * WINDOW_RADIUS + 1))) + 1))
    weights = torch.tensor(SCALE_WEIGHTS[:scales], dtype=torch.float64)
    result = torch.ones(len(target), dtype=torch.float64)
    share = foreground.float()
    for scale, weight in enumerate(weights / weights.sum()):
        luminance, structure = _similarity_maps(prediction, target, data_range, _window_mean)
        last = scale == scales - 1
        part = slice(None) if last else slice(WINDOW_RADIUS, -WINDOW_RADIUS)
        similarity = luminance * structure if last else structure
        value = _inside(similarity[:, part, part], share[:, part, part] > 0.5)
        # A thin foreground can vanish at a coarse scale, which is then left out for this slice.
        result = result * torch.where(value.isnan() & (scale > 0), 1.0, value.clamp(min=0) ** weight)
        prediction, target, share = (avg_pool2d(image[:, None], 2)[:, 0] for image in (prediction, target, share))
    return _mean_of_slices(result)


def scaled_margin(scales: int) -> int:
    """Return how many pixels of background around an image keep the windows of `ms_ssim` at all scales inside it."""
    return int(WINDOW_RADIUS * 2 ** (scales - 1))


def row_ssim(image: Tensor, target: Tensor, data_range: float) -> float:
    """Return the SSIM of two images (h, w) as the paper's authors measure it: each row is a separate signal (deviation E1).

    Windows of 7 columns with equal weights, at full overlap only; variances divided by 6. Not comparable with `ssim`.
    """
    unbiased = ROW_WINDOW / (ROW_WINDOW - 1)
    luminance, structure = _similarity_maps(image.double(), target.double(), data_range, _row_mean, unbiased)
    return float((luminance * structure).mean())


def _similarity_maps(
    first: Tensor, second: Tensor, data_range: float, mean: Callable[[Tensor], Tensor], correction: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return the luminance and the contrast-structure factor of SSIM at every pixel (Wang et al. 2004, eqs. 6 and 13).

    `mean` averages over the window around each pixel; `correction` multiplies variances and covariance.
    """
    c1, c2 = ((k * data_range) ** 2 for k in STABILIZERS)
    mean_1, mean_2 = mean(first), mean(second)
    variance_1 = correction * (mean(first.square()) - mean_1.square())
    variance_2 = correction * (mean(second.square()) - mean_2.square())
    covariance = correction * (mean(first * second) - mean_1 * mean_2)
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1.square() + mean_2.square() + c1)
    return luminance, (2 * covariance + c2) / (variance_1 + variance_2 + c2)


def _row_mean(image: Tensor) -> Tensor:
    return image.unfold(1, ROW_WINDOW, 1).mean(-1)


def _window_mean(image: Tensor) -> Tensor:
    """Return the Gaussian-weighted mean around every pixel; the image is mirrored at its borders.

    Two small matrix products are many times faster on a CPU than a convolution with one channel.
    """
    rows, columns = (_window_matrix(size).to(image) for size in image.shape[-2:])
    return rows @ image @ columns.T


@lru_cache(maxsize=16)  # one for each side of an image at each scale
def _window_matrix(size: int) -> Tensor:
    """Return (size, size): row i holds the weights of the pixels around pixel i of a line that is mirrored at its ends."""
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
