"""Scores of one subject: every shown subset, every observed target, the model and its reference predictors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from anymod.cohorts import Cohort, read_subject_images
from anymod.core.subsets import non_empty_subsets, positions, subset_name
from anymod.evaluation.lesions import Lesion, LesionScore
from anymod.evaluation.predictions import Drawing, score_grid
from anymod.evaluation.reference_images import AFFINE, MEAN_IMAGE, SPATIAL, ReferenceImages
from anymod.evaluation.tally import Tally
from anymod.figures.examples import Example
from anymod.slices import SliceCache
from anymod.slices.references import References
from anymod.synthesis import SynthesisOptions, Synthesizer, slices_at_once

MODEL = "model"
METHODS = (MODEL, MEAN_IMAGE, AFFINE, SPATIAL)


@dataclass(frozen=True)
class Score:
    """Scores of one predicted volume: one row of `scores.csv`. `shown` holds names joined by `+`.

    Intensities lie in [-1, 1], in the units of `anymod.slices.score_units`, which are the same for every model.

    `lpips` is measured on every fourth slice, `haarpsi` and `gmsd` on all (`anymod.core.perception`).
    `structure_psnr_db` is the PSNR after the best affine map of the volume's intensities. It separates errors of structure from errors
    of scale, which is arbitrary in MR. `spectrum_error` is the largest relative deviation of the power spectrum within slices from the
    true one, up to half the Nyquist frequency. `through_plane` is the mean change between neighbouring slices divided by the true one
    (NaN without neighbouring slices). The last two measure texture only: the image of another subject could score perfectly.
    """

    subject: str
    shown: str
    target: str
    kind: Literal["hidden", "shown"]
    method: str
    psnr_db: float
    ssim: float
    ms_ssim: float
    mae: float
    lpips: float
    haarpsi: float
    gmsd: float
    structure_psnr_db: float
    spectrum_error: float
    through_plane: float
    slices: int


@dataclass(frozen=True)
class Reading:
    """Model, slices of a cohort and options with which subjects are scored; `references` is None for the protocol `dorent2024`.

    The standard protocol has slices of all modalities of the cohort on a grid of its own, `dorent2024` those that the model sees.
    `given` holds the shown subsets as positions among the model's modalities, in the order in which the user named them, None for every
    subset of each subject. The order matters to the protocol `dorent2024` only.
    """

    synthesizer: Synthesizer
    cohort: Cohort
    cache: SliceCache
    references: References | None
    options: SynthesisOptions
    given: tuple[tuple[int, ...], ...] | None

    def observed(self, subject: int) -> tuple[str, ...]:
        """Return the modalities of a subject (an index) that the model knows, in the model's order."""
        has = dict(zip(self.cache.modalities, self.cache.records[subject].observed, strict=True))
        return tuple(name for name in self.synthesizer.description.names if has.get(name))

    def shown_of(self, subject: int) -> list[tuple[int, ...]]:
        """Return the shown subsets of a subject (an index): those given that it has in full, or all of its non-empty subsets."""
        known = [self.synthesizer.description.position(name) for name in self.observed(subject)]
        subsets = self.given or [positions(each) for each in non_empty_subsets(sum(1 << place for place in known))]
        return [subset for subset in subsets if set(subset) <= set(known)]


@dataclass(frozen=True)
class Scored:
    """Scores of one subject and of its lesions, its slice with the most foreground, and each target's model units per unit of score."""

    scores: list[Score]
    lesions: list[LesionScore]
    example: Example
    factors: dict[str, float]


