"""Checks on voxel-to-world affines, before anything is computed with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.errors import VolumeError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK and DICOM use LPS, this package RAS
SPACING_LIMITS_MM = (1e-3, 1e3)  # from a microscope's voxel to more than a body
FARTHEST_MM = 1e6  # an origin farther away loses fractions of a voxel in float32
SHEAR_TOLERANCE = 1e-3  # cosine between two axes; 0.06 degrees, the rounding error of stored direction cosines
SHORTEST_SIDE_MM = 1.0  # longest side of an image; a head whose lengths are in the wrong unit is 0.2 mm long
LONGEST_SIDE_MM = 1000.0
MOST_ANISOTROPIC = 10.0  # longest over shortest edge of a voxel
FLATTEST = 0.5  # volume of the box spanned by the unit axes; a gantry tilted by 30 degrees gives 0.87
NO_ORIENTATION = "the file states no orientation; left, right, front and back are a guess"


def spacings(affine: Array) -> tuple[float, float, float]:
    """Return the lengths in mm of the three voxel steps of an affine [4, 4]."""
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return x, y, z


def has_right_angles(affine: Array) -> bool:
    """Return whether the three axes of an affine [4, 4] are perpendicular."""
    directions = affine[:3, :3] / np.array(spacings(affine))
    return bool(np.abs(directions.T @ directions - np.eye(3)).max() <= SHEAR_TOLERANCE)


def why_unusable(affine: Array) -> str | None:
    """Return why an affine [4, 4] cannot be the geometry of a scan, or None if it can."""
    if not np.isfinite(affine).all():
        return "the affine holds NaN or infinity"
    if np.abs(affine).max() > FARTHEST_MM:
        return f"its affine holds {np.abs(affine).max():.3g} mm"
    steps = spacings(affine)
    if min(steps) == 0 or not (SPACING_LIMITS_MM[0] <= min(steps) and max(steps) <= SPACING_LIMITS_MM[1]):
        return f"voxels of {' x '.join(f'{step:.3g}' for step in steps)} mm are impossible"
    if abs(np.linalg.det(affine[:3, :3] / np.array(steps))) < FLATTEST:
        return "its axes lie almost in one plane"
    return None


def check_affine(affine: Array, where: str | Path) -> None:
    """Raise VolumeError if an affine [4, 4] cannot be the geometry of a scan."""
    reason = why_unusable(affine)
    if reason is not None:
        raise VolumeError("broken geometry", where, reason, "fix the header or convert the scan again")


def check_size(affine: Array, shape: tuple[int, int, int], where: str | Path) -> tuple[str, ...]:
    """Return notes on an unlikely size of an image; raise VolumeError if nothing that small is imaged."""
    steps, sizes = np.array(spacings(affine)), np.array(shape)
    longest = float((steps * sizes).max())
    if longest < SHORTEST_SIDE_MM:
        why = f"its longest side is {longest:.2g} mm according to its header"
        raise VolumeError(
            "impossible size", where, why, "correct the unit of length in the header (xyzt_units in NIfTI)"
        )
    notes = []
    if longest > LONGEST_SIDE_MM:
        notes.append(f"its longest side is {longest:.3g} mm; is the unit of length right?")
    edges = steps[sizes > 1] if (sizes > 1).any() else steps
    if edges.max() > MOST_ANISOTROPIC * edges.min():
        text = " x ".join(f"{step:.3g}" for step in steps)
        notes.append(f"voxels of {text} mm are very long; expect blur across the slices")
    return tuple(notes)
