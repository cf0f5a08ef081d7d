"""Scores of lesions: what the voxels of a subject's label map look like in a predicted image, compared with those around them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import max_pool3d

from anymod.reports.intervals import Mean, bootstrap_mean, subject_means
from anymod.reports.tables import format_mean, markdown_table

RING_MM = 6.0  # how far around a lesion its surroundings go
FEWEST_VOXELS = 10  # of a lesion and of its surroundings, for a score
VISIBLE = 1.0  # contrast-to-noise ratio, of either sign, above which an image displays a lesion
BRIGHT = 2.0  # standard deviations of the surroundings above their mean: a fixed threshold, such as for enhancement


@dataclass(frozen=True)
class LesionScore:
    """One predicted volume inside and around a subject's label map: one row of `lesions.csv`. Intensities lie in [-1, 1].

    `rmse` is the root mean squared error inside. `contrast` is the mean inside minus that of the surroundings, `noise` the standard
    deviation of the surroundings, both of the prediction; `true_` stands for those of the truth. `displayed` is the largest absolute
    contrast-to-noise ratio of the lesion in the shown images. `bright_dice` is the Dice coefficient of the voxels, inside and around,
    that are brighter than the mean of the true surroundings by two standard deviations; NaN where the truth has none.
    """

    subject: str
    shown: str
    target: str
    kind: str
    method: str
    voxels: int
    rmse: float
    contrast: float
    true_contrast: float
    noise: float
    true_noise: float
    displayed: float
    bright_dice: float

    @property
    def ratio(self) -> float:
        """Contrast-to-noise ratio of the prediction over that of the truth: 1 is faithful, 0 erased, below 0 of the wrong sign."""
        return (self.contrast / self.noise) / (self.true_contrast / self.true_noise) if self.noise else 0.0

    @property
    def can_be_seen(self) -> bool:
        """Whether both the truth and a shown image display the lesion."""
        return self.displayed >= VISIBLE and abs(self.true_contrast) >= VISIBLE * self.true_noise


@dataclass(frozen=True)
class Lesion:
    """A subject's label map and its surroundings, both (slice, row, column)."""

    label: Tensor
    ring: Tensor

    @classmethod
    def of(cls, label: Tensor, spacing_mm: float) -> Lesion:
        """Return the lesion of a label map of all slices (bool) in cubic voxels."""
        reach = max(1, round(RING_MM / spacing_mm))
        near = max_pool3d(label[None, None].float(), 2 * reach + 1, stride=1, padding=reach)[0, 0] > 0
        return cls(label, near & ~label)

    def at(self, slices: Sequence[int]) -> Lesion:
        """Return the part in some slices."""
        return Lesion(self.label[list(slices)], self.ring[list(slices)])

    def contrast(self, image: Tensor, region: Tensor) -> tuple[float, float] | None:
        """Return contrast and noise of an image within a region, None if too few voxels of the lesion or around it lie there."""
        inside, around = image[self.label & region].double(), image[self.ring & region].double()
        if min(len(inside), len(around)) < FEWEST_VOXELS:
            return None
        return float(inside.mean() - around.mean()), float(around.std())

    def displayed(self, images: Sequence[Tensor], foregrounds: Sequence[Tensor]) -> float:
        """Return the largest absolute contrast-to-noise ratio of the lesion in some images; 0 if it is in none."""
        found = [self.contrast(*pair) for pair in zip(images, foregrounds, strict=True)]
        return max((abs(each[0]) / each[1] for each in found if each and each[1]), default=0.0)

    def score(
        self, about: tuple[str, str, str, str, str], image: Tensor, truth: Tensor, region: Tensor, displayed: float
    ) -> LesionScore | None:
        """Return the score of an image (slice, row, column), None where the region holds too little of the lesion."""
        made, true = self.contrast(image, region), self.contrast(truth, region)
        if made is None or true is None:
            return None
        inside = self.label & region
        error = (image[inside] - truth[inside]).double().square().mean().sqrt()
        place = (self.label | self.ring) & region
        threshold = truth[self.ring & region].double().mean() + BRIGHT * true[1]
        bright, truly = image[place] > threshold, truth[place] > threshold
        dice = 2 * int((bright & truly).sum()) / int(bright.sum() + truly.sum()) if truly.any() else math.nan
        return LesionScore(*about, int(inside.sum()), float(error), made[0], true[0], made[1], true[1], displayed, dice)


def lesion_table(scores: Sequence[LesionScore], methods: Sequence[str], seed: int) -> str:
    """Return the means over subjects with labels, for hidden targets, as a Markdown table: one row for each target and method."""
    groups: dict[tuple[str, str], list[LesionScore]] = defaultdict(list)
    for score in scores:
        if score.kind == "hidden":
            groups[score.target, score.method].append(score)
            groups["all", score.method].append(score)
    rows = []
    for target, method in sorted(groups, key=lambda key: (key[0] != "all", key[0], methods.index(key[1]))):
        group = groups[target, method]
        seen = [each for each in group if each.can_be_seen]
        columns = (
            (_mean([(each.subject, each.rmse) for each in group], seed), ".3f"),
            (_mean([(each.subject, float(each.ratio > 0)) for each in seen], seed), ".2f"),
            (_mean([(each.subject, each.ratio) for each in seen], seed), ".2f"),
            (_mean([(each.subject, each.bright_dice) for each in group], seed), ".2f"),
        )
        rows.append([target, method, *(format_mean(mean, spec) for mean, spec in columns), str(columns[0][0].count)])
    header = [
        "target",
        "method",
        "error inside",
        "sign right",
        "contrast-to-noise, of the true one",
        "Dice of bright voxels",
    ]
    return markdown_table([*header, "subjects"], rows, 2)


def _mean(values: Sequence[tuple[str, float]], seed: int) -> Mean:
    return bootstrap_mean(subject_means(values), seed)
