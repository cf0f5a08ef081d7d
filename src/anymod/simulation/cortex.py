"""Folded ribbons: the distance to a pial surface that dives into sulci along the zero lines of noise on a smooth hull."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from anymod.arrays import Array
from anymod.simulation.shapes import smooth_minimum


@dataclass(frozen=True)
class Sulci:
    """One family of sulci: its pattern (zero on each sulcus' wall) and how deep below the hull its walls reach [mm]."""

    pattern: Array
    depth_mm: Array | float


def projected_onto_hull(depth: Array, spacing_mm: float) -> tuple[Array, Array, Array]:
    """Return the displacement [mm] that carries each point to the hull's nearest point, for a depth below the hull [mm].

    A pattern read there does not change on the way inwards, so that a line on the hull becomes a wall: a sulcus.
    """
    slopes = np.gradient(depth, np.float32(spacing_mm))
    # Halfway between two surfaces the nearest one changes from voxel to voxel; a little blur turns that tear into a fold.
    x, y, z = (ndimage.gaussian_filter(-depth * slope, 1.5 / spacing_mm, truncate=2.5) for slope in slopes)
    return x, y, z


def pial_distance(depth: Array, families: tuple[Sulci, ...], unfolded_mm: Array | float, spacing_mm: float) -> Array:
    """Return the distance [mm] to the pial surface: the hull at `depth` 0 together with the walls of all sulci.

    Near its zero set a pattern divided by its slope is a distance; below a wall's lower edge the distance is to that edge.
    No wall comes closer than `unfolded_mm` (positive where nothing may be folded: near nuclei and ventricles).
    """
    distance = depth
    for sulci in families:
        slopes = np.gradient(sulci.pattern, np.float32(spacing_mm))
        steepness = np.sqrt(sum(slope * slope for slope in slopes))
        typical = np.float32(np.sqrt(np.mean(steepness**2)))
        # At a saddle of the pattern the slope vanishes on the line itself; the floor keeps that spot a junction, not a hole.
        # Where the projection tears the pattern its slope is without meaning; the ceiling keeps a tear from being a sulcus.
        steepness = np.clip(np.sqrt(steepness**2 + (0.2 * typical) ** 2), None, 2.0 * typical)
        sideways = np.abs(sulci.pattern) / steepness
        wall = np.sqrt(sideways**2 + np.clip(depth - sulci.depth_mm, 0, None) ** 2)
        distance = smooth_minimum(distance, np.maximum(wall, unfolded_mm), 2.0)
    return distance
