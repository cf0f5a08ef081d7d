"""What is summed over the slices of one volume, and the scores that follow from the sums."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from anymod.core.fidelity import DATA_RANGE, ms_ssim, ssim
from anymod.core.texture import BANDS, radial_power, through_plane_change

LARGEST_PSNR_DB = 100.0  # equal images would be infinite, and so would any mean with them
SMALLEST_VARIANCE = 1e-12  # of a prediction: below it is one value, which no map makes more of


@dataclass
class Tally:
    """Sums over the slices of a volume, from which its scores follow as if it had been measured at once."""

    voxels: int = 0
    squared_error: float = 0.0
    absolute_error: float = 0.0
    slices: int = 0
    similarity: float = 0.0
    multi_scale_similarity: float = 0.0
    predicted: float = 0.0
    true: float = 0.0
    predicted_squared: float = 0.0
    true_squared: float = 0.0
    product: float = 0.0
    predicted_power: Tensor = field(default_factory=lambda: torch.zeros(BANDS, dtype=torch.float64))
    true_power: Tensor = field(default_factory=lambda: torch.zeros(BANDS, dtype=torch.float64))
    predicted_change: float = 0.0
    true_change: float = 0.0
    last: tuple[Tensor, Tensor, Tensor] | None = None
    """Prediction, truth and inside of the last slice, each (1, h, w)."""

    def add(self, prediction: Tensor, truth: Tensor, inside: Tensor) -> None:
        """Take in the next slices (b, h, w) of a volume; those without a voxel `inside` do not count.

        Both images become background outside.
        """
        self._add_change(prediction, truth, inside)
        inhabited = inside.flatten(1).any(1)
        count = int(inhabited.sum())
        if not count:
            return
        inside = inside[inhabited]
        prediction, truth = (torch.where(inside, each[inhabited], -1.0) for each in (prediction, truth))
        predicted, true = prediction[inside].double(), truth[inside].double()
        error = predicted - true
        self.voxels += error.numel()
        self.squared_error += float(error.square().sum())
        self.absolute_error += float(error.abs().sum())
        self.predicted += float(predicted.sum())
        self.true += float(true.sum())
        self.predicted_squared += float(predicted.square().sum())
        self.true_squared += float(true.square().sum())
        self.product += float((predicted * true).sum())
        self.slices += count
        self.similarity += count * ssim(prediction, truth, inside)
        self.multi_scale_similarity += count * ms_ssim(prediction, truth, inside)
        self.predicted_power += radial_power(prediction, inside)
        self.true_power += radial_power(truth, inside)

    def _add_change(self, prediction: Tensor, truth: Tensor, inside: Tensor) -> None:
        stacks = (prediction, truth, inside)
        if self.last is not None:
            prediction, truth, inside = (torch.cat(pair) for pair in zip(self.last, stacks, strict=True))
        self.predicted_change += through_plane_change(prediction, inside)
        self.true_change += through_plane_change(truth, inside)
        self.last = (prediction[-1:], truth[-1:], inside[-1:])

    def values(self) -> dict[str, float]:
        """Return the scores and the number of slices they were measured on, of which there is at least one."""
        return {
            "psnr_db": _psnr(self.squared_error / self.voxels),
            "ssim": self.similarity / self.slices,
            "ms_ssim": self.multi_scale_similarity / self.slices,
            "mae": self.absolute_error / self.voxels,
            "structure_psnr_db": _psnr(self._unexplained()),
            "spectrum_error": self._spectrum_error(),
            "through_plane": self.predicted_change / self.true_change if self.true_change > 0 else math.nan,
            "slices": self.slices,
        }

    def _spectrum_error(self) -> float:
        half = slice(0, BANDS // 2)
        predicted, true = self.predicted_power[half], self.true_power[half]
        there = true > 0  # a truth of one value has no texture that could be missed
        return float((predicted[there] / true[there] - 1).abs().max()) if bool(there.any()) else math.nan

    def _unexplained(self) -> float:
        """Return the mean squared error that the best affine map of the prediction leaves: Var(t) - Cov(p, t)^2 / Var(p)."""
        mean_predicted, mean_true = self.predicted / self.voxels, self.true / self.voxels
        variance = self.predicted_squared / self.voxels - mean_predicted**2
        unexplained = self.true_squared / self.voxels - mean_true**2
        if variance > SMALLEST_VARIANCE:
            unexplained -= (self.product / self.voxels - mean_predicted * mean_true) ** 2 / variance
        return unexplained


def _psnr(mean_square: float) -> float:
    least = DATA_RANGE**2 / 10 ** (LARGEST_PSNR_DB / 10)
    return 10 * math.log10(DATA_RANGE**2 / max(mean_square, least))
