"""Similarity of an ultrasound and another image: how well its grey levels and edges explain the ultrasound, patch by patch (LC2).

Wein et al., "Global Registration of Ultrasound to MRI Using the LC2 Metric for Enabling Neurosurgical Guidance", MICCAI 2013. In each
patch the ultrasound y is regressed on the other image x and the length of its gradient |dx|: tissues and interfaces are bright in
ultrasound, and how bright differs from place to place. The measure is the mean of the explained share of y's variance, each patch counted
by that variance. Patches that the other image does not cover explain nothing, so that it does not pay to move it away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage, optimize

from anymod.arrays import Array
from anymod.registration.levels import Level, on_indices

PATCH_MM = 10.0  # edge of a patch
LEAST_COVERED = 0.5  # of a patch
RIDGE = 1e-3  # of the regressors' mean variance: flat patches have no inverse
LEVER_MM = 40.0  # a turn by 1/40 counts as a movement of 1 mm, as it is at this distance from the centre
TOLERANCE_MM = 0.05
MOST_EVALUATIONS = 1500


def similarity(level: Level, transform: sitk.Transform) -> float:
    """Return which share of the variance of the fixed image, the ultrasound, the moving one explains under a transform, from 0 to 1."""
    there = on_indices(level.moving.data, level.between(transform), level.fixed.grid.shape)
    return explained_share(
        level.fixed.data, there, level.met(transform), level.fixed.inside, level.fixed.grid.spacing_mm[0]
    )


def improve(level: Level, transform: sitk.Transform) -> None:
    """Move a transform, in place, to where similarity is highest near it (Nelder and Mead's simplex: LC2 has no simple derivative)."""
    first = np.array(transform.GetParameters())
    unit = np.where(np.arange(len(first)) < len(first) - 3, 1 / LEVER_MM, 1.0)  # the last three are millimetres

    def cost(steps: Array) -> float:
        transform.SetParameters((first + unit * steps).tolist())
        return -similarity(level, transform)

    # A simplex about the start, as wide as a voxel: line searches across the whole head find better-looking places far off.
    simplex = np.vstack([np.zeros(len(first)), level.fixed.grid.spacing_mm[0] * np.eye(len(first))])
    options = {
        "initial_simplex": simplex,
        "xatol": TOLERANCE_MM,
        "fatol": 1e-5,
        "maxfev": MOST_EVALUATIONS,
        "adaptive": True,
    }
    found = optimize.minimize(cost, np.zeros(len(first)), method="Nelder-Mead", options=options)
    transform.SetParameters((first + unit * found.x).tolist())


@dataclass(frozen=True)
class Terms:
    """Of the patch about each voxel [X, Y, Z]: variance of the ultrasound, how much of it is explained, which part is covered."""

    variance: Array
    explained: Array
    covered: Array


def explained_share(sound: Array, other: Array, both: Array, wanted: Array, spacing_mm: float) -> float:
    """Return LC2 of two images [X, Y, Z] where `both` count, over the patches about the voxels that are `wanted`."""
    if not both.any():
        return 0.0
    terms = explained(sound, other, both, spacing_mm)
    counted = both & (terms.covered >= LEAST_COVERED)
    if not counted.any():
        return 0.0
    variance = terms.variance[counted]
    # Patches that nothing covers weigh as much as covered ones do in the mean.
    total = float(variance.sum()) + float(variance.mean()) * float((wanted & ~counted).sum())
    return float(np.clip(terms.explained[counted], 0, variance).sum()) / max(total, 1e-9)


def explained(sound: Array, other: Array, both: Array, spacing_mm: float) -> Terms:
    """Return what a regression of the ultrasound on the other image and its gradient explains in each patch, where `both` count."""
    size = 2 * max(1, round(PATCH_MM / spacing_mm / 2)) + 1
    edges = np.sqrt(sum(part**2 for part in np.gradient(other)))
    covered = _mean(both, size)
    share = np.maximum(covered, 1e-6)
    images = [np.where(both, image - image[both].mean(), 0) for image in (sound, other, edges)]
    means = [_mean(image, size) / share for image in images]

    def covariance(first: int, second: int) -> Array:
        return _mean(images[first] * images[second], size) / share - means[first] * means[second]

    yy, xx, gg, yx, yg, xg = (covariance(*pair) for pair in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)))
    xx, gg = (own + RIDGE * float(own[both].mean()) + 1e-9 for own in (xx, gg))
    return Terms(
        variance=np.maximum(yy, 0),
        explained=(yx**2 * gg - 2 * yx * yg * xg + yg**2 * xx) / np.maximum(xx * gg - xg**2, 1e-12),
        covered=covered,
    )


def _mean(data: Array, size: int) -> Array:
    """Return the mean over the cube about each voxel; beyond the border there is nothing."""
    return ndimage.uniform_filter(data.astype(np.float32, copy=False), size, mode="constant")
