"""LC2, the similarity of an ultrasound and another image: how well its grey levels and edges explain the ultrasound in patches.

Wein et al., "Global Registration of Ultrasound to MRI Using the LC2 Metric for Enabling Neurosurgical Guidance", MICCAI 2013. In each
patch the ultrasound y is regressed on the other image x and the length of its gradient |dx|, because the brightness of tissues and
interfaces in ultrasound differs from place to place. LC2 is the mean of the explained share of the variance of y, weighted by that
variance. Patches that the other image does not cover count as unexplained, so that moving it away gains nothing.
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
RIDGE = 1e-3  # of the regressors' mean variance, because the covariance of flat patches is singular
LEVER_MM = 40.0  # a rotation by 1/40 counts as 1 mm, the movement at this distance from the centre
TOLERANCE_MM = 0.05
MOST_EVALUATIONS = 1500


def similarity(level: Level, transform: sitk.Transform) -> float:
    """Return the share of the variance of the fixed ultrasound that the moving image explains under a transform, from 0 to 1."""
    there = on_indices(level.moving.data, level.between(transform), level.fixed.grid.shape)
    return explained_share(
        level.fixed.data, there, level.shared(transform), level.fixed.inside, level.fixed.grid.spacing_mm[0]
    )


def improve(level: Level, transform: sitk.Transform) -> None:
    """Change a transform in place to the nearest maximum of similarity (Nelder-Mead, because LC2 has no simple derivative)."""
    first = np.array(transform.GetParameters())
    unit = np.where(np.arange(len(first)) < len(first) - 3, 1 / LEVER_MM, 1.0)  # the last three are millimetres

    def cost(steps: Array) -> float:
        transform.SetParameters((first + unit * steps).tolist())
        return -similarity(level, transform)

    # A simplex as wide as a voxel around the start: line searches across the whole head find distant wrong maxima.
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
    """Terms of LC2 for the patch around each voxel [X, Y, Z]: variance of the ultrasound, explained variance, covered share."""

    variance: Array
    explained: Array
    covered: Array


def explained_share(sound: Array, other: Array, both: Array, wanted: Array, spacing_mm: float) -> float:
    """Return LC2 of two images [X, Y, Z] from the voxels marked in `both`, over the patches around the voxels marked in `wanted`."""
    if not both.any():
        return 0.0
    terms = explained(sound, other, both, spacing_mm)
    counted = both & (terms.covered >= LEAST_COVERED)
    if not counted.any():
        return 0.0
    variance = terms.variance[counted]
    # Uncovered patches have the mean weight of covered ones.
    total = float(variance.sum()) + float(variance.mean()) * float((wanted & ~counted).sum())
    return float(np.clip(terms.explained[counted], 0, variance).sum()) / max(total, 1e-9)


def explained(sound: Array, other: Array, both: Array, spacing_mm: float) -> Terms:
    """Return what a regression of the ultrasound on the other image and its gradient explains in each patch of voxels in `both`."""
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
    """Return the mean over the cube of `size` voxels around each voxel, with 0 beyond the border."""
    return ndimage.uniform_filter(data.astype(np.float32, copy=False), size, mode="constant")
