"""What the reference predictors need of training subjects: the units of scores, and moments of the images in these units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anymod.core.regression import TrainingMoments
from anymod.progress import track
from anymod.slices.score_units import ScoreUnits
from anymod.slices.store import SliceCache


@dataclass(frozen=True)
class References:
    """Units of the scores, and moments of the training images in these units, both in the order of the slices' modalities."""

    units: ScoreUnits
    moments: TrainingMoments

    @classmethod
    def fitted(cls, cache: SliceCache, subjects: Sequence[int]) -> References:
        """Return the units that follow from the training subjects (indices), and the moments over all of their usable slices."""
        landmarks = [record.landmarks for record in cache.records]
        units, moments = ScoreUnits.measured(landmarks, subjects), TrainingMoments(len(cache.modalities))
        for subject in track(subjects, "fitting references", len(subjects)):
            ranges = units.ranges(landmarks[subject])
            for place in cache.usable(subject).tolist():
                moments.add(*cache.scaled(subject, slice(place, place + 1), ranges))
        return cls(units, moments)
