"""A linear regression of each hidden image on the shown ones and their surroundings, mixed with what a network makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from anymod.core.batch import Batch
from anymod.core.features import needed_modalities, surroundings
from anymod.core.regression import RIDGE, TrainingMoments
from anymod.nn.cells import in_full_precision
from anymod.types import Images, Shown, TargetPlanes

FEWEST_VOXELS = 1000  # that a subset and a target have in common, for a regression
MOST_MODALITIES = 8  # of which every subset has coefficients: 255 times 8 times 77


@dataclass(frozen=True)
class Surroundings:
    """What the regression sees of images: its features (b, f, h, w), and the foreground of each, `inside` (b, m, h, w)."""

    features: Tensor
    inside: Tensor

    @classmethod
    def of(cls, images: Images, shown: Shown) -> Surroundings:
        """Return those of images (b, m, c, h, w), of which `shown` (b, m) are; what the others hold changes nothing."""
        inside = shown[:, :, None, None, None] & (images > -1)
        features = surroundings(torch.where(inside, images, -1.0), inside)
        return cls(features, inside[:, :, images.shape[2] // 2])


class Guide(nn.Module):
    """The spatial regression (docs/method.md section 12, without distances to the border) of every hidden target from every subset.

    A hidden image is `1 - share` times the network's and `share` times the regression's, in voxels that are foreground of all shown images;
    elsewhere it is the network's, because the regression was fitted to no such voxels. On images unlike those of the training a network
    errs more than a regression, and their errors differ: the mixture was better than both there, and little worse elsewhere.

    Args:
        modalities: Names, in the order of the axis m.
        shares: By name, the share of the regression in a modality's hidden images; 0 for those not named.
    """

    def __init__(self, modalities: Sequence[str], shares: Mapping[str, float]) -> None:
        super().__init__()
        if len(modalities) > MOST_MODALITIES:
            raise ValueError(f"guide_shares works for at most {MOST_MODALITIES} modalities")
        unknown = sorted(set(shares) - set(modalities))
        if unknown:
            raise ValueError(f"guide_shares names {', '.join(unknown)}; the modalities are {', '.join(modalities)}")
        self.wanted = [shares.get(name, 0.0) for name in modalities]
        count = len(modalities)
        self.needs = needed_modalities(count, distances=False)
        """Of each feature, a bit mask of the modalities that it is made of."""
        self.coefficients: Tensor
        self.shares: Tensor
        self.register_buffer("coefficients", torch.zeros(2**count, count, 1 + len(self.needs)))
        self.register_buffer("shares", torch.zeros(2**count, count))
        """Of each subset (a bit mask) and target; 0 where nothing was fitted."""

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit the regressions to the foreground of training slices."""
        count = len(self.wanted)
        moments = TrainingMoments(count, needs=(*self.needs, *(1 << target for target in range(count))))
        for batch in batches:
            seen = Surroundings.of(batch.images, batch.observed)
            # A slice of one value has no scale, and its image is background (method, section 9).
            moments.add(torch.cat([seen.features, batch.targets], dim=1).cpu(), (batch.foreground & seen.inside).cpu())
        self.coefficients.zero_()
        self.shares.zero_()
        for subset in range(1, len(self.shares)):
            places = [place for place, needed in enumerate(self.needs) if needed & ~subset == 0]
            for target, share in enumerate(self.wanted):
                if share == 0 or subset >> target & 1 or moments.voxels(subset | 1 << target) < FEWEST_VOXELS:
                    continue
                fit = moments.regression(subset, target, places, RIDGE, len(self.needs) + target)
                if fit is not None:
                    values = self.coefficients.new_tensor([fit.intercept, *fit.coefficients])
                    self.coefficients[subset, target, [0, *(1 + place for place in places)]] = values
                    self.shares[subset, target] = share

    def mixed(self, images: TargetPlanes, seen: Surroundings, shown: Shown, targets: Sequence[int]) -> TargetPlanes:
        """Return a network's images (b, t, h, w) of the targets, mixed with the regressions from `shown` (b, m), a part of `seen`."""
        subset = (shown * 2 ** torch.arange(shown.shape[1], device=shown.device)).sum(1)
        known = (seen.inside | ~shown[:, :, None, None]).all(1)
        mixtures = []
        for image, target in zip(images.unbind(1), targets, strict=True):
            coefficients = in_full_precision(self.coefficients[subset, target])
            share = in_full_precision(self.shares[subset, target])[:, None, None] * known
            # Not a matrix product, which would run in half precision under autocast.
            regression = (coefficients[:, 1:, None, None] * seen.features).sum(1) + coefficients[:, 0, None, None]
            mixtures.append(image + share * (regression.clamp(-1, 1) - image))
        return torch.stack(mixtures, dim=1)
