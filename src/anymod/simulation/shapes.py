"""Signed distances [mm] of simple solids, negative inside, their unions and intersections, and the coverage of voxels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from anymod.arrays import Array
from anymod.simulation.fields import Points

Number = int | float  # the annotation check of the tests does not accept int as float
Position = tuple[Number, Number, Number]  # x, y, z [mm]
Node = tuple[Number, Number, Number, Number]  # x, y, z, radius [mm]


def ellipsoid(points: Points, centre: Position, radii: Position, *, turn_z: float = 0.0, turn_x: float = 0.0) -> Array:
    """Return the first-order distance to an ellipsoid rotated by `turn_z` about z and `turn_x` about x [degrees]."""
    x, y, z = points.x - centre[0], points.y - centre[1], points.z - centre[2]
    if turn_z:
        c, s = np.float32(np.cos(np.radians(turn_z))), np.float32(np.sin(np.radians(turn_z)))
        x, y = c * x + s * y, c * y - s * x
    if turn_x:
        c, s = np.float32(np.cos(np.radians(turn_x))), np.float32(np.sin(np.radians(turn_x)))
        y, z = c * y + s * z, c * z - s * y
    return _quadric_distance((x, y, z), radii)


def ellipse(u: Array, v: Array, radii: tuple[Number, Number]) -> Array:
    """Return the first-order distance to an ellipse about the origin of a plane with coordinates u, v [mm]."""
    return _quadric_distance((u, v), radii)


def _quadric_distance(offsets: Sequence[Array], radii: Sequence[Number]) -> Array:
    scaled = [offset / np.float32(radius) for offset, radius in zip(offsets, radii, strict=True)]
    level = np.sqrt(sum(u * u for u in scaled))
    slope = np.sqrt(sum((u / np.float32(radius)) ** 2 for u, radius in zip(scaled, radii, strict=True)))
    return level * (level - 1) / np.maximum(slope, np.float32(1e-6))


def tube(points: Points, nodes: Sequence[Node]) -> Array:
    """Return the distance to a bent tube through the nodes; its radius changes linearly between them."""
    distance = None
    for (ax, ay, az, ar), (bx, by, bz, br) in pairwise(nodes):
        x, y, z = points.x - ax, points.y - ay, points.z - az
        ex, ey, ez = bx - ax, by - ay, bz - az
        along = np.clip((x * ex + y * ey + z * ez) / (ex * ex + ey * ey + ez * ez), 0, 1)
        piece = np.sqrt((x - along * ex) ** 2 + (y - along * ey) ** 2 + (z - along * ez) ** 2) - (
            ar + along * (br - ar)
        )
        distance = piece if distance is None else smooth_minimum(distance, piece, 1.5)
    if distance is None:
        raise ValueError("a tube needs two nodes")
    return distance


def smooth_minimum(first: Array, second: Array, blend_mm: float) -> Array:
    """Return the minimum (a union) with the crease rounded over `blend_mm`."""
    mix = np.clip(0.5 + 0.5 * (second - first) / np.float32(blend_mm), 0, 1)
    return second + (first - second) * mix - np.float32(blend_mm) * mix * (1 - mix)


def smooth_maximum(first: Array, second: Array, blend_mm: float) -> Array:
    """Return the maximum (an intersection) with the crease rounded over `blend_mm`."""
    return -smooth_minimum(-first, -second, blend_mm)


def coverage(distance: Array, voxel_mm: float) -> Array:
    """Return the share of each voxel that lies inside, from 0 to 1; exact for a plane parallel to a face of the voxel."""
    return np.clip(0.5 - distance / np.float32(voxel_mm), 0, 1)
