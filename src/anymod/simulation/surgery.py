"""Brain shift: displacement of tissue between the MR images and the ultrasound, known at every point.

The displacement is a cubic B-spline over a lattice of nodes (free-form deformation; Rueckert et al., IEEE Trans. Med. Imaging 18:712,
1999). ITK's B-spline transform has the same form, so the written transform is the simulated one and not a fit to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from anymod.arrays import Array
from anymod.files import atomic_write
from anymod.simulation.anatomy import Axes
from anymod.simulation.ultrasound import Pose

NODE_MM = 24.0  # distance between nodes, which limits how fast a displacement changes
MARGIN_MM = 24.0  # of the lattice around the images
SETTLED_MM = 30.0  # standard deviation of the Gaussian about the opening in which tissue sinks or swells
RANDOM_SHARE = 0.35  # share of the displacement that is random at every node
SWELLING = 0.25  # probability that a brain swells when it is opened; otherwise it sinks
LEAST_SHARE = 0.3  # smallest shift, as a share of the largest shift in the settings
POINTS_AT_ONCE = 1_000_000  # all samples of a sweep at once would take 0.3 GB
LANDMARKS, APART_MM = 20, 7.0  # largest number per subject; smallest distance between two of them


@dataclass(frozen=True)
class BrainShift:
    """Displacement u [mm]: tissue at x in the ultrasound was at x + u(x) in the MR images.

    `coefficients` [3, X, Y, Z] belong to nodes `NODE_MM` apart, the first of them at `origin` (RAS+ millimetres); `longest_mm` is the
    largest length of u, as measured by `draw`.
    """

    origin: Array
    coefficients: Array
    longest_mm: float

    @classmethod
    def draw(cls, axes: Axes, pose: Pose, largest_mm: float, generator: np.random.Generator) -> BrainShift:
        """Return a random shift about the opening of a patient imaged on axes [mm]; the longest u is 0.3 to 1 times `largest_mm`.

        The length of u is measured on the axes widened by `largest_mm`, because the images follow the probe to the shifted brain.
        """
        origin = np.array([axis[0] - MARGIN_MM - NODE_MM for axis in axes])
        counts = [int(np.ceil((np.ptp(axis) + 2 * MARGIN_MM) / NODE_MM)) + 3 for axis in axes]
        nodes = np.stack(np.meshgrid(*(NODE_MM * np.arange(n) for n in counts), indexing="ij")) + _along(origin)
        near = np.exp(-((nodes - _along(pose.contact)) ** 2).sum(axis=0) / (2 * SETTLED_MM**2))
        sense = 1.0 if generator.random() < SWELLING else -1.0  # tissue that has sunk was further out before
        settled = (1 - RANDOM_SHARE) * sense * near * _along(pose.inward)
        random = RANDOM_SHARE * generator.standard_normal(nodes.shape)
        wanted = largest_mm * generator.uniform(LEAST_SHARE, 1.0)
        shift = cls(origin, settled + random, wanted)
        longest = float(
            np.sqrt((shift.at(np.meshgrid(*widened(axes, largest_mm), indexing="ij")) ** 2).sum(axis=0)).max()
        )
        return cls(origin, shift.coefficients * (wanted / longest), wanted)

    def at(self, points: Sequence[Array]) -> Array:
        """Return u [3, ...] at world points [mm], given as three arrays of one shape; the border's values hold beyond the lattice."""
        flat = [np.ravel(along) for along in points]
        found = np.empty((3, flat[0].size), np.float32)
        for first in range(0, flat[0].size, POINTS_AT_ONCE):
            block = slice(first, first + POINTS_AT_ONCE)
            places = [(along[block] - start) / NODE_MM for along, start in zip(flat, self.origin, strict=True)]
            for each, component in zip(self.coefficients, found[:, block], strict=True):
                ndimage.map_coordinates(each, places, order=3, mode="nearest", prefilter=False, output=component)
        return found.reshape(3, *np.shape(points[0]))

    def moved(self, points: Sequence[Array]) -> tuple[Array, Array, Array]:
        """Return x + u(x): the points [mm] of the MR images that correspond to points of the ultrasound."""
        x, y, z = self.at(points)
        for component, along in zip((x, y, z), points, strict=True):
            np.add(component, along, out=component)
        return x, y, z

    def origin_of(self, point: Array) -> Array:
        """Return the point x [3] of the ultrasound with x + u(x) = `point` [mm], a point of the MR images."""
        found = np.asarray(point, np.float64)
        for _ in range(50):  # u changes by far less than 1 mm per mm, so this converges
            found = point - self.at(list(found[:, None]))[:, 0]
        return found

    def transform(self) -> sitk.BSplineTransform:
        """Return the ITK transform (LPS+ millimetres) from points of the ultrasound to points of the MR images."""
        lps = np.array([-1.0, -1.0, 1.0])
        mesh = [count - 3 for count in self.coefficients.shape[1:]]
        transform = sitk.BSplineTransform(3, 3)
        transform.SetTransformDomainMeshSize(mesh)
        transform.SetTransformDomainOrigin(list(lps * (self.origin + NODE_MM)))
        transform.SetTransformDomainPhysicalDimensions([NODE_MM * count for count in mesh])
        transform.SetTransformDomainDirection(list(np.diag(lps).ravel()))
        # ITK lists one component after another, each node by node with x fastest.
        transform.SetParameters((_along(lps) * self.coefficients).transpose(0, 3, 2, 1).ravel().tolist())
        return transform

    def write(self, path: Path) -> None:
        """Write the transform as an ITK text file (`.tfm`)."""
        with atomic_write(path) as temporary:
            sitk.WriteTransform(self.transform(), str(temporary))


