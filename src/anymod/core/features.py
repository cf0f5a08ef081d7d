"""What a voxel and its surroundings say about it without a network: features for a linear regression."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn.functional import avg_pool2d

from anymod.types import Images

BOXES = (3, 9)  # pixels
SLAB = 21  # pixels, over the slice and its neighbours
NEIGHBOURS = 1  # on each side
POWERS_AND_MEANS = 3 + len(BOXES) + 1  # features of one modality
FAR = 20  # pixels that make a distance of 1
EMPTY = 1e-6  # keeps the mean of an empty box finite


def needed_modalities(count: int, *, distances: bool = True) -> list[int]:
    """Return, for each feature of `count` modalities, a bit mask of those that it is made of; the first `count` are their values.

    The features are those of `surroundings`, then, with `distances`, those of `border_distances`.
    """
    each = [1 << modality for modality in range(count)]
    pairs = [1 << first | 1 << second for first, second in combinations(range(count), 2)]
    return each * POWERS_AND_MEANS + pairs + (each * 2 if distances else [])


def surroundings(images: Images, inside: Tensor) -> Tensor:
    """Return the features (b, f, h, w) of the middle slices of images and their foreground (bool), both (b, m, c, h, w).

    For each modality: its value, square and cube, and means over boxes within the foreground, the widest with one neighbour on each side;
    for each pair of modalities the product of their values. Outside of a modality's foreground its features are arbitrary but finite.
    """
    middle = images.shape[2] // 2
    near = slice(max(0, middle - NEIGHBOURS), middle + NEIGHBOURS + 1)
    values, weights = torch.where(inside, images, 0.0), inside.to(images.dtype)
    here = values[:, :, middle]
    means = [_mean(here, weights[:, :, middle], width) for width in BOXES]
    means.append(_mean(values[:, :, near].sum(2), weights[:, :, near].sum(2), SLAB))
    pairs = combinations(range(here.shape[1]), 2)
    products = [here[:, [first]] * here[:, [second]] for first, second in pairs]
    return torch.cat([here, here**2, here**3, *means, *products], dim=1)


def border_distances(inside: Tensor) -> Tensor:
    """Return each foreground's (b, m, h, w) distances to the background of the slice, then their squares: (b, 2 m, h, w)."""
    planes = np.pad(inside.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))  # beyond the edge of a slice is background
    distances = [[distance_transform_edt(plane)[1:-1, 1:-1] for plane in row] for row in planes]
    found = torch.from_numpy(np.array(distances, np.float32).reshape(inside.shape)) / FAR
    return torch.cat([found, found**2], dim=1)


def _mean(values: Tensor, weights: Tensor, width: int) -> Tensor:
    return box_mean(values, width) / (box_mean(weights, width) + EMPTY)


def box_mean(planes: Tensor, width: int) -> Tensor:
    """Return means of planes (b, c, h, w) over boxes of an odd width, with 0 beyond the border."""
    along_rows = avg_pool2d(planes, (width, 1), stride=1, padding=(width // 2, 0))
    return avg_pool2d(along_rows, (1, width), stride=1, padding=(0, width // 2))


def slice_features(planes: Tensor, foreground: Tensor) -> Tensor:
    """Return all features (slice, f, row, column) of neighbouring slices and their foreground, both (slice, modality, row, column)."""
    windows = [_with_neighbours(each, empty) for each, empty in ((planes, -1.0), (foreground, False))]
    return torch.cat([surroundings(*windows), border_distances(foreground)], dim=1)


def _with_neighbours(slices: Tensor, empty: float | bool) -> Tensor:
    """Return (slice, modality, 1 + 2 NEIGHBOURS, row, column), empty beyond the first and the last slice."""
    beyond = torch.full_like(slices[:NEIGHBOURS], empty)
    padded = torch.cat([beyond, slices, beyond])
    return torch.stack([padded[shift : shift + len(slices)] for shift in range(1 + 2 * NEIGHBOURS)], dim=2)
