"""Two simple predictors that a model has to beat: the training set's mean image value, and a voxel-wise affine regression.

Both follow from sums over training voxels that are taken once: for every pattern of modalities that are foreground in a voxel, the
moments of (1, inputs, targets). A regression from any subset then adds up the patterns that hold it and solves a small system.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from anymod.arrays import Array
from anymod.core.batch import Batch


@dataclass
class TrainingMoments:
    """Sums over the foreground voxels of training subjects, modalities in the model's order.

    `sums` maps a pattern (bit m: the voxel is foreground of modality m) to the matrix (1 + 2 M, 1 + 2 M) of the sums of products of
    (1, M scaled inputs, M scaled targets), 0 where a modality is not in the pattern.
    """

    modality_count: int
    sums: dict[int, Array] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        """Take in the voxels of some slices; the middle channel is the slice itself."""
        inputs = batch.images[:, :, batch.images.shape[2] // 2]
        values = np.concatenate([_voxels(inputs), _voxels(batch.targets)])  # (2 m, voxel)
        inside = _voxels(batch.foreground)
        patterns = (inside * (1 << np.arange(self.modality_count))[:, None]).sum(0)
        for pattern in np.unique(patterns[patterns > 0]).tolist():
            present = np.flatnonzero([pattern >> place & 1 for place in range(self.modality_count)])
            rows = np.concatenate([present, self.modality_count + present])
            chosen = values[np.ix_(rows, np.flatnonzero(patterns == pattern))].astype(np.float64)
            moments = np.concatenate([np.ones((1, chosen.shape[1])), chosen])
            places = np.concatenate([[0], 1 + rows])
            total = self.sums.setdefault(pattern, np.zeros((1 + 2 * self.modality_count,) * 2))
            total[np.ix_(places, places)] += moments @ moments.T

    def mean(self, target: int) -> float | None:
        """Return the mean of a target over its foreground voxels; None where no training subject has it."""
        total = self._of(1 << target)
        return None if total is None else float(total[0, self._target(target)] / total[0, 0])

    def regression(self, shown: int, target: int) -> Array | None:
        """Return (intercept, one coefficient for each shown modality in order) by least squares; None without training voxels.

        Over voxels that are foreground of all shown modalities (a bit mask) and of the target.
        """
        total = self._of(shown | 1 << target)
        if total is None:
            return None
        present = np.flatnonzero([shown >> place & 1 for place in range(self.modality_count)])
        places = np.concatenate([[0], 1 + present])
        # Divided by the number of voxels: sums of billions would spoil the solver's cut-off for singular systems.
        normal, right = total[np.ix_(places, places)] / total[0, 0], total[places, self._target(target)] / total[0, 0]
        return np.linalg.lstsq(normal, right, rcond=None)[0]

    def _of(self, needed: int) -> Array | None:
        """Return the sums over all voxels where at least `needed` is foreground."""
        matching = [total for pattern, total in self.sums.items() if pattern & needed == needed]
        return sum(matching[1:], start=matching[0]) if matching else None

    def _target(self, place: int) -> int:
        return 1 + self.modality_count + place


def predict_affine(coefficients: Array, shown: int, inputs: Tensor) -> Tensor:
    """Return intercept + sum of coefficient times input (b, h, w), clipped to [-1, 1], from inputs (b, m, h, w)."""
    places = [place for place in range(inputs.shape[1]) if shown >> place & 1]
    weights = inputs.new_tensor(coefficients[1:])
    return ((inputs[:, places] * weights[:, None, None]).sum(1) + float(coefficients[0])).clamp(-1, 1)


def _voxels(planes: Tensor) -> Array:
    """Return (m, b h w) of (b, m, h, w)."""
    return planes.transpose(0, 1).flatten(1).numpy()
