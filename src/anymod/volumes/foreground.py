"""Foreground: the voxels that show the subject."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np

from anymod.arrays import Array
from anymod.errors import GridError
from anymod.volumes.solid import solid, without_specks

BACKGROUND_SHARE = 0.5  # of the twelve edges of a volume; a head may touch some of them
MOST_COUNTED = 100_000  # number of background voxels, at equal distances, that are counted
BRIGHT = 99.0  # percentile of the distances from the background, which the following are fractions of
FAINT = 1e-4  # rounding errors and faint noise; a step of an 8-bit image is 40 times as much
RINGING = 2e-2  # tails of a spline around a head, where they are found
RINGING_SHARE = 0.03  # of the brighter voxels: a stripped head with overshoot inside its mask has up to 0.012
RINGING_SIGNS = 0.2  # least share of either sign
MOST_NOISE = 0.02  # median deviation on the edges; the edges of a crop inside a head vary by a tenth and more
NOISE_WIDTHS = 5.0  # median deviations that noise seldom exceeds
USUAL_SHARE = (0.01, 0.95)  # of a volume that a head or an ultrasound sector fills


def foreground_of(data: Array, mask: Array | None = None, spacing_mm: Sequence[float] = (1.0, 1.0, 1.0)) -> Array:
    """Return the foreground as a boolean array [X, Y, Z] (docs/method.md section 9).

    With a mask, these are its voxels that are not 0. Without a mask, the value that fills at least half of the volume's twelve edges
    is background, with faint noise or ringing about it, and all other voxels and what they enclose are foreground. If there is no such
    value, the edges may all be noise about one value; otherwise the minimum alone is background.
    """
    if mask is not None:
        if mask.shape != data.shape:
            why = f"the mask has {mask.shape} voxels, the image {data.shape}"
            raise GridError("different grids", "the mask", why, "resample the mask to the image")
        return mask != 0
    level = _background(data)
    if level is None:
        return solid(data > data.min(), spacing_mm)
    value, width = level
    return solid(without_specks(_distance(data, value) > width) if width else _apart(data, value), spacing_mm)


def foreground_doubt(data: Array, foreground: Array) -> str | None:
    """Return why the foreground that `foreground_of` found without a mask may be wrong, with its share, or None."""
    level = _background(data)
    if level is not None and level[1]:
        share = 100 * float(foreground.mean())
        return f"its background is noise about {level[0]:.3g}, and {share:.1f} % of the volume is foreground"
    return unusual_share(foreground)


def unusual_share(foreground: Array) -> str | None:
    """Return what share of the volume is foreground if no head and no ultrasound sector fills as much or as little, else None."""
    share = float(foreground.mean())
    return None if USUAL_SHARE[0] <= share <= USUAL_SHARE[1] else f"{100 * share:.1f} % of the volume is foreground"


def background_of(data: Array, foreground: Array) -> float:
    """Return the most common value outside an image's foreground, or the minimum if all voxels are foreground."""
    outside = data[~foreground]
    if outside.size == 0:
        return float(data.min())
    values, counts = np.unique(outside[:: max(1, outside.size // MOST_COUNTED)], return_counts=True)
    return float(values[counts.argmax()])


def measured_part(data: Array, foreground: Array) -> Array:
    """Return the foreground without the voxels of the background's value that it encloses.

    A few zeros inside a head would otherwise be the lower end of its intensities.
    """
    return foreground & (data != background_of(data, foreground))


def _background(data: Array) -> tuple[float, float] | None:
    """Return (value, width) of the background, or None: the width is 0 unless noise about the value is more than faint."""
    edges = _edges(data)
    values, counts = np.unique(edges, return_counts=True)
    most = counts.argmax()
    if counts[most] >= BACKGROUND_SHARE * counts.sum():
        return float(values[most]), 0.0
    middle = float(np.median(edges))
    deviation = float(np.median(_distance(edges, middle)))
    bright = float(np.percentile(_distance(data, middle), BRIGHT))
    if deviation > MOST_NOISE * bright:
        return None
    width = NOISE_WIDTHS * deviation
    return middle, width if width > FAINT * bright else 0.0


def _apart(data: Array, value: float) -> Array:
    """Return where the data differ from the background's value by more than rounding errors or ringing."""
    distance = _distance(data, value)
    near = distance > 0
    if not near.any():
        return near
    bright = float(np.percentile(distance[near], BRIGHT))
    clear = distance > RINGING * bright
    near &= ~clear
    below = np.count_nonzero(near & (data < value))
    count = np.count_nonzero(near)
    rings = count > RINGING_SHARE * np.count_nonzero(clear) and min(below, count - below) > RINGING_SIGNS * count
    return clear if rings else distance > FAINT * bright


def _distance(data: Array, value: float) -> Array:
    return np.abs(data.astype(np.float32, copy=False) - np.float32(value))


def _edges(data: Array) -> Array:
    """Return the values on the twelve edges; a tightly cropped head fills much of the faces, but little of the edges."""
    edges = []
    for first, second in combinations(range(3), 2):
        for ends in product((0, -1), repeat=2):
            index: list[int | slice] = [slice(None)] * 3
            index[first], index[second] = ends
            edges.append(data[tuple(index)])
    return np.concatenate(edges)
