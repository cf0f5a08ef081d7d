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

from anymod.files import atomic_write
from anymod.simulation.anatomy import Axes
from anymod.simulation.ultrasound import Pose
from anymod.types import Array

NODE_MM = 24.0  # between nodes: the finest change of a displacement
MARGIN_MM = 24.0  # by which the lattice reaches beyond the images
SETTLED_MM = 30.0  # how far about the opening tissue settles or swells (standard deviation of a Gaussian)
RANDOM_SHARE = 0.35  # of the displacement: neither towards the opening nor away from it
LEAST_SHARE = 0.3  # of the largest shift asked for: what a subject has at least
LANDMARKS, APART_MM = 20, 7.0  # at most so many a subject, at least so far from one another


@dataclass(frozen=True)
class BrainShift:
    """A displacement [mm]: what the ultrasound shows at x lay at x + u(x) when the MR images were taken.

    `coefficients` [3, X, Y, Z] stand on nodes `NODE_MM` apart from `origin` (RAS+ millimetres).
    """

    origin: Array
    coefficients: Array

    @classmethod
    def draw(cls, axes: Axes, pose: Pose, largest_mm: float, generator: np.random.Generator) -> BrainShift:
        """Return a shift about the opening of a patient imaged on axes [mm]; it is longest there by 0.3 to 1 times `largest_mm`."""
        origin = np.array([axis[0] - MARGIN_MM - NODE_MM for axis in axes])
        counts = [int(np.ceil((np.ptp(axis) + 2 * MARGIN_MM) / NODE_MM)) + 3 for axis in axes]
        nodes = np.stack(np.meshgrid(*(NODE_MM * np.arange(n) for n in counts), indexing="ij")) + _along(origin)
        near = np.exp(-((nodes - _along(pose.contact)) ** 2).sum(axis=0) / (2 * SETTLED_MM**2))
        sense = 1.0 if generator.random() < 0.25 else -1.0  # an opened brain sinks more often than it swells
        settled = (1 - RANDOM_SHARE) * sense * near * _along(pose.inward)
        random = RANDOM_SHARE * generator.standard_normal(nodes.shape)
        shift = cls(origin, settled + random)
        places = np.meshgrid(*(axis[::8] for axis in axes), indexing="ij")
        longest = float(np.sqrt((shift.at(places) ** 2).sum(axis=0)).max())
        wanted = largest_mm * generator.uniform(LEAST_SHARE, 1.0)
        return cls(origin, shift.coefficients * (wanted / longest))

    def at(self, points: Sequence[Array]) -> Array:
        """Return u [3, ...] at world points [mm], three arrays of any one shape; beyond the lattice as at its end."""
        places = [(along - start) / NODE_MM for along, start in zip(points, self.origin, strict=True)]
        return np.stack(
            [
                ndimage.map_coordinates(each, places, order=3, mode="nearest", prefilter=False, output=np.float32)
                for each in self.coefficients
            ]
        )

    def moved(self, points: Sequence[Array]) -> tuple[Array, Array, Array]:
        """Return x + u(x): where what the ultrasound shows at these points [mm] lies in the MR images."""
        x, y, z = (along + step for along, step in zip(points, self.at(points), strict=True))
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


def warped(fractions: Array, axes: Axes, shift: BrainShift) -> tuple[Array, Array]:
    """Return the tissue fractions [tissue, X, Y, Z] as they lie in the ultrasound, and where they are known: not from beyond the images."""
    points = shift.moved(np.meshgrid(*(axis.astype(np.float32) for axis in axes), indexing="ij"))
    places = [(along - axis[0]) / (axis[1] - axis[0]) for along, axis in zip(points, axes, strict=True)]
    moved = np.zeros_like(fractions)
    for tissue in np.flatnonzero(fractions.any(axis=(1, 2, 3))):
        moved[tissue] = ndimage.map_coordinates(fractions[tissue], places, order=1, mode="nearest", output=np.float32)
    known = np.logical_and.reduce(
        [(place >= 0) & (place <= len(axis) - 1) for place, axis in zip(places, axes, strict=True)]
    )
    return moved, known


def find_landmarks(fluid: Array, inside: Array, axes: Axes) -> Array:
    """Return points [n, 3] (RAS+ mm, voxel centres) at corners of folds and ventricles, as experts choose them; none where there are none.

    Corners are where the fraction of fluid changes in every direction: the smallest eigenvalue of its structure tensor is largest
    (Förstner and Gülch 1987). `inside` are the voxels they may lie in.
    """
    spacing = float(axes[0][1] - axes[0][0])
    slopes = np.gradient(ndimage.gaussian_filter(fluid, 1.0 / spacing))
    tensor = np.empty((*fluid.shape, 3, 3), np.float32)
    for row in range(3):
        for column in range(row, 3):
            product = ndimage.gaussian_filter(slopes[row] * slopes[column], 2.0 / spacing)
            tensor[..., row, column] = tensor[..., column, row] = product
    corner = np.zeros(fluid.shape, np.float32)
    corner[inside] = np.linalg.eigvalsh(tensor[inside])[:, 0]
    summits = (corner == ndimage.maximum_filter(corner, 2 * round(APART_MM / spacing) + 1)) & (corner > 0)
    found = np.argwhere(summits)
    best = found[np.argsort(-corner[summits], kind="stable")[:LANDMARKS]]
    return np.stack([axis[best[:, number]] for number, axis in enumerate(axes)], axis=1)


def _along(vector: Array) -> Array:
    """Return a vector [3] as [3, 1, 1, 1]."""
    return np.asarray(vector)[:, None, None, None]
