"""Brain shift: how far tissue has moved between the MR images and the ultrasound, known everywhere.

The displacement is a cubic B-spline over a lattice of nodes, which is what an ITK B-spline transform is (free-form deformation; Rueckert
et al., IEEE Trans. Med. Imaging 18:712, 1999), so the transform that is written is the one that was simulated, not a fit of it.
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

NODE_MM = 24.0  # between nodes: the finest change of a displacement
MARGIN_MM = 24.0  # by which the lattice reaches beyond the images
SETTLED_MM = 30.0  # how far about the opening tissue settles or swells (standard deviation of a Gaussian)
RANDOM_SHARE = 0.35  # of the displacement: in any direction, anywhere
SWELLING = 0.25  # share of the brains that swell when they are opened; the others sink
LEAST_SHARE = 0.3  # of the largest shift asked for: what a subject has at least
POINTS_AT_ONCE = 1_000_000  # all samples of a sweep at once would take 0.3 GB
LANDMARKS, APART_MM = 20, 7.0  # at most so many a subject, at least so far from one another


@dataclass(frozen=True)
class BrainShift:
    """A displacement [mm]: what the ultrasound shows at x lay at x + u(x) when the MR images were taken.

    `coefficients` [3, X, Y, Z] stand on nodes `NODE_MM` apart from `origin` (RAS+ millimetres); `longest_mm` is the length of the
    longest u that was met when it was drawn.
    """

    origin: Array
    coefficients: Array
    longest_mm: float

    @classmethod
    def draw(cls, axes: Axes, pose: Pose, largest_mm: float, generator: np.random.Generator) -> BrainShift:
        """Return a shift about the opening of a patient imaged on axes [mm]; its longest u is 0.3 to 1 times `largest_mm`.

        It is measured at all these places and beyond by `largest_mm`, as the images follow the array to where the brain has gone.
        """
        origin = np.array([axis[0] - MARGIN_MM - NODE_MM for axis in axes])
        counts = [int(np.ceil((np.ptp(axis) + 2 * MARGIN_MM) / NODE_MM)) + 3 for axis in axes]
        nodes = np.stack(np.meshgrid(*(NODE_MM * np.arange(n) for n in counts), indexing="ij")) + _along(origin)
        near = np.exp(-((nodes - _along(pose.contact)) ** 2).sum(axis=0) / (2 * SETTLED_MM**2))
        sense = 1.0 if generator.random() < SWELLING else -1.0  # tissue that has sunk lay further out before
        settled = (1 - RANDOM_SHARE) * sense * near * _along(pose.inward)
        random = RANDOM_SHARE * generator.standard_normal(nodes.shape)
        wanted = largest_mm * generator.uniform(LEAST_SHARE, 1.0)
        shift = cls(origin, settled + random, wanted)
        longest = float(
            np.sqrt((shift.at(np.meshgrid(*widened(axes, largest_mm), indexing="ij")) ** 2).sum(axis=0)).max()
        )
        return cls(origin, shift.coefficients * (wanted / longest), wanted)

    def at(self, points: Sequence[Array]) -> Array:
        """Return u [3, ...] at world points [mm], three arrays of any one shape; beyond the lattice as at its end."""
        flat = [np.ravel(along) for along in points]
        found = np.empty((3, flat[0].size), np.float32)
        for first in range(0, flat[0].size, POINTS_AT_ONCE):
            block = slice(first, first + POINTS_AT_ONCE)
            places = [(along[block] - start) / NODE_MM for along, start in zip(flat, self.origin, strict=True)]
            for each, component in zip(self.coefficients, found[:, block], strict=True):
                ndimage.map_coordinates(each, places, order=3, mode="nearest", prefilter=False, output=component)
        return found.reshape(3, *np.shape(points[0]))

    def moved(self, points: Sequence[Array]) -> tuple[Array, Array, Array]:
        """Return x + u(x): where what the ultrasound shows at these points [mm] lies in the MR images."""
        x, y, z = self.at(points)
        for component, along in zip((x, y, z), points, strict=True):
            np.add(component, along, out=component)
        return x, y, z

    def origin_of(self, point: Array) -> Array:
        """Return the x [3] with x + u(x) = point [mm]: where the ultrasound shows what MR showed at `point`."""
        found = np.asarray(point, np.float64)
        for _ in range(50):  # u changes by far less than 1 mm a mm, so this contracts
            found = point - self.at(list(found[:, None]))[:, 0]
        return found

    def transform(self) -> sitk.BSplineTransform:
        """Return ITK's transform (LPS+ millimetres), from points of the ultrasound to points of the MR images."""
        lps = np.array([-1.0, -1.0, 1.0])
        mesh = [count - 3 for count in self.coefficients.shape[1:]]
        transform = sitk.BSplineTransform(3, 3)
        transform.SetTransformDomainMeshSize(mesh)
        transform.SetTransformDomainOrigin(list(lps * (self.origin + NODE_MM)))
        transform.SetTransformDomainPhysicalDimensions([NODE_MM * count for count in mesh])
        transform.SetTransformDomainDirection(list(np.diag(lps).ravel()))
        # ITK lists node by node, x first, one component after another.
        transform.SetParameters((_along(lps) * self.coefficients).transpose(0, 3, 2, 1).ravel().tolist())
        return transform

    def write(self, path: Path) -> None:
        """Write the transform as a text file of ITK's (`.tfm`)."""
        with atomic_write(path) as temporary:
            sitk.WriteTransform(self.transform(), str(temporary))


