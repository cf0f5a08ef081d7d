"""Craniotomy: pose of an ultrasound probe on the brain surface, pointing at a target."""

from __future__ import annotations

import numpy as np

from anymod.arrays import Array
from anymod.errors import ModalityError
from anymod.simulation.anatomy import Axes
from anymod.simulation.tissues import OUTSIDE_BRAIN, Tissue
from anymod.simulation.ultrasound import Pose, Probe

DIRECTIONS = 400  # candidates; short paths out of the brain are preferred
LATITUDE_MM = 8.0  # a surgeon's path may be this much longer than the shortest
FARTHEST_MM = 130.0  # more than the distance from any point of a brain to its surface
SLACK_MM = 1.0  # saline between array and brain
BOX_VOXELS = (192, 192, 128)  # of 0.5 mm: images that cover the field of view of the ultrasound
BOX_MM = tuple(0.5 * count for count in BOX_VOXELS)


def place_probe(
    fractions: Array, axes: Axes, target: tuple[float, float, float], generator: np.random.Generator
) -> Pose:
    """Return a probe pose over a target [mm] in a coarse anatomy: from above or the side, never across the midline or through the face."""
    inside = fractions[list(OUTSIDE_BRAIN)].sum(axis=0) < 0.5
    directions = generator.standard_normal((DIRECTIONS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    across = directions[:, 0] * np.sign(target[0]) < -0.2
    directions = directions[(directions[:, 2] > 0) & ~across]
    lengths = np.array([_path_length(inside, axes, target, direction) for direction in directions])
    chosen = int(np.argmin(lengths + generator.uniform(0, LATITUDE_MM, len(lengths))))
    outward = directions[chosen]
    lateral = np.cross(outward, generator.standard_normal(3))
    lateral /= np.linalg.norm(lateral)
    contact = np.asarray(target) + (lengths[chosen] + SLACK_MM) * outward
    return Pose(contact, -outward, lateral, np.cross(-outward, lateral))


def draw_target(
    fractions: Array, axes: Axes, depth: Array, generator: np.random.Generator
) -> tuple[float, float, float]:
    """Return a random point [mm] in white matter above the tentorium; raise ModalityError if there is none."""
    above = (axes[2] > -12)[None, None, :]
    candidates = np.argwhere((fractions[Tissue.WHITE] > 0.6) & (depth > 10) & above)
    if not len(candidates):
        why = "no white matter lies 10 mm below the surface and above the tentorium"
        raise ModalityError("no target for the probe", "ultrasound", why, "give label maps of whole brains")
    x, y, z = candidates[generator.integers(len(candidates))]
    return float(axes[0][x]), float(axes[1][y]), float(axes[2][z])


def box_axes(probe: Probe, pose: Pose, spacing_mm: float) -> Axes:
    """Return the voxel centres [mm] along x, y and z of the images' box, centred at half the depth of the ultrasound."""
    middle = pose.contact + 0.5 * probe.depth_mm * pose.inward
    counts = (round(size / spacing_mm) for size in BOX_MM)
    x, y, z = (place + spacing_mm * (np.arange(n) - (n - 1) / 2) for place, n in zip(middle, counts, strict=True))
    return x, y, z


def _path_length(inside: Array, axes: Axes, target: tuple[float, float, float], direction: Array) -> float:
    """Return the distance [mm] from the target along a direction to the last point inside the brain."""
    steps = np.arange(0.0, FARTHEST_MM)
    voxels = tuple(
        np.clip(np.rint((start + steps * part - axis[0]) / (axis[1] - axis[0])), 0, len(axis) - 1).astype(np.intp)
        for start, part, axis in zip(target, direction, axes, strict=True)
    )
    found = np.flatnonzero(inside[voxels])
    return float(steps[found[-1]]) if len(found) else 0.0
