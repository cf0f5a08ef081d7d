"""What the reference predictors make of one subject, in the units of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from anymod.core.features import slice_features
from anymod.core.regression import ReferenceMoments, TrainingMoments
from anymod.core.subsets import positions

MEAN_IMAGE, AFFINE, SPATIAL = "mean-image", "affine-regression", "spatial-regression"


@dataclass(frozen=True)
class ReferenceImages:
    """One subject's images as features of its foreground voxels, in the units and order of the moments.

    `places` holds for each modality of the scores its place among those of the moments, None if they do not know it; `gains` how many of
    their units, from the dark end, are one of the scores. `features` are (f, voxel) of the voxels in `inside` (slice, row, column).
    """

    moments: TrainingMoments
    places: tuple[int | None, ...]
    gains: tuple[float, ...]
    inside: Tensor
    features: Tensor

    @classmethod
    def of(
        cls,
        fitted: ReferenceMoments,
        kind: str | None,
        constants: Mapping[str, float],
        planes: Tensor,
        foreground: Tensor,
        usable: Sequence[int],
    ) -> ReferenceImages:
        """Return those of all slices of a subject of a kind (slice, modality, row, column), of which `usable` are predicted.

        `constants` are those of the scores, by modality, in the order of the slices.
        """
        own, known = fitted.constants, list(fitted.constants)
        gains = [own.get(name, constant) / constant for name, constant in constants.items()]
        shape = (len(planes), len(known), *planes.shape[2:])
        images, present = torch.full(shape, -1.0), torch.zeros(shape, dtype=torch.bool)
        for place, (name, gain) in enumerate(zip(constants, gains, strict=True)):
            if name in own:
                images[:, known.index(name)] = gain * (planes[:, place] + 1) - 1
                present[:, known.index(name)] = foreground[:, place]
        inside = foreground[usable].any(1)
        made = (
            slice_features(images, present)[usable] if known else planes.new_empty((len(inside), 0, *inside.shape[1:]))
        )
        features = made.transpose(0, 1)[:, inside]
        places = tuple(known.index(name) if name in own else None for name in constants)
        return cls(fitted.of_kind(kind), places, tuple(gains), inside, features)

    def predictions(self, shown: int, target: int) -> dict[str, Tensor]:
        """Return the images (slice, row, column) of each predictor from a subset (a bit mask), without those that cannot be fitted.

        A target that is shown has no regression, which would return what it is shown.
        """
        places, place = [self.places[each] for each in positions(shown)], self.places[target]
        if place is None:
            return {}
        found: dict[str, Tensor] = {}
        if (mean := self.moments.mean(place)) is not None:
            found[MEAN_IMAGE] = torch.full(self.features.shape[1:], mean)
        known = [each for each in places if each is not None]
        if len(known) == len(places) and not shown >> target & 1:
            mask = sum(1 << each for each in known)
            fits = {AFFINE: self.moments.affine(mask, place), SPATIAL: self.moments.spatial(mask, place)}
            found |= {name: fit.predict(self.features) for name, fit in fits.items() if fit is not None}
        return {name: self._scored(values, target) for name, values in found.items()}

    def _scored(self, values: Tensor, target: int) -> Tensor:
        image = torch.full(self.inside.shape, -1.0)
        image[self.inside] = ((values + 1) / self.gains[target] - 1).clamp(-1, 1)
        return image
