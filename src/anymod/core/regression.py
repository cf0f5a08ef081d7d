"""Reference predictors: the mean value of the training images, a voxel-wise affine regression, and one that sees the surroundings.

All follow from sums over the training voxels, computed once: the moments of (1, features), separately for each pattern of modalities
whose foreground contains the voxel. A regression from a subset adds the patterns that contain it and solves a small system.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add

import numpy as np
from torch import Tensor

from anymod.arrays import Array
from anymod.core.features import needed_modalities
from anymod.core.subsets import positions

RIDGE = 0.01
"""Added to the variance of standardized features, which nearly repeat one another: +0.65 dB in cross-validation on 11 subjects."""

CONSTANT = 1e-5  # of its mean: a feature that varies less, in single precision, says nothing


@dataclass(frozen=True)
class Regression:
    """An intercept and the coefficients of the features at `places`."""

    places: tuple[int, ...]
    intercept: float
    coefficients: Array

    def predict(self, features: Tensor) -> Tensor:
        """Return predictions (n), clipped to [-1, 1], from features (f, n)."""
        return (features.new_tensor(self.coefficients) @ features[list(self.places)] + self.intercept).clamp(-1, 1)


@dataclass
class TrainingMoments:
    """Sums over the foreground voxels of the training subjects.

    `sums` maps a pattern (bit m: the voxel is foreground of modality m) to the matrix (1 + F, 1 + F) of summed products of 1 and the
    features of `anymod.core.features`, of which the first are the M scaled images; 0 for whatever needs a modality out of the pattern.
    `needs` holds a bit mask of the modalities that each feature is made of; others than those features may be given.
    """

    modality_count: int
    sums: dict[int, Array] = field(default_factory=dict)
    needs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.needs = self.needs or tuple(needed_modalities(self.modality_count))

    def add(self, features: Tensor, foreground: Tensor) -> None:
        """Add the voxels of some slices: features (slice, f, row, column) and foreground (bool) (slice, modality, row, column)."""
        values, inside = (each.transpose(0, 1).flatten(1).numpy() for each in (features, foreground))
        needs = np.array(self.needs)
        patterns = (inside * (1 << np.arange(self.modality_count))[:, None]).sum(0)
        for pattern in np.unique(patterns[patterns > 0]).tolist():
            known = np.flatnonzero(needs & ~pattern == 0)
            chosen = values[np.ix_(known, np.flatnonzero(patterns == pattern))].astype(np.float64)
            moments = np.concatenate([np.ones((1, chosen.shape[1])), chosen])
            places = np.concatenate([[0], 1 + known])
            total = self.sums.setdefault(pattern, self._zeros())
            total[np.ix_(places, places)] += moments @ moments.T

    def __add__(self, other: TrainingMoments) -> TrainingMoments:
        """Return the moments of both sets of subjects."""
        zeros, patterns = self._zeros(), self.sums.keys() | other.sums.keys()
        sums = {each: self.sums.get(each, zeros) + other.sums.get(each, zeros) for each in patterns}
        return replace(self, sums=sums)

    def mean(self, target: int) -> float | None:
        """Return the mean of a target over its foreground voxels; None if no training subject has it."""
        total = self._of(1 << target)
        return None if total is None else float(total[0, 1 + target] / total[0, 0])

    def affine(self, shown: int, target: int) -> Regression | None:
        """Return the least-squares regression on the values of the shown modalities (a bit mask); None without training voxels.

        The fit uses the voxels that are foreground of all shown modalities and of the target.
        """
        return self.regression(shown, target, positions(shown), 0.0)

    def spatial(self, shown: int, target: int) -> Regression | None:
        """Return the ridge regression on all features of the shown modalities, fitted to the same voxels as `affine`."""
        places = [place for place, needed in enumerate(self.needs) if needed & ~shown == 0]
        return self.regression(shown, target, places, RIDGE)

    def regression(
        self, shown: int, target: int, places: Sequence[int], ridge: float, wanted: int | None = None
    ) -> Regression | None:
        """Return the ridge regression on the features at `places` of the feature at `wanted`, by default the target's values."""
        column = 1 + (target if wanted is None else wanted)
        total = self._of(shown | 1 << target)
        if total is None:
            return None
        rows = [1 + place for place in places]
        means = total[0] / total[0, 0]
        covariance = total / total[0, 0] - np.outer(means, means)
        deviations = np.sqrt(np.diag(covariance)[rows].clip(min=0))
        deviations[deviations <= CONSTANT * np.abs(means[rows])] = 1.0
        normal = covariance[np.ix_(rows, rows)] / np.outer(deviations, deviations) + ridge * np.eye(len(rows))
        right = covariance[rows, column] / deviations
        coefficients = np.linalg.lstsq(normal, right, rcond=None)[0] / deviations
        return Regression(tuple(places), float(means[column] - coefficients @ means[rows]), coefficients)

    def voxels(self, needed: int) -> int:
        """Return how many voxels are foreground of every modality in `needed` (a bit mask)."""
        total = self._of(needed)
        return 0 if total is None else round(total[0, 0])

    def _zeros(self) -> Array:
        return np.zeros((1 + len(self.needs),) * 2)

    def _of(self, needed: int) -> Array | None:
        """Return the sums over all voxels that are foreground of every modality in `needed` (a bit mask)."""
        matching = [total for pattern, total in sorted(self.sums.items()) if pattern & needed == needed]
        return sum(matching[1:], start=matching[0]) if matching else None


@dataclass(frozen=True)
class ReferenceMoments:
    """Moments of the training images and numbers of subjects, for each kind of subject (None: not known).

    `constants` names the modalities of the moments, in order, and gives the constants of their units.
    """

    constants: Mapping[str, float]
    moments: Mapping[str | None, TrainingMoments]
    subjects: Mapping[str | None, int]

    def of_kind(self, kind: str | None) -> TrainingMoments:
        """Return the moments of the training subjects of a kind and of those without; of all for a subject without a kind."""
        chosen = [value for key, value in self.moments.items() if kind is None or key in (kind, None)]
        return reduce(add, chosen, TrainingMoments(len(self.constants)))
