"""How large the error of a synthetic voxel is likely to be, from what can be seen around it.

The absolute error is taken to be exponentially distributed (a Laplace error) with a mean of exp(weights · features). The weights maximize
the likelihood over voxels whose errors are known; a factor then makes the mean a standard deviation by what is needed for coverage.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anymod.arrays import Array
from anymod.core.features import border_distances, box_mean

WIDTH = 5  # pixels of the box in which variation is measured
LEAST_VARIATION = 0.01  # of images in [-1, 1]; keeps the logarithm of a constant finite
BORDER = 0.2  # distance from the border, in units of `border_distances`, over which its influence falls to 37 %
RIDGE = 1e-3
STEPS = 50
STEEPEST = 1e-8  # of the gradient where the fit has converged
SMALLEST = 1e-4  # mean error: images in [-1, 1] are never better than that
ONE, TWO = 0.6827, 0.9545  # shares of a normal distribution within one and two standard deviations

Stacks = Float[Tensor, "image slice h w"]


def error_features(images: Stacks, inside: Bool[Tensor, "slice h w"]) -> Float[Tensor, "feature slice h w"]:
    """Return a constant, the nearness of the border, and of each image its value, square and the logarithm of its local variation.

    `images` are the prediction and the shown images, in [-1, 1]; `inside` is where they show something.
    """
    weight = inside.float()
    values = images * weight
    share = box_mean(weight[None], WIDTH)[0] + 1e-6
    mean, square = (box_mean(each, WIDTH) / share for each in (values, values * values))
    variation = (square - mean * mean).clamp(min=0).sqrt()
    border = torch.exp(-border_distances(inside[:, None])[:, 0] / BORDER)
    return torch.stack(
        [torch.ones_like(border), border, *values, *(values * values), *torch.log(variation + LEAST_VARIATION)]
    )


def feature_count(images: int) -> int:
    """Return how many features so many images have."""
    return 2 + 3 * images


def fit_log_scale(features: Array, errors: Array, voxels: Array) -> Array:
    """Return the weights (f,) that maximize the likelihood of absolute errors (n,) with features (n, f), by Newton's method.

    `voxels` (n,) says how many voxels each one stands for. The problem is convex; a small ridge makes its solution unique.
    """
    share = voxels / voxels.sum()
    errors = np.maximum(errors, SMALLEST)
    weights = np.zeros(features.shape[1])
    weights[0] = np.log(share @ errors)
    ridge = np.full(len(weights), RIDGE)
    ridge[0] = 0.0

    def cost(at: Array) -> float:
        score = features @ at
        return float(share @ (errors * np.exp(-score) + score) + 0.5 * ridge @ at**2)

    for _ in range(STEPS):
        ratio = share * errors * np.exp(-features @ weights)
        gradient = features.T @ (share - ratio) + ridge * weights
        if np.abs(gradient).max() < STEEPEST:
            break
        step = np.linalg.solve(features.T @ (features * ratio[:, None]) + np.diag(ridge + 1e-12), gradient)
        length, before = 1.0, cost(weights)
        while cost(weights - length * step) > before and length > 1e-6:
            length /= 2
        weights = weights - length * step
    return weights


def coverage_factor(ratios: Array, voxels: Array) -> float:
    """Return what to multiply expected errors by, so that about 68 % of errors lie within one and 95 % within two of the products.

    `ratios` (n,) are absolute errors over expected ones. A heavy tail cannot meet both shares: the geometric mean of the two factors.
    """
    order = np.argsort(ratios)
    below = np.cumsum(voxels[order]) / voxels.sum()
    one, two = (float(ratios[order][np.searchsorted(below, share)]) for share in (ONE, TWO))
    return float(np.sqrt(one * two / 2))
