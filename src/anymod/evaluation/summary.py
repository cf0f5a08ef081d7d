"""From scores of subjects to means with intervals; hidden and shown targets are never averaged together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anymod.evaluation.scores import METHODS, MODEL, Score
from anymod.reports.intervals import Mean, bootstrap_mean

METRICS = ("psnr_db", "ssim", "ms_ssim", "mae", "structure_psnr_db", "spectrum_error", "through_plane")
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
    """Return the lines of every (shown, target), then of every target over all subsets, then over everything.

    Subsets come by size, targets in the model's order (`modalities`), the model before its references.

    In the lines over several cells a subject's cells are averaged first, so that each subject counts once; only cells that every method
    has take part, so that methods are compared on the same.
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
    """Return the rows whose (subject, shown, target) has a row of every method that occurs at all."""
    present = {score.method for score in scores}
    methods = defaultdict(set)
    for score in scores:
        methods[score.subject, score.shown, score.target].add(score.method)
    return [score for score in scores if methods[score.subject, score.shown, score.target] == present]


def differences(scores: Sequence[Score], kind: str, metric: str, seed: int) -> dict[str, Mean]:
    """Return, for each reference, the mean over subjects of the model's value less the reference's, on the same cells."""
    chosen = [score for score in comparable(scores) if score.kind == kind]
    per_method = {
        method: _per_subject([score for score in chosen if score.method == method], metric) for method in METHODS
    }
    return {
        method: bootstrap_mean(np.subtract(per_method[MODEL], values), seed)
        for method, values in per_method.items()
        if method != MODEL and values
    }


def _lines(scores: Sequence[Score], seed: int, *, by_shown: bool, by_target: bool) -> list[SummaryLine]:
    groups: dict[tuple[str, str, str, str], list[Score]] = defaultdict(list)
    for score in scores:
        key = (score.shown if by_shown else ALL, score.target if by_target else ALL, score.kind, score.method)
        groups[key].append(score)
    return [
        SummaryLine(*key, {metric: bootstrap_mean(np.array(_per_subject(group, metric)), seed) for metric in METRICS})
        for key, group in groups.items()
    ]


def _per_subject(scores: Sequence[Score], metric: str) -> list[float]:
    """Return one value for each subject, the mean over its rows, in order of the subjects' names."""
    values = defaultdict(list)
    for score in scores:
        values[score.subject].append(getattr(score, metric))
    return [_mean_of_known(values[subject]) for subject in sorted(values)]


def _mean_of_known(values: Sequence[float]) -> float:
    """Return the mean of what is not NaN (a volume of one slice has no change through the plane); NaN where nothing is."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