def widened(axes: Axes, margin_mm: float) -> Axes:
    """Return evenly spaced axes [mm] extended by at least `margin_mm` at both ends; the old positions are kept."""
    spacing = float(axes[0][1] - axes[0][0])
    more = int(np.ceil(margin_mm / spacing))
    x, y, z = (axis[0] + spacing * np.arange(-more, len(axis) + more) for axis in axes)
    return x, y, z


def warped(fractions: Array, axes: Axes, points: tuple[Array, Array, Array]) -> Array:
    """Return tissue fractions [tissue, X, Y, Z], given on `axes` [mm], at points [mm] between them: three arrays [X, Y, Z]."""
    places = [(along - axis[0]) / (axis[1] - axis[0]) for along, axis in zip(points, axes, strict=True)]
    moved = np.zeros((len(fractions), *places[0].shape), np.float32)
    for tissue in np.flatnonzero(fractions.any(axis=(1, 2, 3))):
        moved[tissue] = ndimage.map_coordinates(fractions[tissue], places, order=1, mode="nearest", output=np.float32)
    return moved


def find_landmarks(fluid: Array, inside: Array, axes: Axes) -> Array:
    """Return points [n, 3] (RAS+ mm, voxel centres) at corners of folds and ventricles, such as experts choose; n can be 0.

    At a corner the fraction of fluid changes in every direction: the smallest eigenvalue of its structure tensor has a maximum
    (Förstner and Gülch 1987). `inside` marks the voxels that may be chosen.
    """
    spacing = float(axes[0][1] - axes[0][0])
    window = 2 * round(APART_MM / spacing) + 1
    near = ndimage.maximum_filter(inside, window)  # so that the border of `inside` creates no maxima
    slopes = np.gradient(ndimage.gaussian_filter(fluid, 1.0 / spacing))
    tensor = np.empty((int(near.sum()), 3, 3), np.float32)
    for row in range(3):
        for column in range(row, 3):
            product = ndimage.gaussian_filter(slopes[row] * slopes[column], 2.0 / spacing)
            tensor[:, row, column] = tensor[:, column, row] = product[near]
    corner = np.zeros(fluid.shape, np.float32)
    corner[near] = np.concatenate([np.linalg.eigvalsh(part)[:, 0] for part in np.array_split(tensor, 16)])  # for memory
    maxima = inside & (corner > 1e-6) & (corner == ndimage.maximum_filter(corner, window))
    found = np.argwhere(maxima)
    best = found[np.argsort(-corner[maxima], kind="stable")[:LANDMARKS]]
    return np.stack([axis[best[:, number]] for number, axis in enumerate(axes)], axis=1)


def _along(vector: Array) -> Array:
    """Return a vector [3] with shape [3, 1, 1, 1]."""
    return np.asarray(vector)[:, None, None, None]
