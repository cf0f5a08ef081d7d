"""Scaling of raw intensities to the range of the network, and back (docs/method.md section 9).

For inputs and harmonized targets alike, `low` of the foreground becomes `floor`, `high` becomes 1, and background exactly -1.
The floor of inputs is 1/256 above -1, so that the darkest foreground differs from background.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, model_validator
from scipy import ndimage

from anymod.arrays import Array
from anymod.configuration import Settings
from anymod.errors import VolumeError
from anymod.volumes.boxes import foreground_box

BACKGROUND = -1.0
INPUT_FLOOR = -255 / 256
TARGET_FLOOR = -1.0
CORE_SHARE = 0.3  # of the foreground: its innermost voxels
HAIR = 1e-4  # of a step or a millimetre: more than the rounding errors of numbers that should be equal
LEAST_STEPS = 8  # along each axis of a small foreground
CORE_STEP_MM = 2.0  # between the voxels for which depth is computed: much less than the size of a brain's core


@dataclass(frozen=True)
class IntensityRange:
    """Parameters of a scaling, kept so that it can be undone.

    Attributes:
        low: Raw value that is mapped to `floor`.
        high: Raw value that is mapped to 1; above `low`.
        floor: Scaled value of the darkest foreground.
    """

    low: float
    high: float
    floor: float = INPUT_FLOOR

    @property
    def raw_per_scaled(self) -> float:
        """Raw units per unit of the scale, to convert standard deviations and errors."""
        return (self.high - self.low) / (1 - self.floor)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"an intensity range needs low < high, not {self.low} and {self.high}")


class IntensityRule(Settings):
    """Rule for scaling the intensities of inputs; stored with the model, so that training and synthesis agree."""

    anchor: Literal["percentile", "core"] = Field(
        default="percentile",
        description="reference of the scale: a percentile of the foreground, which becomes 1; or the median of the innermost three"
        " tenths of the foreground, in a brain close to white matter, which becomes the modality's own level (not for ultrasound)",
    )
    lower_percentile: float = Field(
        default=0.0,
        ge=0,
        lt=50,
        description="percentile of the foreground that becomes the floor; the minimum (0) may be an artefact of resampling",
    )
    upper_percentile: float = Field(
        default=99.95, gt=50, le=100, description="percentile of the foreground that becomes 1"
    )
    scope: Literal["volume", "slice"] = Field(
        default="volume", description="whether percentiles are those of the volume or of each slice"
    )

    @model_validator(mode="after")
    def _has_a_core(self) -> IntensityRule:
        if self.anchor == "core" and self.scope == "slice":
            raise ValueError("a slice has no core: choose scope volume with anchor core")
        return self

    def measure(self, data: Array, foreground: Array, source: str = "the image") -> IntensityRange:
        """Return the range between the rule's two percentiles of the foreground, whatever its anchor; see `measure_range`."""
        return measure_range(data, foreground, self.upper_percentile, source, lower_percentile=self.lower_percentile)

    def has_core(self, group: str) -> bool:
        """Return whether images of a group (`mr`, `us`) are scaled by the median of their core."""
        return self.anchor == "core" and group != "us"


def measure_range(
    data: Array, foreground: Array, upper_percentile: float, source: str = "the image", *, lower_percentile: float = 0.0
) -> IntensityRange:
    """Return the range between two percentiles of the foreground, for a volume or one slice.

    Args:
        data: Raw intensities, of any shape.
        foreground: Boolean, the same shape.
        upper_percentile: Percentile (0 to 100) that becomes 1.
        source: Name of the image for errors.
        lower_percentile: Percentile that becomes the floor; 0 is the minimum.

    Raises:
        VolumeError: The foreground is empty or has a single value up to the percentile.
    """
    values = _values_inside(data, foreground, source)
    low, high = (float(np.percentile(values, each)) for each in (lower_percentile, upper_percentile))
    if not (math.isfinite(high) and low < high):
        why = f"its foreground is {low:g} up to percentile {upper_percentile:g}"
        raise VolumeError("unusable intensities", source, why, "leave this image out, or give a mask")
    return IntensityRange(low, high)


