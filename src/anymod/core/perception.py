"""How different images look: LPIPS, HaarPSI and GMSD of stacks of slices in [-1, 1].

Like SSIM in `fidelity`, each is the mean over the slices that have foreground, NaN without any. Outside the foreground both images count
as background.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d, normalize, pad, relu

HAAR_CONSTANT, HAAR_SLOPE = 30.0, 4.2  # C and alpha of Reisenhofer et al. 2018, section 2.3, for images in [0, 255]
GRADIENT_CONSTANT = 170.0  # c of Xue et al. 2014, section II.B, for images in [0, 255]
LARGEST = 255.0
SMALLEST_SIDE = 64  # pixels that AlexNet's strides need
STRIDES, PADDINGS, POOLED = (
    (4, 1, 1, 1, 1),
    (2, 2, 1, 1, 1),
    (1, 2),
)  # AlexNet (Krizhevsky 2014); pooling before these layers
MEANS, DEVIATIONS = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of LPIPS's colour channels, images in [-1, 1]

Stack = Float[Tensor, "slice h w"]
Foreground = Bool[Tensor, "slice h w"]


def haarpsi(prediction: Stack, target: Stack, foreground: Foreground) -> float:
    """Return the Haar wavelet-based perceptual similarity index (Reisenhofer et al. 2018): 1 for equal images, else less.

    Background weighs nothing, as it has no contrast.
    """
    halves = [_halved(_bytes(image, foreground)) for image in (prediction, target)]
    fine, middle, coarse = ([_haar(image, scale).abs() for image in halves] for scale in (1, 2, 3))
    local = (_likeness(*fine, constant=HAAR_CONSTANT) + _likeness(*middle, constant=HAAR_CONSTANT)) / 2
    weight = torch.maximum(*coarse).double()
    total = weight.sum((1, 2, 3))
    similarity = (torch.sigmoid(HAAR_SLOPE * local.double()) * weight).sum((1, 2, 3)) / total
    index = (torch.logit(similarity) / HAAR_SLOPE).square()
    return _mean(index.where(total > 0, 1.0), foreground)


def gmsd(prediction: Stack, target: Stack, foreground: Foreground) -> float:
    """Return the gradient magnitude similarity deviation (Xue et al. 2014) over the foreground: 0 for equal images, else more."""
    first, second = (_gradient(_halved(_bytes(image, foreground))) for image in (prediction, target))
    similarity = _likeness(first, second, constant=GRADIENT_CONSTANT)
    inside = _halved(foreground.float()) > 0
    count = inside.sum((1, 2)).clamp(min=1)
    mean = (similarity * inside).double().sum((1, 2)) / count
    spread = ((similarity - mean[:, None, None]).square() * inside).double().sum((1, 2)) / count
    return _mean(spread.sqrt(), foreground)


def lpips(prediction: Stack, target: Stack, foreground: Foreground, weights: Mapping[str, Tensor]) -> float:
    """Return the learned perceptual image patch similarity with AlexNet (Zhang et al. 2018, version 0.1): 0 for equal images, else more.

    Grey is shown as three equal colours. Each slice is cut to the box around its foreground, so that the amount of background does not
    matter.

    Args:
        prediction: Images in [-1, 1].
        target: The true images.
        foreground: What counts.
        weights: `features.N.weight`, `features.N.bias` and `heads.N` of the five layers.
    """
    values = [
        lpips_distance(lpips_maps(first, inside, weights), lpips_maps(second, inside, weights), weights)
        for first, second, inside in zip(prediction, target, foreground, strict=True)
        if bool(inside.any())
    ]
    return float(torch.cat(values).mean()) if values else float("nan")


def lpips_maps(
    image: Float[Tensor, "h w"], foreground: Bool[Tensor, "h w"], weights: Mapping[str, Tensor]
) -> list[Tensor]:
    """Return what LPIPS compares of one slice, cut to the box around its foreground: to be kept where many are compared with it."""
    return list(_features(_cut(torch.where(foreground, image, -1.0), foreground)[None], weights))


def lpips_of_slices(prediction: Stack, target: Stack, weights: Mapping[str, Tensor]) -> Float[Tensor, " slice"]:
    """Return the LPIPS of each slice, background and all, enlarged by background to SMALLEST_SIDE pixels; gradients pass through it."""
    return lpips_distance(_features(prediction, weights), _features(target, weights), weights)


def lpips_distance(
    first: Iterable[Tensor], second: Iterable[Tensor], weights: Mapping[str, Tensor]
) -> Float[Tensor, " slice"]:
    """Return the LPIPS of slices from the maps of both."""
    parts = [
        ((one - other).square() * weights[f"heads.{layer}"].float()[:, None, None]).sum(1).mean((1, 2))
        for layer, (one, other) in enumerate(zip(first, second, strict=True))
    ]
    return torch.stack(parts).sum(0)


def _features(images: Stack, weights: Mapping[str, Tensor]) -> Iterator[Tensor]:
    """Yield the maps (slice, c, h, w) of AlexNet's layers, each pixel's vector of length 1; slices are enlarged to SMALLEST_SIDE pixels."""
    missing = [max(0, SMALLEST_SIDE - side) for side in images.shape[:0:-1]]
    images = pad(images, [part for each in missing for part in (each // 2, each - each // 2)], value=-1.0)
    colours = images[:, None].float().expand(-1, 3, -1, -1)
    mean, deviation = (colours.new_tensor(values)[:, None, None] for values in (MEANS, DEVIATIONS))
    maps = (colours - mean) / deviation
    for layer, (stride, padding) in enumerate(zip(STRIDES, PADDINGS, strict=True)):
        if layer in POOLED:
            maps = max_pool2d(maps, 3, 2)
        weight, bias = (weights[f"features.{layer}.{part}"].float() for part in ("weight", "bias"))
        maps = relu(conv2d(maps, weight, bias, stride, padding))
        yield normalize(maps, dim=1, eps=1e-10)


def _cut(image: Tensor, foreground: Tensor) -> Tensor:
    """Return an image (h, w) cut to the box around its foreground."""
    for axis in (0, 1):
        there = foreground.any(1 - axis).nonzero()[:, 0]
        image = image.narrow(axis, int(there[0]), int(there[-1] - there[0]) + 1)
    return image


def _bytes(images: Stack, foreground: Foreground) -> Stack:
    """Return the images in [0, 255], background 0."""
    return torch.where(foreground, (images.float() + 1) * (LARGEST / 2), 0.0)


def _halved(images: Stack) -> Float[Tensor, "slice rows columns"]:
    """Return means over 2 x 2 pixels; 0 lies beyond an odd border."""
    return avg_pool2d(pad(images, (0, images.shape[2] % 2, 0, images.shape[1] % 2))[:, None], 2)[:, 0]


def _likeness(first: Tensor, second: Tensor, *, constant: float) -> Tensor:
    """Return 1 where two magnitudes are equal, less where they differ; the constant decides how little contrast counts."""
    return (2 * first * second + constant) / (first.square() + second.square() + constant)


def _haar(images: Stack, scale: int) -> Float[Tensor, "slice 2 h w"]:
    """Return the coefficients of the Haar wavelets of a size of 2^scale pixels, horizontal and vertical; 0 lies beyond the border."""
    size = 2**scale
    across = torch.ones(size, size, dtype=images.dtype, device=images.device) / size
    across[size // 2 :] *= -1
    around = (size // 2 - 1, size // 2) * 2
    return conv2d(pad(images, around)[:, None], torch.stack([across, across.T])[:, None])


def _gradient(images: Stack) -> Stack:
    """Return the magnitude of the gradient by Prewitt's filter; 0 lies beyond the border."""
    down = torch.tensor([-1.0, 0.0, 1.0], device=images.device).outer(torch.ones(3, device=images.device)) / 3
    both = conv2d(images[:, None], torch.stack([down, down.T])[:, None], padding=1)
    return both.square().sum(1).sqrt()


def _mean(values: Tensor, foreground: Foreground) -> float:
    inhabited = foreground.flatten(1).any(1).cpu()
    return float(values.cpu()[inhabited].mean()) if bool(inhabited.any()) else float("nan")
