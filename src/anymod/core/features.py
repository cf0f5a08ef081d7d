"""What a voxel and its surroundings say about it without a network: features for a linear regression."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.ndimage import distance_transform_edt, uniform_filter

from anymod.arrays import Array

BOXES = ((1, 3, 3), (1, 9, 9), (3, 21, 21))  # slices, rows, columns
NEIGHBOURS = 1  # slices on each side that the widest box sees
FAR = 20  # pixels that make a distance of 1
EMPTY = 1e-3  # share of a box below which it holds no foreground: one voxel of the widest is 7e-4
KINDS = 5 + len(BOXES)  # for each modality: value, square, cube, means, distance, its square


def needed_modalities(count: int) -> list[int]:
    """Return, for each feature of `count` modalities, a bit mask of those that it is made of; the first `count` are their values."""
    pairs = [1 << first | 1 << second for first, second in combinations(range(count), 2)]
    return [1 << modality for modality in range(count)] * KINDS + pairs


def surroundings(planes: Array, foreground: Array) -> Array:
    """Return the features (f, slice, row, column) of neighbouring slices and their foreground (slice, modality, row, column).

    For each modality: its value, square and cube, means over boxes within the foreground, and the distance to the background of the slice;
    for each pair of modalities the product of their values. Outside of a modality's foreground its features are arbitrary.
    """
    inside = foreground.swapaxes(0, 1)
    here = np.where(inside, planes.swapaxes(0, 1), 0).astype(np.float32)
    distance = np.array([[_distance(plane) for plane in modality] for modality in inside], np.float32) / FAR
    pairs = combinations(range(len(here)), 2)
    products = [here[first] * here[second] for first, second in pairs]
    means = [_mean(here, inside, box) for box in BOXES]
    features = np.concatenate([here, here**2, here**3, *means, distance, distance**2])
    return np.concatenate([features, products]) if products else features


def _mean(values: Array, inside: Array, box: tuple[int, int, int]) -> Array:
    """Return the mean over the foreground in a box around each voxel, 0 where there is none."""
    sums, shares = (
        np.stack([uniform_filter(each, box, np.float32, mode="constant") for each in images])
        for images in (values, inside.astype(np.float32))
    )
    return np.divide(sums, shares, out=np.zeros_like(sums), where=shares > EMPTY / 2)


def _distance(inside: Array) -> Array:
    """Return the distance of each pixel to the background; beyond the edge of a slice is background."""
    return np.asarray(distance_transform_edt(np.pad(inside, 1)))[1:-1, 1:-1]
