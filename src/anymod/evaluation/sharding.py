"""Evaluation in shares: each scores some of the subjects, and the merge makes the report of all."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from anymod.cohorts import Cohort
from anymod.errors import ConfigurationError, OutputError
from anymod.evaluation.lesions import LesionScore
from anymod.evaluation.options import EvaluationOptions
from anymod.evaluation.protocol import Evaluation, Origin
from anymod.evaluation.scores import Score
from anymod.evaluation.summary import METRICS
from anymod.models import load_model
from anymod.reports.tables import json_rows
from anymod.shards import Part, Shard, finish
from anymod.synthesis.cohort import model_digest

ELSEWHERE = ("scores", "examples", "origin", "lesions")
"""Fields of an evaluation that are kept in another form, or not at all: pictures need the images."""


def share_of(cohort: Cohort, options: EvaluationOptions, shard: Shard) -> Cohort:
    """Return the cohort with a share of the subjects to measure; the references are fitted on the same subjects in all shards."""
    if options.split == options.training_split:
        why = "the references would be fitted on a share of the subjects"
        raise ConfigurationError("unusable split", "--shard", why, "choose another --training-split")
    measured = cohort.of_split(options.split)
    others = {each.name for each in measured} - {each.name for each in shard.share(measured)}
    return replace(cohort, subjects=tuple(each for each in cohort.subjects if each.name not in others))


def finish_evaluation(folder: Path, evaluation: Evaluation, request: dict[str, Any], subjects: Sequence[str]) -> None:
    """Write the exact scores of a shard, and what else its report is made of, into its folder."""
    rest = {each.name: getattr(evaluation, each.name) for each in fields(Evaluation) if each.name not in ELSEWHERE}
    scores = json_rows([asdict(score) for score in evaluation.scores])
    lesions = json_rows([asdict(lesion) for lesion in evaluation.lesions])
    backend = evaluation.origin.options.backend
    finish(folder, request, subjects, {"scores": scores, "lesions": lesions, "rest": rest, "backend": backend})


def request_of(model: str | Path, cohort: Cohort, options: EvaluationOptions, count: int) -> dict[str, Any]:
    """Return what all shards must have in common."""
    left_out = {"device", "backend", "workers", "scheduler", "threads", "figures", "draws"}
    chosen = {each.name: getattr(options, each.name) for each in fields(options) if each.name not in left_out}
    subjects = [[each.name, each.split, each.kind, each.files] for each in cohort.subjects]
    draws = options.draws.draws()
    common = {"cohort": subjects, "options": chosen, "draws": draws, "shards": count, "scores": list(METRICS)}
    return {"model": model_digest(Path(model)), **common}


def merged_evaluation(
    model: str | Path, cohort: Cohort, options: EvaluationOptions, parts: Sequence[Part]
) -> Evaluation:
    """Return the evaluation of all shards, without examples.

    Raises OutputError if their engines or references differ.
    """
    backends = {part.content["backend"] for part in parts}
    if len(backends) > 1:
        why = f"engines differ ({', '.join(sorted(backends))})"
        raise OutputError("cannot merge", parts[0].folder, why, "give the same --backend to all shards")
    rows = [row for part in parts for row in part.content["scores"]]
    place = {subject.name: number for number, subject in enumerate(cohort.subjects)}
    rows.sort(key=lambda row: place[row["subject"]])
    scores = [Score(**_with_nan(row)) for row in rows]
    origin = Origin(load_model(model)[1], cohort.name, replace(options, backend=backends.pop()))
    rest = parts[0].content["rest"]
    for part in parts[1:]:
        rest = {name: _joined(value, part.content["rest"][name], part.folder) for name, value in rest.items()}
    found = sorted((row for part in parts for row in part.content["lesions"]), key=lambda row: place[row["subject"]])
    lesions = [LesionScore(**_with_nan(row)) for row in found]
    return Evaluation(scores=scores, examples=[], origin=origin, lesions=lesions, **rest)


def _with_nan(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of scores with NaN, which JSON cannot hold, instead of None."""
    return {key: math.nan if value is None else value for key, value in row.items()}


def gather_figures(parts: Sequence[Part], folder: Path, most: int) -> None:
    """Copy the pictures of the first subjects; those of the best and the worst case are not drawn, because they need the images."""
    pictures = [picture for part in parts for picture in sorted((part.folder / "figures").glob("*.png"))]
    for picture in pictures[:most]:
        (folder / "figures").mkdir(exist_ok=True)
        shutil.copy2(picture, folder / "figures" / picture.name)


def _joined(first: Any, second: Any, where: Path) -> Any:
    """Return the entries of both mappings; raise OutputError if they contradict each other."""
    both = isinstance(first, dict) and isinstance(second, dict)
    if first == second or (both and all(first[key] == second[key] for key in first.keys() & second.keys())):
        return {**first, **second} if both else first
    raise OutputError("cannot merge", where, "its references differ from those of the first shard", "run it again")
