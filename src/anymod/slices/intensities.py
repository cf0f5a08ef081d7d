"""Raw slices to the numbers that a network sees: ranges measured on a subject's images, and rows of slices scaled by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from anymod.arrays import Array
from anymod.configuration import Settings
from anymod.errors import VolumeError
from anymod.volumes import (
    IntensityRange,
    IntensityRule,
    Volume,
    anchored_range,
    background_of,
    core_median,
    measured_part,
)
from anymod.volumes.intensity import INPUT_FLOOR

BRIGHTEST_PERCENTILE = 99.9
"""Of the foreground: what the median of white matter is compared with to find c_m (docs/method.md section 9)."""

RawRange = tuple[float, float]
"""(low, high) in the image's own units."""

Planes: TypeAlias = Any
"""What gives planes (slice, modality, row, column) for a slice of them: an array, or one that is on disk."""


class Anchor(Settings):
    """Anchors of one image's scale.

    `low` is the lower end of its range and `median` that of white matter or of the core, both raw; `share` is where the median lies between
    `low` (0) and the 99.9th percentile of the foreground (1).
    """

    low: float
    median: float
    share: float

    @classmethod
    def of(cls, values: Array, median: float, rule: IntensityRule, where: str) -> Anchor:
        """Return the anchor of a foreground's values; raise VolumeError where the median is not inside their range."""
        low, brightest = (float(np.percentile(values, each)) for each in (rule.lower_percentile, BRIGHTEST_PERCENTILE))
        if not low < median < brightest:
            why = f"the median {median:g} is not inside its range {low:g} to {brightest:g}"
            raise VolumeError("unusable intensities", where, why, "look at it with 'anymod check'; leave the image out")
        return cls(low=low, median=median, share=(median - low) / (brightest - low))

    def anchored(self, constant: float, floor: float) -> IntensityRange:
        """Return the range that puts the median at `constant` of [0, 1]."""
        return anchored_range(self.low, self.median, constant, floor)


class ImageScale(Settings):
    """Raw values of one image that its scale follows from.

    `range` is measured over the volume, `background` outside the foreground, and `core` where the rule anchors there.
    """

    range: RawRange
    background: float
    core: Anchor | None

    @classmethod
    def of(cls, image: Volume, foreground: Array, rule: IntensityRule, group: str) -> ImageScale:
        """Return the scale of an image whose axes run to the model's orientation; raise VolumeError where it has none."""
        part, core = measured_part(image.data, foreground), None
        measured = rule.measure(image.data, part, image.source)
        if rule.has_core(group):
            median = core_median(image.data, foreground, image.spacing_mm, image.source)
            core = Anchor.of(image.data[part], median, rule, f"the core of {image.source}")
        background = background_of(image.data, foreground)
        return cls(range=(measured.low, measured.high), background=background, core=core)

    def input_range(self, constant: float | None) -> IntensityRange:
        """Return what maps raw values to a network's input; `constant` is where the median of the core goes."""
        if self.core is None or constant is None:
            return IntensityRange(*self.range)
        return self.core.anchored(constant, INPUT_FLOOR)


def slice_ranges(planes: Array, foreground: Array, rule: IntensityRule) -> tuple[tuple[RawRange | None, ...], ...]:
    """Return the range of each slice of planes (slice, modality, row, column), None where it shows nothing or one value."""
    return tuple(
        tuple(_plane_range(plane, inside, rule) for plane, inside in zip(*both, strict=True))
        for both in zip(planes, foreground, strict=True)
    )


def _plane_range(plane: Array, inside: Array, rule: IntensityRule) -> RawRange | None:
    try:
        measured = rule.measure(plane, inside)
    except VolumeError:  # the slice is shown as background
        return None
    return measured.low, measured.high


def linear_maps(ranges: Sequence[IntensityRange | None]) -> Array:
    """Return (low, gain, floor) for each modality as (m, 3); without a range every value becomes -1."""
    rows = [(0.0, 0.0, -1.0) if each is None else (each.low, 1 / each.raw_per_scaled, each.floor) for each in ranges]
    return np.array(rows, dtype=np.float32)


def input_maps(
    ranges: Sequence[IntensityRange | None], each_slice: Sequence[Sequence[RawRange | None]] | None, count: int
) -> Array:
    """Return the maps of `count` slices as (slice, modality, 3): those of the volume, or of each slice where it has its own."""
    if each_slice is None:
        return np.broadcast_to(linear_maps(ranges), (count, len(ranges), 3))
    return np.stack([linear_maps([pair and IntensityRange(*pair) for pair in pairs]) for pairs in each_slice])


def write_row(
    out: Array, planes: Planes, foreground: Planes, maps: Array, position: int, stack: range
) -> tuple[Array, Array]:
    """Write one slice between its neighbours into `out` (m, c, h, w), scaled by maps (s, m, 3); a stack's first and last slice repeat.

    Returns the slice itself, raw, and its foreground, both (m, h, w).
    """
    reach = out.shape[1] // 2
    places = np.clip(np.arange(position - reach, position + reach + 1), stack.start, stack.stop - 1).tolist()
    first, last = places[0], places[-1]
    raw, inside = planes[first : last + 1], foreground[first : last + 1]
    for channel, place in enumerate(places):
        write_scaled(out[:, channel], raw[place - first], inside[place - first], maps[place])
    return raw[position - first], inside[position - first]


def write_scaled(out: Array, raw: Array, foreground: Array, maps: Array) -> None:
    """Write one slice (m, h, w), scaled: min(1, max(floor, (raw - low) · gain + floor)), background -1.

    Computed one higher, so that the background is 0 and a product puts it there: choosing by a mask takes most of the time.
    """
    low, gain, floor = maps.T[:, :, None, None]
    np.subtract(raw, low, out=out)
    out *= gain
    out += floor + 1
    np.clip(out, floor + 1, 2, out=out)
    out *= foreground
    out -= 1