@dataclass(frozen=True)
class _Truth:
    """One subject's usable slices in the units of the scores, and what the references make of them.

    Shapes: planes and foreground are (slice, modality, row, column), of all modalities of the cohort.
    """

    planes: Tensor
    foreground: Tensor
    slices: list[int]
    shown_most: int
    """Place of the slice with the most foreground."""
    references: ReferenceImages
    lesion: Lesion

    @classmethod
    def of(cls, reading: Reading, references: References, subject: int) -> _Truth:
        cache, record, usable = reading.cache, reading.cache.records[subject], reading.cache.usable(subject)
        every = slice(0, cache.slice_count(subject))
        planes, foreground = map(
            torch.from_numpy, cache.scaled(subject, every, references.units.ranges(record.landmarks))
        )
        most = int(np.argmax(np.array(record.union_fractions)[usable]))
        constants = dict(zip(cache.modalities, references.units.constants, strict=True))
        kind = reading.cohort.subject(cache.subjects[subject]).kind
        made = ReferenceImages.of(references.fitted, kind, constants, planes, foreground, usable.tolist())
        spacing_mm = cache.settings.spacing_mm or reading.synthesizer.description.spacing_mm
        lesion = Lesion.of(torch.from_numpy(cache.label(subject)), spacing_mm).at(usable.tolist())
        return cls(planes[usable], foreground[usable], usable.tolist(), most, made, lesion)


def score_subject(reading: Reading, subject: int) -> Scored:
    """Return the scores of one subject (an index).

    A voxel counts where the target's own foreground and the union of the shown foregrounds overlap: elsewhere the truth or the prediction
    is missing. There is no row for a subset and target that overlap nowhere, or for a reference without training voxels.
    """
    if reading.references is None:
        raise ValueError("the standard protocol needs units")
    cache, references = reading.cache, reading.references
    names, every = reading.observed(subject), reading.synthesizer.description.names
    places = [cache.modalities.index(name) for name in names]
    truth = _Truth.of(reading, references, subject)
    ranges = dict(zip(cache.modalities, references.units.ranges(cache.records[subject].landmarks), strict=True))
    images = read_subject_images(reading.cohort, reading.cohort.subject(cache.subjects[subject]))
    wanted = {name: known for name in names if (known := ranges[name]) is not None}
    drawing = Drawing.of(reading.synthesizer, images, wanted, score_grid(images, cache.settings))
    example = Example(
        cache.subjects[subject],
        dict(zip(names, truth.planes[truth.shown_most, places].numpy(), strict=True)),
        dict(zip(names, truth.foreground[truth.shown_most, places].numpy(), strict=True)),
        {},
    )
    scores: list[Score] = []
    lesions: list[LesionScore] = []
    subsets = list(dict.fromkeys(sum(1 << place for place in subset) for subset in reading.shown_of(subject)))
    for subset, drawn in drawing.from_subsets(subsets, reading.options):
        usable = torch.from_numpy(drawn[:, truth.slices])
        shown = sum(1 << cache.modalities.index(every[place]) for place in positions(subset))
        region = truth.foreground[:, list(positions(shown))].any(1)
        usable = torch.where(region, usable, -1.0)
        name = subset_name(subset, every)
        truly = [(truth.planes[:, place], truth.foreground[:, place]) for place in positions(shown)]
        displayed = truth.lesion.displayed(*map(list, zip(*truly, strict=True)))
        example.predictions[name] = dict(zip(names, usable[:, truth.shown_most].clone().numpy(), strict=True))
        for target, place, image in zip(names, places, usable, strict=True):
            kind: Literal["hidden", "shown"] = "shown" if shown >> place & 1 else "hidden"
            counts = region & truth.foreground[:, place]
            predictions = {MODEL: image, **truth.references.predictions(shown, place)}
            truth_maps: dict[int, list[Tensor]] = {}
            for method, prediction in predictions.items():
                about = (cache.subjects[subject], name, target, kind, method)
                tally = _tally(prediction, truth.planes[:, place], counts, truth_maps)
                if tally.voxels:
                    scores.append(Score(*about, **tally.values()))  # type: ignore[arg-type]
                lesion = truth.lesion.score(about, prediction, truth.planes[:, place], counts, displayed)
                lesions += [] if lesion is None else [lesion]
    return Scored(scores, lesions, example, dict(zip(names, drawing.factors(), strict=True)))


def _tally(prediction: Tensor, truth: Tensor, region: Tensor, truth_maps: dict[int, list[Tensor]]) -> Tally:
    """Return the tally of a predicted volume where it counts, all (slice, row, column); `truth_maps` as in `Tally`."""
    tally, size = Tally(truth_maps), slices_at_once(math.prod(truth.shape[1:]))
    for start in range(0, len(truth), size):
        chunk = slice(start, start + size)
        tally.add(prediction[chunk], truth[chunk], region[chunk])
    return tally
