"""Numbers that say what a subject's images look like, by which inputs that a model does not know are noticed.

All of them are ranks, shares and ratios, so they depend neither on units nor on the size of the background. Axes run to the right, to the
front and to the head (orientation RAS), whatever the orientation of the files and of the model.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy import ndimage

from anymod.arrays import Array
from anymod.cohorts.subject_images import SubjectImages
from anymod.configuration import Settings
from anymod.volumes import foreground_box

Numbers = tuple[float, ...]

CELLS = 40  # along each axis of the box around the foreground: 3 to 5 mm of a head
SHELLS = 6  # of equal size, from the surface inwards
BINS = 5  # of the sagittal plane along each axis; divides CELLS
LEVELS = 16  # of intensity, for mutual information
FIFTHS = 5
LEAST_CELLS = 50
SAME_IMAGE = 1e-3  # largest difference of two images that are one, of their range
LEAST_ML = 1e-3
LEAST_NATS = 0.01  # added to mutual information, so that the ratio of two small ones is close to 1


class ImageLook(Settings):
    """One image: contrast, posture and shape of the foreground, voxels."""

    contrast: Numbers
    """Mean rank of intensity in each shell; log of some percentiles over the median, above the minimum; the same of the inner half."""
    posture: Numbers
    """Share of the foreground, then mean rank, in BINS x BINS parts of the sagittal plane (back to front, bottom to top)."""
    shape: Numbers
    """Log of the foreground's volume in mL and of its box's edges in mm (x, y, z); share of the box that is foreground."""
    voxels: Numbers
    """Log of the shortest and of the longest edge in mm; correlation of neighbours along the shortest."""


class PairLook(Settings):
    """Two images, named in alphabetical order by the key `t1+t2`."""

    contrast: Numbers
    """In the inner half: mean rank of the second image in each fifth of the first one's ranks, then the other way round."""
    match: Numbers
    """Log of the mutual information in nats; how much of that log is lost when one is mirrored; Dice overlap of the foregrounds."""
    same: bool
    """Whether both are the same image."""


class Look(Settings):
    """One subject: its images by modality, its pairs of images by both names."""

    images: dict[str, ImageLook]
    pairs: dict[str, PairLook]

    @classmethod
    def of(cls, subject: SubjectImages) -> Look:
        """Return the look of a subject's images, which takes about 0.1 s for each."""
        turned = subject.turned("RAS")
        spacing = turned.grid.spacing_mm
        images, boxes, values = {}, {}, {}
        for name, volume in turned.volumes.items():
            data, inside = volume.data, turned.foregrounds[name]
            boxes[name] = foreground_box(inside)
            values[name] = _Cells.of(data, inside, boxes[name])
            images[name] = _image_look(data, inside, boxes[name], spacing, values[name])
        pairs = {}
        for first, second in combinations(sorted(images), 2):
            both = [(turned.volumes[name].data, turned.foregrounds[name]) for name in (first, second)]
            box = foreground_box(both[0][1] | both[1][1])
            cells = [
                values[name] if boxes[name] == box else _Cells.of(*each, box)
                for name, each in zip((first, second), both, strict=True)
            ]
            pairs[pair_name(first, second)] = _pair_look(*cells)
        return cls(images=images, pairs=pairs)

    def part(self, names: Collection[str]) -> Look:
        """Return the look of some of the images."""
        images = {name: image for name, image in self.images.items() if name in names}
        return Look(
            images=images,
            pairs={pair_name(*pair): self.pairs[pair_name(*pair)] for pair in combinations(sorted(images), 2)},
        )


def pair_name(first: str, second: str) -> str:
    """Return the key of two images, given in alphabetical order."""
    return f"{first}+{second}"


class _Cells:
    """An image in a box as CELLS^3 means over the foreground, and where at least half of a cell is foreground."""

    def __init__(self, values: Array, inside: Array) -> None:
        self.values, self.inside = values, inside

    @classmethod
    def of(cls, data: Array, foreground: Array, box: tuple[slice, ...]) -> _Cells:
        here = foreground[box]
        counts, sizes = _sums(here.astype(np.float32)), _sums(np.ones(here.shape, np.float32))
        values = _sums(np.where(here, data[box], 0).astype(np.float32)) / np.maximum(counts, 1)
        return cls(values, counts >= 0.5 * sizes)

    def ranks(self) -> Array:
        """Return the rank of each cell's value among those of the foreground, in (0, 1)."""
        values = np.sort(self.values[self.inside])
        return (np.searchsorted(values, self.values) + 0.5) / max(1, len(values))


