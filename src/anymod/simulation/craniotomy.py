"""Where the skull is opened: a probe on the brain's surface, over a target, pointing at it."""

from __future__ import annotations

import numpy as np

from anymod.arrays import Array
from anymod.errors import ModalityError
from anymod.simulation.anatomy import Axes
from anymod.simulation.tissues import OUTSIDE_BRAIN, Tissue
from anymod.simulation.ultrasound import Pose, Probe

DIRECTIONS = 400  # tried; the shortest ways out of the brain win
LATITUDE_MM = 8.0  # how much longer than the shortest way a surgeon's may be
FARTHEST_MM = 130.0  # more than from any point of a brain to its surface
SLACK_MM = 1.0  # of saline between array and brain
BOX_VOXELS = (192, 192, 128)  # of half a millimetre: what images show that lie where the ultrasound looks
BOX_MM = tuple(0.5 * count for count in BOX_VOXELS)


def place_probe(
    fractions: Array, axes: Axes, target: tuple[float, float, float], generator: np.random.Generator
) -> Pose:
    """Return a pose over a target [mm] in a (coarse) anatomy: from above or from the side, never across the midline or through the face."""
    inside = fractions[list(OUTSIDE_BRAIN)].sum(axis=0) < 0.5
    directions = generator.standard_normal((DIRECTIONS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    across = directions[:, 0] * np.sign(target[0]) < -0.2
    directions = directions[(directions[:, 2] > 0) & ~across]
    ways = np.array([_way_out(inside, axes, target, direction) for direction in directions])
    chosen = int(np.argmin(ways + generator.uniform(0, LATITUDE_MM, len(ways))))
    outward = directions[chosen]
    lateral = np.cross(outward, generator.standard_normal(3))
    lateral /= np.linalg.norm(lateral)
    contact = np.asarray(target) + (ways[chosen] + SLACK_MM) * outward
    return Pose(contact, -outward, lateral, np.cross(-outward, lateral))


def draw_target(
    fractions: Array, axes: Axes, depth: Array, generator: np.random.Generator
) -> tuple[float, float, float]:
    """Return a point [mm] in white matter above the tentorium, for a subject without a tumour."""
    above = (axes[2] > -12)[None, None, :]
    candidates = np.argwhere((fractions[Tissue.WHITE] > 0.6) & (depth > 10) & above)
    if not len(candidates):
        why = "no white matter lies 10 mm below the surface and above the tentorium"
        raise ModalityError("nothing to look at", "ultrasound", why, "give label maps of whole brains")
    x, y, z = candidates[generator.integers(len(candidates))]
    return float(axes[0][x]), float(axes[1][y]), float(axes[2][z])


def box_axes(probe: Probe, pose: Pose, spacing_mm: float) -> Axes:
    """Return the voxel centres [mm] along x, y and z of the box that the ultrasound looks at, about half its depth."""
    middle = pose.contact + 0.5 * probe.depth_mm * pose.inward
    counts = (round(size / spacing_mm) for size in BOX_MM)
    x, y, z = (place + spacing_mm * (np.arange(n) - (n - 1) / 2) for place, n in zip(middle, counts, strict=True))
    return x, y, z


def _way_out(inside: Array, axes: Axes, target: tuple[float, float, float], direction: Array) -> float:
    """Return the distance [mm] from the target along a direction to where the brain ends for good."""
    steps = np.arange(0.0, FARTHEST_MM)
    voxels = tuple(
        np.clip(np.rint((start + steps * part - axis[0]) / (axis[1] - axis[0])), 0, len(axis) - 1).astype(np.intp)
        for start, part, axis in zip(target, direction, axes, strict=True)
    )
    met = np.flatnonzero(inside[voxels])
    return float(steps[met[-1]]) if len(met) else 0.0
