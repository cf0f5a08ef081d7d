"""Means over subjects with their intervals."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from anymod.randomness import numpy_generator

RESAMPLES = 2000
FEWEST_TO_RESAMPLE = (
    10  # below, percentile intervals are too short: those of three subjects contain the mean 75 % of the time at most
)
LEVEL = 0.95
INTERVALS = f"Student's t below {FEWEST_TO_RESAMPLE} subjects, else percentiles of a bootstrap"


@dataclass(frozen=True)
class Mean:
    """Mean over `count` subjects and its 95 % interval; the ends are NaN for fewer than two subjects."""

    value: float
    low: float
    high: float
    count: int


def bootstrap_mean(values: Iterable[float], seed: int) -> Mean:
    """Return the mean of one value per subject, with the percentile interval of the means of resampled subjects; NaN does not count.

    Below ten subjects the interval is Student's t instead.

    The resampling depends on the seed and the number of subjects only, so two methods measured on the same subjects are resampled alike.
    """
    known = np.array([value for value in values if not math.isnan(value)], dtype=np.float64)
    if len(known) < 2:
        return Mean(float(known.mean()) if len(known) else math.nan, math.nan, math.nan, len(known))
    if len(known) < FEWEST_TO_RESAMPLE:
        quantile = float(stdtrit(len(known) - 1, (1 + LEVEL) / 2))
        half = quantile * float(known.std(ddof=1)) / math.sqrt(len(known))
        return Mean(float(known.mean()), float(known.mean()) - half, float(known.mean()) + half, len(known))
    picks = numpy_generator(seed, "bootstrap", len(known)).integers(len(known), size=(RESAMPLES, len(known)))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(known[picks].mean(1), (tail, 1 - tail))
    return Mean(float(known.mean()), float(low), float(high), len(known))


def subject_means(values: Iterable[tuple[str, float]]) -> list[float]:
    """Return each subject's mean of its (subject, value) pairs, ordered by name; NaN does not count, NaN if there is nothing else."""
    known: dict[str, list[float]] = defaultdict(list)
    for subject, value in values:
        known[subject] += [] if math.isnan(value) else [value]
    return [float(np.mean(known[subject])) if known[subject] else math.nan for subject in sorted(known)]