def _sums(data: Array) -> Array:
    for axis, size in enumerate(data.shape):
        data = np.add.reduceat(data, np.arange(CELLS) * size // CELLS, axis=axis)
    return data


def _depth_ranks(inside: Array) -> Array:
    """Return how deep each cell lies below the surface: a rank in (0, 1), 0 outside."""
    filled = np.pad(ndimage.binary_fill_holes(inside), 1)
    depth = ndimage.distance_transform_edt(filled)[1:-1, 1:-1, 1:-1]
    ranks = np.zeros(inside.shape)
    ranks[inside] = (_order(depth[inside]) + 0.5) / max(1, inside.sum())
    return ranks


def _order(values: Array) -> Array:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable")


def _image_look(
    data: Array, foreground: Array, box: tuple[slice, ...], spacing: tuple[float, ...], cells: _Cells
) -> ImageLook:
    inside = cells.inside if cells.inside.any() else np.ones_like(cells.inside)
    ranks, depth = cells.ranks(), _depth_ranks(inside)
    shells = [
        _mean(ranks[inside & (depth > low / SHELLS) & (depth <= (low + 1) / SHELLS)], 0.5) for low in range(SHELLS)
    ]
    low, median = np.percentile(cells.values[inside], [0.5, 50])
    unit = max(float(median - low), 1e-6 * max(1.0, abs(float(median))))
    brightness = [
        np.log(np.clip((np.percentile(cells.values[part], percentiles) - low) / unit, 0.05, 20))
        for part, percentiles in ((inside, (5, 25, 75, 95, 99)), (inside & (depth >= 0.5), (5, 25, 50, 75, 95)))
    ]
    posture = [*_sagittal(inside.astype(float)), *_sagittal(np.where(inside, ranks, 0), inside)]
    edges = [(side.stop - side.start) * step for side, step in zip(box, spacing, strict=True)]
    share = float(foreground[box].mean())
    shape = [np.log(max(share * np.prod(edges) / 1000, LEAST_ML)), *np.log(edges), share]
    voxels = [
        np.log(min(spacing)),
        np.log(max(spacing)),
        _neighbours(data[box], foreground[box], int(np.argmin(spacing))),
    ]
    return ImageLook(
        contrast=_numbers([*shells, *brightness[0], *brightness[1]]),
        posture=_numbers(posture),
        shape=_numbers(shape),
        voxels=_numbers(voxels),
    )


def _sagittal(values: Array, inside: Array | None = None) -> list[float]:
    """Return the means over BINS x BINS parts of the sagittal plane, of all or only of those inside (0.5 where there is none)."""
    blocks = (CELLS, BINS, CELLS // BINS, BINS, CELLS // BINS)
    means = values.reshape(blocks).mean((0, 2, 4))
    if inside is not None:
        shares = inside.reshape(blocks).mean((0, 2, 4))
        means = np.where(shares > 0.02, means / np.maximum(shares, 0.02), 0.5)
    return means.ravel().tolist()


def _pair_look(first: _Cells, second: _Cells) -> PairLook:
    both = first.inside & second.inside
    inner = both & (_depth_ranks(both) >= 0.5)
    straight, mirrored = (
        _mutual_information(first, _Cells(second.values[::step], second.inside[::step]), both) for step in (1, -1)
    )
    a, b = (_order(each.values[inner]) / max(1, inner.sum()) for each in (first, second))
    curves = [
        _mean(given[(other * FIFTHS).astype(int) == part], 0.5)
        for given, other in ((b, a), (a, b))
        for part in range(FIFTHS)
    ]
    overlap = 2 * both.sum() / max(1, first.inside.sum() + second.inside.sum())
    return PairLook(
        contrast=_numbers(curves),
        match=_numbers([np.log(straight), np.log(straight / mirrored), overlap]),
        same=_are_same(first, second),
    )


def _are_same(first: _Cells, second: _Cells) -> bool:
    """Return whether two images are one, apart from rounding."""
    if not np.array_equal(first.inside, second.inside):
        return False
    a, b = first.values[first.inside], second.values[first.inside]
    return a.size > 0 and float(np.abs(a - b).max()) <= SAME_IMAGE * float(np.ptp(a))


def _mutual_information(first: _Cells, second: _Cells, where: Array) -> float:
    """Return the mutual information of two images in nats, plus LEAST_NATS, over their common cells of `where`."""
    here = where & second.inside
    count = int(here.sum())
    if count < LEAST_CELLS:
        return LEAST_NATS
    a, b = (_order(each.values[here]) * LEVELS // count for each in (first, second))
    joint = np.bincount(a * LEVELS + b, minlength=LEVELS**2).reshape(LEVELS, LEVELS) / count
    product = joint.sum(1, keepdims=True) * joint.sum(0)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / product[seen])).sum()) + LEAST_NATS


def _neighbours(data: Array, foreground: Array, axis: int) -> float:
    """Return the correlation of neighbours along an axis inside the foreground."""
    values, inside = np.moveaxis(data, axis, 0), np.moveaxis(foreground, axis, 0)
    both = inside[1:] & inside[:-1]
    return _correlation(values[1:][both], values[:-1][both])


def _correlation(first: Array, second: Array) -> float:
    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first.astype(np.float64), second.astype(np.float64))[0, 1])


def _mean(values: Array, otherwise: float) -> float:
    return float(values.mean()) if values.size else otherwise


def _numbers(values: Sequence[Any]) -> Numbers:
    return tuple(round(float(value), 3) for value in np.nan_to_num(np.hstack(values)))
