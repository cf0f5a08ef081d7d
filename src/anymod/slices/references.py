"""What the reference predictors need of training subjects: the units of scores, and moments of the images, for each kind of subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from anymod.core.features import NEIGHBOURS, slice_features
from anymod.core.regression import ReferenceMoments, TrainingMoments
from anymod.progress import track
from anymod.slices.score_units import ScoreUnits
from anymod.slices.store import SliceCache

SLICES_AT_ONCE = 16


@dataclass(frozen=True)
class References:
    """Units of the scores, in the order of the slices' modalities, and what the reference predictors are fitted on."""

    units: ScoreUnits
    fitted: ReferenceMoments

    @classmethod
    def of(cls, cache: SliceCache, subjects: Sequence[int], kinds: Sequence[str | None]) -> References:
        """Return the units that follow from the training subjects (indices), and the moments over all of their usable axial slices."""
        landmarks = [record.landmarks for record in cache.records]
        units = ScoreUnits.measured(landmarks, subjects)
        moments: dict[str | None, TrainingMoments] = {}
        for subject, kind in track(list(zip(subjects, kinds, strict=True)), "fitting references", len(subjects)):
            ranges, usable = units.ranges(landmarks[subject]), set(cache.usable(subject).tolist())
            total = moments.setdefault(kind, TrainingMoments(len(cache.modalities)))
            count = cache.slice_count(subject)
            for start in range(0, count, SLICES_AT_ONCE):
                first, last = max(0, start - NEIGHBOURS), min(count, start + SLICES_AT_ONCE + NEIGHBOURS)
                scaled = cache.scaled(subject, slice(first, last), ranges)
                planes, foreground = map(torch.from_numpy, scaled)
                chosen = [
                    place - first for place in range(start, min(count, start + SLICES_AT_ONCE)) if place in usable
                ]
                if chosen:
                    total.add(slice_features(planes, foreground)[chosen], foreground[chosen])
        constants = dict(zip(cache.modalities, units.constants, strict=True))
        return cls(units, ReferenceMoments(constants, moments, {kind: list(kinds).count(kind) for kind in moments}))
