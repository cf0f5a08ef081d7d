"""How fine a stack of slices is: power by spatial frequency within the slices, change from one slice to the next.

A blurred image lacks power at high frequencies and a checkerboard has too much of it; slices that were made one by one and do not fit
together change too much from one to the next. Neither needs the images to match voxel by voxel.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

BANDS = 16  # of equal width from frequency 0 to Nyquist's, half a cycle a pixel

Stack = Float[Tensor, "slice h w"]
Foreground = Bool[Tensor, "slice h w"]


def radial_power(images: Stack, foreground: Foreground) -> Float[Tensor, " bands"]:
    """Return the power of a stack in `BANDS` bands of spatial frequency, summed over slices, directions and frequencies, float64.

    Each slice is taken less its mean over the foreground, with 0 outside, so that neither brightness nor background count. The zero
    frequency and the corners beyond Nyquist's frequency are left out. A wave of amplitude a has the power a^2 / 2 per pixel.
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
