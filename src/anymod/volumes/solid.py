"""Solid shape of a head: what lies inside it belongs to it, however dark it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from scipy import ndimage

from anymod.arrays import Array
from anymod.volumes.boxes import foreground_box

GAP_MM = 3.0  # half the width of the channels that are closed: foramina and aqueduct join the ventricles to the outside
DEPTH_MM = 2.0  # below the closed surface, so that sulci and notches of an ordinary head stay as they are
MOST_REACH = 3  # voxels; fine ultrasound keeps gaps between its sweeps
ROUNDING = 1e-4  # of a voxel: rounding errors of a spacing do not decide


def solid(foreground: Array, spacing_mm: Sequence[float]) -> Array:
    """Return the foreground [X, Y, Z] with everything that it encloses.

    These are cavities, also those that a cut through the head opens, and places `DEPTH_MM` deep that reach the outside only by channels
    narrower than twice `GAP_MM`. Specks of noise enclose nothing but holes between them.
    """
    if not foreground.any():
        return foreground.copy()
    box = foreground_box(foreground)  # the amount of background has no influence
    inside = foreground[box]
    filled = foreground.copy()
    filled[box] = _without_cavities(inside) | _below_surface(_without_cavities(_closed(inside, spacing_mm)), spacing_mm)
    return filled


def without_specks(foreground: Array) -> Array:
    """Return the voxels [X, Y, Z] of the cubes of two voxels that fit into the foreground."""
    sizes = [min(2, size) for size in foreground.shape]
    eroded = _filtered(ndimage.minimum_filter, foreground, sizes, 0)
    return _filtered(ndimage.maximum_filter, eroded, sizes, [-(size // 2) if size == 2 else 0 for size in sizes])


def _closed(inside: Array, spacing_mm: Sequence[float]) -> Array:
    """Return the foreground with the gaps between its solid parts closed."""
    reach = _reach(GAP_MM, spacing_mm)
    margins = [(each + 1, each + 1) for each in reach]
    sizes = [2 * each + 1 for each in reach]
    grown = _filtered(ndimage.maximum_filter, without_specks(np.pad(inside, margins)), sizes, 0)
    shrunk = _filtered(ndimage.minimum_filter, grown, sizes, 0)
    return inside | shrunk[tuple(slice(before, -after) for before, after in margins)]


def _below_surface(inside: Array, spacing_mm: Sequence[float]) -> Array:
    return _filtered(ndimage.minimum_filter, inside, [2 * each + 1 for each in _reach(DEPTH_MM, spacing_mm)], 0)


def _without_cavities(inside: Array) -> Array:
    """Return the foreground with the background filled that does not reach the border of the array.

    On each face, what the foreground surrounds is filled first: the spinal canal of a head that ends there is inside.
    """
    capped = inside.copy()
    for axis, end in product(range(3), (0, -1)):
        face: list[int | slice] = [slice(None)] * 3
        face[axis] = end
        capped[tuple(face)] = ndimage.binary_fill_holes(capped[tuple(face)])
    pieces, _ = ndimage.label(np.pad(~capped, 1, constant_values=True))
    return np.asarray(pieces[1:-1, 1:-1, 1:-1] != pieces[0, 0, 0])


def _reach(length_mm: float, spacing_mm: Sequence[float]) -> list[int]:
    return [min(MOST_REACH, int(length_mm / step + 0.5 - ROUNDING)) for step in spacing_mm]


def _filtered(extreme: Callable[..., Array], mask: Array, sizes: Sequence[int], origin: int | Sequence[int]) -> Array:
    """Return a minimum or maximum filter of a mask, False outside; a box of any size costs one pass along each axis."""
    return extreme(mask.view(np.uint8), sizes, mode="constant", origin=origin).astype(bool)