def widened(axes: Axes, margin_mm: float) -> Axes:
    """Return evenly spaced axes [mm] that reach further by at least a margin on both sides, with the old places among the new."""
    spacing = float(axes[0][1] - axes[0][0])
    more = int(np.ceil(margin_mm / spacing))
    x, y, z = (axis[0] + spacing * np.arange(-more, len(axis) + more) for axis in axes)
    return x, y, z


def warped(fractions: Array, axes: Axes, points: tuple[Array, Array, Array]) -> Array:
    """Return the tissue fractions [tissue, X, Y, Z] that lie on `axes` [mm], at points [mm] inside of them: three arrays [X, Y, Z]."""
    places = [(along - axis[0]) / (axis[1] - axis[0]) for along, axis in zip(points, axes, strict=True)]
    moved = np.zeros((len(fractions), *places[0].shape), np.float32)
    for tissue in np.flatnonzero(fractions.any(axis=(1, 2, 3))):
        moved[tissue] = ndimage.map_coordinates(fractions[tissue], places, order=1, mode="nearest", output=np.float32)
    return moved


def find_landmarks(fluid: Array, inside: Array, axes: Axes) -> Array:
    """Return points [n, 3] (RAS+ mm, voxel centres) at corners of folds and ventricles, as experts choose them; none where there are none.

    Corners are where the fraction of fluid changes in every direction: the smallest eigenvalue of its structure tensor is largest
    (Förstner and Gülch 1987). `inside` are the voxels they may lie in.
    """
    spacing = float(axes[0][1] - axes[0][0])
    window = 2 * round(APART_MM / spacing) + 1
    near = ndimage.maximum_filter(inside, window)  # so that the border of `inside` makes no summits
    slopes = np.gradient(ndimage.gaussian_filter(fluid, 1.0 / spacing))
    tensor = np.empty((int(near.sum()), 3, 3), np.float32)
    for row in range(3):
        for column in range(row, 3):
            product = ndimage.gaussian_filter(slopes[row] * slopes[column], 2.0 / spacing)
            tensor[:, row, column] = tensor[:, column, row] = product[near]
    corner = np.zeros(fluid.shape, np.float32)
    corner[near] = np.concatenate([np.linalg.eigvalsh(part)[:, 0] for part in np.array_split(tensor, 16)])  # for memory
    summits = inside & (corner > 1e-6) & (corner == ndimage.maximum_filter(corner, window))
    found = np.argwhere(summits)
    best = found[np.argsort(-corner[summits], kind="stable")[:LANDMARKS]]
    return np.stack([axis[best[:, number]] for number, axis in enumerate(axes)], axis=1)


def _along(vector: Array) -> Array:
    """Return a vector [3] as [3, 1, 1, 1]."""
    return np.asarray(vector)[:, None, None, None]
