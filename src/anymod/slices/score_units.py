"""Units of scores: they belong to the images and the cohort, and to no model (docs/method.md section 12).

Two models are compared on one scale only where neither has a part in it. Each image has landmarks of its own; each modality has one
constant, which follows from the landmarks of the cohort's training subjects.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anymod.arrays import Array
from anymod.configuration import Settings
from anymod.volumes import IntensityRange, Volume, anchored_range, innermost_median
from anymod.volumes.intensity import TARGET_FLOOR

DARKEST_PERCENTILE, BRIGHTEST_PERCENTILE = 0.5, 99.9  # of the foreground; the minimum may be an artefact of resampling
NEAREST_SHARE = 0.1  # of the range: how close to an end of it the core may lie, so that every image has a scale


class Landmarks(Settings):
    """Raw values of an image's foreground that its scores are measured by: low < core <= bright.

    `low` and `bright` are the percentiles 0.5 and 99.9, `core` the median of the innermost three tenths; in ultrasound, which has no
    core, it is `bright`.
    """

    low: float
    core: float
    bright: float

    @classmethod
    def of(cls, image: Volume, foreground: Array, group: str) -> Landmarks:
        """Return the landmarks of an image with more than one value in its foreground."""
        values = image.data[foreground]
        low, bright = (float(np.percentile(values, each)) for each in (DARKEST_PERCENTILE, BRIGHTEST_PERCENTILE))
        if not low < bright:
            low, bright = float(values.min()), float(values.max())
        if group == "us":
            return cls(low=low, core=bright, bright=bright)
        share = (innermost_median(image.data, foreground, image.spacing_mm) - low) / (bright - low)
        share = min(max(share, NEAREST_SHARE), 1 - NEAREST_SHARE)
        return cls(low=low, core=low + share * (bright - low), bright=bright)

    @property
    def share(self) -> float:
        """Where the core lies between `low` (0) and `bright` (1)."""
        return (self.core - self.low) / (self.bright - self.low)


@dataclass(frozen=True)
class ScoreUnits:
    """The constant of each modality: where the core of an image lies on the scale of scores, from 0 (its dark end) to 1."""

    constants: tuple[float, ...]

    @classmethod
    def measured(cls, landmarks: Sequence[Sequence[Landmarks | None]], chosen: Sequence[int]) -> ScoreUnits:
        """Return the constants of subjects' landmarks (subject, modality).

        A modality's constant is the median share over the chosen subjects (indices) that have it, or over all subjects if none of these
        does; 1 if no subject has it.
        """
        constants = []
        for column in zip(*landmarks, strict=True):
            known = [each for place in chosen if (each := column[place])] or [each for each in column if each]
            constants.append(statistics.median(each.share for each in known) if known else 1.0)
        return cls(tuple(constants))

    def ranges(self, landmarks: Sequence[Landmarks | None]) -> list[IntensityRange | None]:
        """Return what maps raw values of one subject's images to [-1, 1]; None for an image that it lacks."""
        pairs = zip(landmarks, self.constants, strict=True)
        return [None if each is None else _range_of(each, constant) for each, constant in pairs]


def _range_of(landmarks: Landmarks, constant: float) -> IntensityRange:
    """Return the range that maps the dark end to -1 and the core to 2 constant - 1, both of the scale [-1, 1]."""
    if constant == 1:
        return IntensityRange(landmarks.low, landmarks.core, TARGET_FLOOR)
    return anchored_range(landmarks.low, landmarks.core, constant, TARGET_FLOOR)
