"""Reference predictors: the mean value of the training images, and a voxel-wise affine regression.

Both follow from sums over the training voxels, computed once: the moments of (1, inputs, targets), separately for each pattern of
modalities whose foreground contains the voxel. The regression from a subset adds the patterns that contain it and solves a small system.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from anymod.arrays import Array
from anymod.core.batch import Batch
from anymod.core.subsets import positions


@dataclass
class TrainingMoments:
    """Sums over the foreground voxels of the training subjects, modalities in the model's order.

    `sums` maps a pattern (bit m: the voxel is foreground of modality m) to the matrix (1 + 2 M, 1 + 2 M) of summed products of
    (1, M scaled inputs, M scaled targets), 0 for modalities that are not in the pattern.
    """

    modality_count: int
    sums: dict[int, Array] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        """Add the voxels of some slices; the middle channel is the slice itself."""
        inputs = batch.images[:, :, batch.images.shape[2] // 2]
        values = np.concatenate([_voxels(inputs), _voxels(batch.targets)])  # (2 m, voxel)
        inside = _voxels(batch.foreground)
        patterns = (inside * (1 << np.arange(self.modality_count))[:, None]).sum(0)
        for pattern in np.unique(patterns[patterns > 0]).tolist():
            present = np.array(positions(pattern))
            rows = np.concatenate([present, self.modality_count + present])
            chosen = values[np.ix_(rows, np.flatnonzero(patterns == pattern))].astype(np.float64)
            moments = np.concatenate([np.ones((1, chosen.shape[1])), chosen])
            places = np.concatenate([[0], 1 + rows])
            total = self.sums.setdefault(pattern, np.zeros((1 + 2 * self.modality_count,) * 2))
            total[np.ix_(places, places)] += moments @ moments.T

    def mean(self, target: int) -> float | None:
        """Return the mean of a target over its foreground voxels; None if no training subject has it."""
        total = self._of(1 << target)
        return None if total is None else float(total[0, self._target(target)] / total[0, 0])

    def regression(self, shown: int, target: int) -> Array | None:
        """Return the least-squares (intercept, one coefficient per shown modality in order); None without training voxels.

        The fit uses the voxels that are foreground of all shown modalities (a bit mask) and of the target.
        """
        total = self._of(shown | 1 << target)
        if total is None:
            return None
        places = [0, *(1 + place for place in positions(shown))]
        # Divided by the number of voxels, because sums of billions would distort the solver's cut-off for singular systems.
        normal, right = total[np.ix_(places, places)] / total[0, 0], total[places, self._target(target)] / total[0, 0]
        return np.linalg.lstsq(normal, right, rcond=None)[0]

    def _of(self, needed: int) -> Array | None:
        """Return the sums over all voxels that are foreground of every modality in `needed` (a bit mask)."""
        matching = [total for pattern, total in self.sums.items() if pattern & needed == needed]
        return sum(matching[1:], start=matching[0]) if matching else None

    def _target(self, place: int) -> int:
        return 1 + self.modality_count + place


def predict_affine(coefficients: Array, shown: int, inputs: Tensor) -> Tensor:
    """Return intercept + sum of coefficient times input (b, h, w), clipped to [-1, 1], from inputs (b, m, h, w)."""
    weights = inputs.new_tensor(coefficients[1:])
    return ((inputs[:, list(positions(shown))] * weights[:, None, None]).sum(1) + float(coefficients[0])).clamp(-1, 1)


def _voxels(planes: Tensor) -> Array:
    """Return planes (b, m, h, w) as (m, b h w)."""
    return planes.transpose(0, 1).flatten(1).numpy()
