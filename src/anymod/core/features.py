"""What a voxel's own values and its surroundings say about it without a network: features for a linear regression."""

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
FAR = 20  # pixels that make a distance of 1
EMPTY = 1e-6  # keeps the mean of an empty box finite
KINDS = 8  # for each modality: value, square, cube, three means, distance, its square


def needed_modalities(count: int) -> list[int]:
    """Return, for each feature of `count` modalities, a bit mask of those that it is made of; the first `count` are their values."""
    pairs = [1 << first | 1 << second for first, second in combinations(range(count), 2)]
    return [1 << modality for modality in range(count)] * KINDS + pairs


def surroundings(images: Images) -> Tensor:
    """Return the features (b, f, h, w) of the middle slices of images (b, m, c, h, w), background -1; one neighbour on each side counts.

    For each modality: its value, square and cube, means over boxes within the foreground, and the distance to the background of the slice;
    for each pair of modalities the product of their values.
    """
    middle = images.shape[2] // 2
    inside = (images > -1).to(images.dtype)
    values, near = images * inside, slice(max(0, middle - NEIGHBOURS), middle + NEIGHBOURS + 1)
    here, foreground = images[:, :, middle], inside[:, :, middle]
    means = [_mean(values[:, :, middle], foreground, width) for width in BOXES]
    means.append(_mean(values[:, :, near].sum(2), inside[:, :, near].sum(2), SLAB))
    distance = _distance(foreground)
    products = [here[:, [first]] * here[:, [second]] for first, second in combinations(range(here.shape[1]), 2)]
    return torch.cat([here, here**2, here**3, *means, distance, distance**2, *products], dim=1)


def _mean(values: Tensor, inside: Tensor, width: int) -> Tensor:
    return _box(values, width) / (_box(inside, width) + EMPTY)


def _box(planes: Tensor, width: int) -> Tensor:
    along_rows = avg_pool2d(planes, (width, 1), stride=1, padding=(width // 2, 0))
    return avg_pool2d(along_rows, (1, width), stride=1, padding=(0, width // 2))


def _distance(foreground: Tensor) -> Tensor:
    planes = np.pad(
        foreground.numpy() > 0, ((0, 0), (0, 0), (1, 1), (1, 1))
    )  # beyond the edge of a slice is background
    distances = [[distance_transform_edt(plane)[1:-1, 1:-1] for plane in row] for row in planes]
    return torch.from_numpy(np.array(distances, np.float32)) / FAR
