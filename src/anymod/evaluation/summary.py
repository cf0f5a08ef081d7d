"""Means of scores over subjects with intervals; hidden and shown targets are never averaged together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anymod.evaluation.scores import METHODS, MODEL, Score
from anymod.reports.intervals import Mean, bootstrap_mean, subject_means

METRICS = {
    "psnr_db": ("PSNR [dB]", ".2f"),
    "ssim": ("SSIM", ".3f"),
    "ms_ssim": ("MS-SSIM", ".3f"),
    "mae": ("MAE", ".4f"),
    "lpips": ("LPIPS", ".3f"),
    "haarpsi": ("HaarPSI", ".3f"),
    "gmsd": ("GMSD", ".3f"),
    "structure_psnr_db": ("structure [dB]", ".2f"),
    "spectrum_error": ("spectrum error", ".2f"),
    "through_plane": ("through plane", ".2f"),
}
"""Title and number format of each column."""
ALL = "all"


@dataclass(frozen=True)
class SummaryLine:
    """Means over subjects for one shown subset (or `all`), target (or `all`), kind and method."""

    shown: str
    target: str
    kind: str
    method: str
    means: dict[str, Mean]


def summarize(scores: Sequence[Score], seed: int, modalities: Sequence[str]) -> list[SummaryLine]:
    """Return a line for every (shown, target), then for every target over all subsets, then over all subsets and targets.

    Subsets are ordered by size, targets as in the model (`modalities`), and the model comes before its references.

    In a line over several cells, the cells of a subject are averaged first, so that each subject counts once. Only cells that every
    method has take part, so that methods are compared on the same cells.
    """
    common = comparable(scores)
    lines = [
        *_lines(scores, seed, by_shown=True, by_target=True),
        *_lines(common, seed, by_shown=False, by_target=True),
        *_lines(common, seed, by_shown=False, by_target=False),
    ]
    places = {name: place for place, name in enumerate(modalities)}

    def order(line: SummaryLine) -> tuple[object, ...]:
        overall = (line.shown == ALL, line.target == ALL)
        names = [] if line.shown == ALL else line.shown.split("+")
        shown = (len(names), [places[name] for name in names])
        return *overall, *shown, places.get(line.target, 0), METHODS.index(line.method)

    return sorted(lines, key=order)


def comparable(scores: Sequence[Score]) -> list[Score]:
    """Return the rows whose (subject, shown, target) has a row of every method that occurs in the scores."""
    present = {score.method for score in scores}
    methods = defaultdict(set)
    for score in scores:
        methods[score.subject, score.shown, score.target].add(score.method)
    return [score for score in scores if methods[score.subject, score.shown, score.target] == present]


def differences(scores: Sequence[Score], kind: str, metric: str, seed: int) -> dict[str, Mean]:
    """Return for each reference the mean over subjects of the model's value minus the reference's, on the same cells."""
    chosen = [score for score in comparable(scores) if score.kind == kind]
    values = {method: _per_subject([score for score in chosen if score.method == method], metric) for method in METHODS}
    return {
        method: bootstrap_mean(np.subtract(values[MODEL], each).tolist(), seed)
        for method, each in values.items()
        if method != MODEL and each
    }


def _lines(scores: Sequence[Score], seed: int, *, by_shown: bool, by_target: bool) -> list[SummaryLine]:
    groups: dict[tuple[str, str, str, str], list[Score]] = defaultdict(list)
    for score in scores:
        key = (score.shown if by_shown else ALL, score.target if by_target else ALL, score.kind, score.method)
        groups[key].append(score)
    return [
        SummaryLine(*key, {metric: bootstrap_mean(_per_subject(group, metric), seed) for metric in METRICS})
        for key, group in groups.items()
    ]


def _per_subject(scores: Sequence[Score], metric: str) -> list[float]:
    return subject_means((score.subject, getattr(score, metric)) for score in scores)
