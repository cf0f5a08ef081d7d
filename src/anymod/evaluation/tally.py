"""Scores of one volume, accumulated slice by slice."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import pad

from anymod.core.fidelity import ms_ssim, psnr, scaled_margin, ssim
from anymod.core.perception import gmsd, haarpsi, lpips_distance, lpips_maps
from anymod.core.texture import BANDS, radial_power, through_plane_change
from anymod.models.perception import lpips_weights

SCALES = 3  # of MS-SSIM, for images of any size: a head of 2 mm voxels has no room for more
LPIPS_STEP = 4  # slices: neighbours look alike, and one comparison takes about 10 ms
SMALLEST_VARIANCE = 1e-12  # a prediction with less is constant, and an affine map cannot improve it


@dataclass
class Tally:
    """Sums over the slices of a volume; its scores are those of the whole volume.

    `truth_maps` holds what LPIPS compares of the truth, by slice; tallies of the same truth in the same foreground can share it.
    """

    truth_maps: dict[int, list[Tensor]] = field(default_factory=dict)
    voxels: int = 0
    squared_error: float = 0.0
    absolute_error: float = 0.0
    slices: int = 0
    similarity: float = 0.0
    multi_scale_similarity: float = 0.0
    wavelet_similarity: float = 0.0
    gradient_deviation: float = 0.0
    perceived: list[float] = field(default_factory=list)
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
    """Prediction, truth and foreground of the last slice, each (1, h, w)."""

    def add(self, prediction: Tensor, truth: Tensor, inside: Tensor) -> None:
        """Add the next slices (b, h, w) of a volume; slices without a voxel `inside` do not count.

        Outside, both images are set to background, and beyond their border is background too.
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
        weights = lpips_weights()
        for place in range(-self.slices % LPIPS_STEP, count, LPIPS_STEP):
            number = self.slices + place
            if number not in self.truth_maps:
                self.truth_maps[number] = lpips_maps(truth[place], inside[place], weights)
            made = lpips_maps(prediction[place], inside[place], weights)
            self.perceived.append(float(lpips_distance(made, self.truth_maps[number], weights)))
        self.slices += count
        around = (scaled_margin(SCALES),) * 4
        wide = pad(prediction, around, value=-1.0), pad(truth, around, value=-1.0), pad(inside, around)
        self.similarity += count * ssim(*wide)
        self.multi_scale_similarity += count * ms_ssim(*wide, scales=SCALES)
        self.wavelet_similarity += count * haarpsi(*wide)
        self.gradient_deviation += count * gmsd(*wide)
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
        """Return the scores and the number of slices; at least one slice must have been added."""
        return {
            "psnr_db": psnr(self.squared_error / self.voxels),
            "ssim": self.similarity / self.slices,
            "ms_ssim": self.multi_scale_similarity / self.slices,
            "mae": self.absolute_error / self.voxels,
            "lpips": sum(self.perceived) / len(self.perceived),
            "haarpsi": self.wavelet_similarity / self.slices,
            "gmsd": self.gradient_deviation / self.slices,
            "structure_psnr_db": psnr(self._unexplained()),
            "spectrum_error": self._spectrum_error(),
            "through_plane": self.predicted_change / self.true_change if self.true_change > 0 else math.nan,
            "slices": self.slices,
        }

    def _spectrum_error(self) -> float:
        half = slice(0, BANDS // 2)
        predicted, true = self.predicted_power[half], self.true_power[half]
        textured = true > 0  # a constant truth has no texture to compare with
        return float((predicted[textured] / true[textured] - 1).abs().max()) if bool(textured.any()) else math.nan

    def _unexplained(self) -> float:
        """Return the mean squared error after the best affine map of the prediction: Var(t) - Cov(p, t)^2 / Var(p)."""
        mean_predicted, mean_true = self.predicted / self.voxels, self.true / self.voxels
        variance = self.predicted_squared / self.voxels - mean_predicted**2
        unexplained = self.true_squared / self.voxels - mean_true**2
        if variance > SMALLEST_VARIANCE:
            unexplained -= (self.product / self.voxels - mean_predicted * mean_true) ** 2 / variance
        return unexplained
