"""Foreground of the shown images, which limits what a model can know about a slice."""

from __future__ import annotations

import torch
from torch import Tensor

from anymod.types import Masks, RowMasks, Shown


def shown_foreground(foreground: Masks, shown: Shown) -> RowMasks:
    """Return the union of the foregrounds of the shown images (method, section 9)."""
    return (foreground & shown[:, :, None, None]).any(1)


def masked(images: Tensor, foreground: RowMasks) -> Tensor:
    """Return images (b, t, h, w) with -1, the background, outside the foreground."""
    return torch.where(foreground[:, None], images, -1.0)


def with_content(shown: Shown, foreground: Masks) -> Shown:
    """Return `shown` without the images that are blank in a slice, which carry no information (deviation A6).

    A row where all shown images are blank stays as it is; its result is background anyway.
    """
    filled = shown & foreground.flatten(2).any(2)
    return torch.where(filled.any(1, keepdim=True), filled, shown)
