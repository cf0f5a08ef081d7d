"""Reference predictors: the mean value of the training images, and a voxel-wise affine regression.

Both follow from sums over the training voxels, computed once: the moments of (1, images), separately for each pattern of modalities whose
foreground contains the voxel. The regression from a subset adds the patterns that contain it and solves a small system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from anymod.arrays import Array
from anymod.core.subsets import positions


@dataclass
class TrainingMoments:
    """Sums over the foreground voxels of the training subjects.

    `sums` maps a pattern (bit m: the voxel is foreground of modality m) to the matrix (1 + M, 1 + M) of summed products of
    (1, M scaled images), 0 for modalities that are not in the pattern.
    """

    modality_count: int
    sums: dict[int, Array] = field(default_factory=dict)

    def add(self, planes: Array, foreground: Array) -> None:
        """Add the voxels of some slices, scaled, and their foreground (bool), both (slice, modality, row, column)."""
        values, inside = (each.swapaxes(0, 1).reshape(self.modality_count, -1) for each in (planes, foreground))
        patterns = (inside * (1 << np.arange(self.modality_count))[:, None]).sum(0)
        for pattern in np.unique(patterns[patterns > 0]).tolist():
            present = np.array(positions(pattern))
            chosen = values[np.ix_(present, np.flatnonzero(patterns == pattern))].astype(np.float64)
            moments = np.concatenate([np.ones((1, chosen.shape[1])), chosen])
            places = np.concatenate([[0], 1 + present])
            total = self.sums.setdefault(pattern, np.zeros((1 + self.modality_count,) * 2))
            total[np.ix_(places, places)] += moments @ moments.T

    def mean(self, target: int) -> float | None:
        """Return the mean of a target over its foreground voxels; None if no training subject has it."""
        total = self._of(1 << target)
        return None if total is None else float(total[0, 1 + target] / total[0, 0])

    def regression(self, shown: int, target: int) -> Array | None:
        """Return the least-squares (intercept, one coefficient per shown modality in order); None without training voxels.

        The fit uses the voxels that are foreground of all shown modalities (a bit mask) and of the target.
        """
        total = self._of(shown | 1 << target)
        if total is None:
            return None
        places = [0, *(1 + place for place in positions(shown))]
        # Divided by the number of voxels, because sums of billions would distort the solver's cut-off for singular systems.
        normal, right = total[np.ix_(places, places)] / total[0, 0], total[places, 1 + target] / total[0, 0]
        return np.linalg.lstsq(normal, right, rcond=None)[0]

    def changed(self, gains: Sequence[float], offsets: Sequence[float], order: Sequence[int | None]) -> TrainingMoments:
        """Return the moments of gain x + offset, for gains and offsets in the new order of modalities.

        `order` holds the present place of each new modality, None for one that these moments do not know.
        """
        change = np.zeros((1 + len(order), 1 + self.modality_count))
        change[0, 0] = 1
        for new, old in enumerate(order):
            if old is not None:
                change[1 + new, [0, 1 + old]] = offsets[new], gains[new]
        moved = TrainingMoments(len(order))
        for pattern, total in self.sums.items():
            kept = sum(1 << new for new, old in enumerate(order) if old is not None and pattern >> old & 1)
            present = np.array([True, *(bool(kept >> new & 1) for new in range(len(order)))])
            sums = (change * present[:, None]) @ total @ (change * present[:, None]).T
            moved.sums[kept] = moved.sums.get(kept, 0) + sums
        moved.sums.pop(0, None)
        return moved

    def _of(self, needed: int) -> Array | None:
        """Return the sums over all voxels that are foreground of every modality in `needed` (a bit mask)."""
        matching = [total for pattern, total in sorted(self.sums.items()) if pattern & needed == needed]
        return sum(matching[1:], start=matching[0]) if matching else None


def predict_affine(coefficients: Array, shown: int, images: Tensor) -> Tensor:
    """Return intercept + sum of coefficient times image (b, h, w), clipped to [-1, 1], from images (b, m, h, w)."""
    weights = images.new_tensor(coefficients[1:])
    return ((images[:, list(positions(shown))] * weights[:, None, None]).sum(1) + float(coefficients[0])).clamp(-1, 1)
