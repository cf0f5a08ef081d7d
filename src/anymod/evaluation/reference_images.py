"""What the reference predictors make of one subject, in the units of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anymod.arrays import Array
from anymod.core.features import surroundings
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
    inside: Array
    features: Array

    @classmethod
    def of(
        cls,
        fitted: ReferenceMoments,
        kind: str | None,
        constants: Mapping[str, float],
        planes: Array,
        foreground: Array,
        usable: Sequence[int],
    ) -> ReferenceImages:
        """Return those of all slices of a subject of a kind (slice, modality, row, column), of which `usable` are predicted.

        `constants` are those of the scores, by modality, in the order of the slices.
        """
        own, known = fitted.constants, list(fitted.constants)
        gains = [own.get(name, constant) / constant for name, constant in constants.items()]
        shape = (len(planes), len(known), *planes.shape[2:])
        images, present = np.full(shape, -1, np.float32), np.zeros(shape, bool)
        for place, (name, gain) in enumerate(zip(constants, gains, strict=True)):
            if name in own:
                images[:, known.index(name)] = gain * (planes[:, place] + 1) - 1
                present[:, known.index(name)] = foreground[:, place]
        inside = np.any(foreground[usable], axis=1)
        made = surroundings(images, present)[:, usable][:, inside] if known else np.empty((0, inside.sum()), np.float32)
        places = tuple(known.index(name) if name in own else None for name in constants)
        return cls(fitted.of_kind(kind), places, tuple(gains), inside, made)

    def predictions(self, shown: int, target: int) -> dict[str, Tensor]:
        """Return the images (slice, row, column) of each predictor from a subset (a bit mask), without those that cannot be fitted."""
        places, place = [self.places[each] for each in positions(shown)], self.places[target]
        if place is None:
            return {}
        found: dict[str, Array] = {}
        if (mean := self.moments.mean(place)) is not None:
            found[MEAN_IMAGE] = np.full(self.features.shape[1:], mean, np.float32)
        known = [each for each in places if each is not None]
        if len(known) == len(places):
            mask = sum(1 << each for each in known)
            fits = {AFFINE: self.moments.affine(mask, place), SPATIAL: self.moments.spatial(mask, place)}
            found |= {name: fit.predict(self.features) for name, fit in fits.items() if fit is not None}
        return {name: self._scored(values, target) for name, values in found.items()}

    def _scored(self, values: Array, target: int) -> Tensor:
        image = np.full(self.inside.shape, -1, np.float32)
        image[self.inside] = ((values + 1) / self.gains[target] - 1).clip(-1, 1)
        return torch.from_numpy(image)
