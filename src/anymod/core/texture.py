"""Texture of a stack of slices: power by spatial frequency within slices, and change between neighbouring slices.

A blurred image has too little power at high frequencies, checkerboard artefacts add power, and slices that were made independently change
too much from one to the next. Neither measure compares images voxel by voxel.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

BANDS = 16  # of equal width from 0 to the Nyquist frequency, half a cycle per pixel

Stack = Float[Tensor, "slice h w"]
Foreground = Bool[Tensor, "slice h w"]


def radial_power(images: Stack, foreground: Foreground) -> Float[Tensor, " bands"]:
    """Return the power of a stack in `BANDS` bands of spatial frequency, summed over slices, directions and frequencies, float64.

    The mean over the foreground is subtracted from each slice and the background set to 0, so that neither brightness nor background
    count. The zero frequency and the corners beyond the Nyquist frequency are left out. A wave of amplitude a has power a^2 / 2 per pixel.
    """
    inside = foreground.double()
    mean = (images * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
    power = torch.fft.fft2((images - mean[:, None, None]) * inside, norm="ortho").abs().square().sum(0)
    rows, columns = (torch.fft.fftfreq(size, device=images.device) for size in images.shape[-2:])
    radius = torch.hypot(rows[:, None], columns[None])
    band = (radius * 2 * BANDS).long()
    kept = (radius > 0) & (band < BANDS)
    return power.new_zeros(BANDS).index_add(0, band[kept], power[kept])


def through_plane_change(images: Stack, foreground: Foreground) -> float:
    """Return the sum of |difference| between neighbouring slices where both are foreground."""
    both = foreground[1:] & foreground[:-1]
    return float((images[1:] - images[:-1])[both].double().abs().sum())
