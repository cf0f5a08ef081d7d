"""Folded cortex: distance to a pial surface whose sulci follow the zero lines of noise on a smooth hull."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from anymod.arrays import Array
from anymod.simulation.shapes import smooth_minimum


@dataclass(frozen=True)
class Sulci:
    """One family of sulci: a pattern that is zero on their walls, and the depth [mm] of the walls below the hull."""

    pattern: Array
    depth_mm: Array | float


def projected_onto_hull(depth: Array, spacing_mm: float) -> tuple[Array, Array, Array]:
    """Return the displacement [mm] of each point to the nearest point of the hull; `depth` is the depth below the hull [mm].

    A pattern evaluated there is constant along the way inwards, so that a line on the hull becomes the wall of a sulcus.
    """
    slopes = np.gradient(depth, np.float32(spacing_mm))
    # Halfway between two surfaces the nearest point jumps from one voxel to the next; a slight blur smooths the jump.
    x, y, z = (ndimage.gaussian_filter(-depth * slope, 1.5 / spacing_mm, truncate=2.5) for slope in slopes)
    return x, y, z


def pial_distance(depth: Array, families: tuple[Sulci, ...], unfolded_mm: Array | float, spacing_mm: float) -> Array:
    """Return the distance [mm] to the pial surface: the hull (`depth` 0) and the walls of all sulci.

    Near its zeros, a pattern divided by its slope is a distance to the wall; below a wall's lower edge, the distance is to that edge.
    Distances to walls are at least `unfolded_mm`, which is positive near nuclei and ventricles, where nothing folds.
    """
    distance = depth
    for sulci in families:
        slopes = np.gradient(sulci.pattern, np.float32(spacing_mm))
        steepness = np.sqrt(sum(slope * slope for slope in slopes))
        typical = np.float32(np.sqrt(np.mean(steepness**2)))
        # At a saddle the slope vanishes on the zero line; the lower limit makes this a junction instead of a hole.
        # Where the projection jumps, the slope has no meaning; the upper limit keeps the jump from becoming a sulcus.
        steepness = np.clip(np.sqrt(steepness**2 + (0.2 * typical) ** 2), None, 2.0 * typical)
        sideways = np.abs(sulci.pattern) / steepness
        wall = np.sqrt(sideways**2 + np.clip(depth - sulci.depth_mm, 0, None) ** 2)
        distance = smooth_minimum(distance, np.maximum(wall, unfolded_mm), 2.0)
    return distance
