"""Raw intensities to the numbers a network sees, and back (method.md section 9).

One mechanism for inputs and harmonized targets: `low` of the foreground goes to `floor`, `high` to 1, background to exactly -1.
Inputs have their floor 1/256 above -1, so that the darkest foreground still differs from background.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from anymod.configuration import Settings
from anymod.errors import VolumeError
from anymod.volumes.affines import Array

BACKGROUND = -1.0
INPUT_FLOOR = -255 / 256
TARGET_FLOOR = -1.0


@dataclass(frozen=True)
class IntensityRange:
    """What a scaling did, kept so that it can be undone.

    Attributes:
        low: Raw value that is mapped to `floor`.
        high: Raw value that is mapped to 1; above `low`.
        floor: Scaled value of the darkest foreground.
    """

    low: float
    high: float
    floor: float = INPUT_FLOOR

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"an intensity range needs low < high, unlike {self.low} and {self.high}")


class IntensityRule(Settings):
    """How input intensities are scaled; stored with the model, the same in training and inference."""

    upper_percentile: float = Field(default=99.95, gt=50, le=100, description="of the foreground, mapped to 1")
    scope: Literal["volume", "slice"] = Field(default="volume", description="what the range is measured over")


def measure_range(data: Array, foreground: Array, upper_percentile: float, source: str = "the image") -> IntensityRange:
    """Return the range from the minimum to a percentile of the foreground, for a volume or one slice.

    Args:
        data: Raw intensities, of any shape.
        foreground: Boolean, the same shape.
        upper_percentile: Percentile (0 to 100) that is mapped to 1.
        source: Names the image in errors.

    Raises:
        VolumeError: The foreground is empty or has one value up to the percentile.
    """
    values = _values_inside(data, foreground, source)
    low, high = float(values.min()), float(np.percentile(values, upper_percentile))
    if not (math.isfinite(high) and low < high):
        why = f"its foreground is {low:g} up to percentile {upper_percentile:g}"
        raise VolumeError("unusable intensities", source, why, "leave this image out, or give a mask")
    return IntensityRange(low, high)


def measure_harmonized_range(
    data: Array, foreground: Array, white_matter_median: float, constant: float, source: str = "the image"
) -> IntensityRange:
    """Return the range that maps the foreground's minimum to 0 and white matter's median to `constant`, on the scale [0, 1].

    `scale` then gives 2 y - 1 of that, clipped: a target has no gap above the background.

    Args:
        data: Raw intensities, of any shape.
        foreground: Boolean, the same shape.
        white_matter_median: Raw median inside white matter.
        constant: Where it goes, in (0, 1); the modality's own.
        source: Names the image in errors.

    Raises:
        VolumeError: The foreground is empty, or white matter is not brighter than its minimum.
    """
    if not 0 < constant < 1:
        raise ValueError(f"white matter's place must lie in (0, 1), unlike {constant}")
    low = float(_values_inside(data, foreground, source).min())
    if not (math.isfinite(white_matter_median) and white_matter_median > low):
        why = f"its white-matter median {white_matter_median:g} is not above its minimum {low:g}"
        raise VolumeError("unusable intensities", source, why, "check the tissue labels")
    return IntensityRange(low, low + (white_matter_median - low) / constant, TARGET_FLOOR)


def _values_inside(data: Array, foreground: Array, source: str) -> Array:
    values = data[foreground]
    if values.size == 0:
        raise VolumeError("unusable intensities", source, "its foreground is empty", "leave it out, or give a mask")
    return values


def scale(data: Array, intensities: IntensityRange, foreground: Array) -> Array:
    """Return float32 in [-1, 1]: the foreground clipped to the range and mapped to [floor, 1], the rest exactly -1."""
    scaled = np.clip(data.astype(np.float32, copy=False), intensities.low, intensities.high)
    scaled -= np.float32(intensities.low)
    scaled /= np.float32(intensities.high - intensities.low)
    scaled *= np.float32(1 - intensities.floor)
    scaled += np.float32(intensities.floor)
    np.clip(scaled, intensities.floor, 1.0, out=scaled)  # rounding
    scaled[~foreground] = BACKGROUND
    return scaled


def unscale(values: Array, intensities: IntensityRange) -> Array:
    """Return raw intensities, float32, of scaled ones; background (-1) comes back as `low`."""
    raw = np.clip(values.astype(np.float32, copy=False), intensities.floor, 1.0)
    raw -= np.float32(intensities.floor)
    raw /= np.float32(1 - intensities.floor)
    raw *= np.float32(intensities.high - intensities.low)
    raw += np.float32(intensities.low)
    return raw
