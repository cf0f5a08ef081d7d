"""How sure a mean over subjects is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anymod.arrays import Array
from anymod.randomness import numpy_generator

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean over `count` subjects and its 95 % bootstrap interval; NaN ends for fewer than two subjects."""

    value: float
    low: float
    high: float
    count: int


def bootstrap_mean(values: Array, seed: int) -> Mean:
    """Return the mean of values, one for each subject, with the percentile interval of means of resampled subjects; NaN does not count.

    The draws depend on the seed and the number of subjects alone, so that two methods measured on the same subjects are resampled alike.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return Mean(float(values.mean()) if len(values) else float("nan"), float("nan"), float("nan"), len(values))
    picks = numpy_generator(seed, "bootstrap", len(values)).integers(len(values), size=(RESAMPLES, len(values)))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values[picks].mean(1), (tail, 1 - tail))
    return Mean(float(values.mean()), float(low), float(high), len(values))
