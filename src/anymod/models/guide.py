"""A linear regression of every hidden image on the shown ones and their surroundings, of which a network's images are a mixture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from anymod.core.batch import Batch
from anymod.core.features import needed_modalities, surroundings
from anymod.core.regression import TrainingMoments
from anymod.types import Images, Shown, TargetPlanes

MOST_MODALITIES = 8  # of which every subset has coefficients: 255 times 8 times 77


class Guide(nn.Module):
    """Coefficients for every subset and hidden target, and the share of the regression in the image; 0 where nothing was fitted.

    The network learns with the mixture, so it learns what the regression lacks (deviation A20).
    """

    def __init__(self, modality_count: int, share: float) -> None:
        super().__init__()
        if modality_count > MOST_MODALITIES:
            raise ValueError(f"guide_share works for at most {MOST_MODALITIES} modalities")
        self.modality_count, self.share = modality_count, share
        subsets, features = 2**modality_count, len(needed_modalities(modality_count, distances=False))
        self.coefficients: Tensor
        self.shares: Tensor
        self.register_buffer("coefficients", torch.zeros(subsets, modality_count, 1 + features))
        self.register_buffer("shares", torch.zeros(subsets, modality_count))

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit the regressions to the foreground of training slices."""
        moments = TrainingMoments(self.modality_count, distances=False, targets_apart=True)
        for batch in batches:
            rows = torch.cat([surroundings(batch.images, batch.images > -1), batch.targets], dim=1)
            moments.add(rows.cpu(), batch.foreground.cpu())
        for subset in range(1, len(self.shares)):
            for target in range(self.modality_count):
                fit = None if subset >> target & 1 else moments.spatial(subset, target)
                self.coefficients[subset, target] = 0
                self.shares[subset, target] = 0 if fit is None else self.share
                if fit is not None:
                    places = [0, *(1 + place for place in fit.places)]
                    values = self.coefficients.new_tensor([fit.intercept, *fit.coefficients])
                    self.coefficients[subset, target, places] = values

    def features(self, images: Images, shown: Shown) -> Tensor:
        """Return the features (b, f, h, w) of the shown images (b, m, c, h, w); what a hidden slot holds changes nothing."""
        inside = shown[:, :, None, None, None] & (images > -1)
        return surroundings(torch.where(inside, images, -1.0), inside)

    def mixed(
        self, images: TargetPlanes, features: Tensor, shown: Shown, targets: Sequence[int], wanted: Tensor | None = None
    ) -> TargetPlanes:
        """Return the network's images (b, t, h, w) of the targets, mixed with the regressions from `shown` where `wanted` (b, t)."""
        places = 2 ** torch.arange(self.modality_count, device=shown.device)
        subset = (shown * places).sum(1)
        mixtures = []
        for number, target in enumerate(targets):
            coefficients, share = self.coefficients[subset, target], self.shares[subset, target]
            # Not a matrix product, which would run in half precision under autocast.
            regression = (coefficients[:, 1:, None, None] * features).sum(1) + coefficients[:, 0, None, None]
            share = share if wanted is None else share * wanted[:, number]
            image = images[:, number]
            mixtures.append(image + share[:, None, None] * (regression.clamp(-1, 1) - image))
        return torch.stack(mixtures, dim=1)
