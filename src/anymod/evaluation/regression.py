"""Reference predictors: the mean value of the training images, a voxel-wise affine regression, and one that sees the surroundings.

All follow from sums over the training voxels, computed once: the moments of (1, features, targets), separately for each pattern of
modalities whose foreground contains the voxel. A regression from a subset adds the patterns that contain it and solves a small system.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from anymod.arrays import Array
from anymod.core.batch import Batch
from anymod.core.features import needed_modalities, surroundings
from anymod.core.subsets import positions

RIDGE = 0.01
"""Added to the variance of standardized features, which nearly repeat one another. In cross-validation on 11 subjects it gains 0.65 dB."""


@dataclass(frozen=True)
class Regression:
    """An intercept and coefficients of the features at `places`."""

    places: tuple[int, ...]
    intercept: float
    coefficients: Array

    def predict(self, features: Tensor) -> Tensor:
        """Return predictions (b, h, w), clipped to [-1, 1], from features (b, f, h, w)."""
        weights = features.new_tensor(self.coefficients)
        return ((features[:, list(self.places)] * weights[:, None, None]).sum(1) + self.intercept).clamp(-1, 1)


@dataclass
class TrainingMoments:
    """Sums over the foreground voxels of the training subjects, modalities in the model's order.

    `sums` maps a pattern (bit m: the voxel is foreground of modality m) to the matrix (1 + F + M, 1 + F + M) of summed products of
    (1, F features of the scaled inputs, M scaled targets), 0 for whatever needs a modality that is not in the pattern.
    """

    modality_count: int
    sums: dict[int, Array] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        """Add the voxels of some slices."""
        values = np.concatenate([_voxels(surroundings(batch.images)), _voxels(batch.targets)])  # (f + m, voxel)
        inside = _voxels(batch.foreground)
        patterns = (inside * (1 << np.arange(self.modality_count))[:, None]).sum(0)
        needs = np.array(self._needs)
        for pattern in np.unique(patterns[patterns > 0]).tolist():
            rows = np.flatnonzero(needs & ~pattern == 0)
            chosen = values[np.ix_(rows, np.flatnonzero(patterns == pattern))].astype(np.float64)
            moments = np.concatenate([np.ones((1, chosen.shape[1])), chosen])
            places = np.concatenate([[0], 1 + rows])
            total = self.sums.setdefault(pattern, np.zeros((1 + len(needs),) * 2))
            total[np.ix_(places, places)] += moments @ moments.T

    def mean(self, target: int) -> float | None:
        """Return the mean of a target over its foreground voxels; None if no training subject has it."""
        total = self._of(1 << target)
        return None if total is None else float(total[0, self._target(target)] / total[0, 0])

    def affine(self, shown: int, target: int) -> Regression | None:
        """Return the least-squares regression on the values of the shown modalities (a bit mask); None without training voxels.

        The fit uses the voxels that are foreground of all shown modalities and of the target.
        """
        return self._regression(shown, target, positions(shown), 0.0)

    def spatial(self, shown: int, target: int) -> Regression | None:
        """Return the ridge regression on all features of the shown modalities, fitted to the same voxels as `affine`."""
        features = needed_modalities(self.modality_count)
        return self._regression(shown, target, tuple(np.flatnonzero(np.array(features) & ~shown == 0).tolist()), RIDGE)

    def _regression(self, shown: int, target: int, places: tuple[int, ...], ridge: float) -> Regression | None:
        total = self._of(shown | 1 << target)
        if total is None:
            return None
        rows = [1 + place for place in places]
        means = total[0] / total[0, 0]
        covariance = total / total[0, 0] - np.outer(means, means)
        deviations = np.sqrt(np.diag(covariance)[rows].clip(min=0))
        deviations[deviations == 0] = 1.0
        normal = covariance[np.ix_(rows, rows)] / np.outer(deviations, deviations) + ridge * np.eye(len(rows))
        right = covariance[rows, self._target(target)] / deviations
        coefficients = np.linalg.lstsq(normal, right, rcond=None)[0] / deviations
        return Regression(places, float(means[self._target(target)] - coefficients @ means[rows]), coefficients)

    def _of(self, needed: int) -> Array | None:
        """Return the sums over all voxels that are foreground of every modality in `needed` (a bit mask)."""
        matching = [total for pattern, total in self.sums.items() if pattern & needed == needed]
        return sum(matching[1:], start=matching[0]) if matching else None

    @property
    def _needs(self) -> list[int]:
        """Return, for each feature and target, the modalities that it is made of, as a bit mask."""
        return needed_modalities(self.modality_count) + [1 << place for place in range(self.modality_count)]

    def _target(self, place: int) -> int:
        return 1 + len(needed_modalities(self.modality_count)) + place


def _voxels(planes: Tensor) -> Array:
    """Return planes (b, m, h, w) as (m, b h w)."""
    return planes.transpose(0, 1).flatten(1).numpy()