def anchored_range(low: float, median: float, constant: float, floor: float = TARGET_FLOOR) -> IntensityRange:
    """Return the range that maps `low` to 0 and the median of white matter to `constant`, on a scale [0, 1].

    `scale` stretches and clips this to [floor, 1].

    Args:
        low: Raw value of the lower end of the foreground.
        median: Raw median inside white matter, or an estimate of it (`core_median`); above `low`.
        constant: Value of that median on the scale, in (0, 1); it depends on the modality.
        floor: Scaled value of the lower end; inputs need a gap above the background, targets do not.
    """
    if not (0 < constant < 1 and low < median):
        raise ValueError(f"a median {median} above {low} cannot be anchored at {constant}; it must lie in (0, 1)")
    return IntensityRange(low, low + (median - low) / constant, floor)


def core_median(data: Array, foreground: Array, spacing_mm: tuple[float, ...], source: str = "the image") -> float:
    """Return the median of the innermost three tenths of the foreground; in a head: white matter, deep nuclei and ventricles.

    In real T1, T2 and FLAIR it is within a sixth of the median of white matter, with or without the skull, and needs no segmentation.
    Bright vessels, lesions and scalp change a high percentile, but not this median (docs/lab-notes/intensity-scale.md, 2026-11-25).

    Args:
        data: Raw intensities [X, Y, Z].
        foreground: Boolean, the same shape. Holes in it do not count as surface.
        spacing_mm: Voxel size along each axis.
        source: Name of the image for errors.

    Raises:
        VolumeError: The foreground is empty, or its core is not brighter than its minimum.
    """
    low = float(_values_inside(data, foreground, source).min())
    median = innermost_median(data, foreground, spacing_mm)
    if not (math.isfinite(median) and median > low):
        why = f"the median {median:g} of its core is not above its minimum {low:g}"
        raise VolumeError("unusable intensities", source, why, "leave this image out, or choose anchor: percentile")
    return median


def innermost_median(data: Array, foreground: Array, spacing_mm: tuple[float, ...]) -> float:
    """Return the median of the innermost three tenths of a foreground that is not empty, whatever it is; see `core_median`."""
    box = foreground_box(foreground)  # steps start at its corner, so that the size of the background does not matter
    data, foreground = data[box], foreground[box]
    wanted = [round(CORE_STEP_MM / size - HAIR) for size in spacing_mm]
    counts = zip(wanted, foreground.shape, strict=True)
    steps = tuple(slice(None, None, max(1, min(step, size // LEAST_STEPS))) for step, size in counts)
    seen, inside = data[steps], foreground[steps]
    if not inside.any():  # all of the few voxels lie between the steps
        seen, inside, steps = data, foreground, (slice(None),) * 3
    apart = [size * (step.step or 1) for size, step in zip(spacing_mm, steps, strict=True)]
    # Padded, because the border of an image is a surface too.
    filled = np.pad(ndimage.binary_fill_holes(inside), 1)
    depth = ndimage.distance_transform_edt(filled, sampling=apart)[1:-1, 1:-1, 1:-1][inside]
    deepest = depth >= np.percentile(depth, 100 * (1 - CORE_SHARE)) - HAIR  # equal depths differ by rounding errors
    return float(np.median(seen[inside][deepest]))


def _values_inside(data: Array, foreground: Array, source: str) -> Array:
    values = data[foreground]
    if values.size == 0:
        raise VolumeError("unusable intensities", source, "its foreground is empty", "leave it out, or give a mask")
    return values


def scale(data: Array, intensities: IntensityRange, foreground: Array) -> Array:
    """Return float32 in [-1, 1]: the foreground clipped to the range and mapped to [floor, 1], all else exactly -1."""
    scaled = np.clip(data.astype(np.float32, copy=False), intensities.low, intensities.high)
    scaled -= np.float32(intensities.low)
    scaled /= np.float32(intensities.high - intensities.low)
    scaled *= np.float32(1 - intensities.floor)
    scaled += np.float32(intensities.floor)
    np.clip(scaled, intensities.floor, 1.0, out=scaled)  # rounding errors
    scaled[~foreground] = BACKGROUND
    return scaled


def unscale(values: Array, intensities: IntensityRange) -> Array:
    """Return the raw intensities, float32, of scaled ones; background (-1) becomes `low`."""
    raw = np.clip(values.astype(np.float32, copy=False), intensities.floor, 1.0)
    raw -= np.float32(intensities.floor)
    raw /= np.float32(1 - intensities.floor)
    raw *= np.float32(intensities.high - intensities.low)
    raw += np.float32(intensities.low)
    return raw
