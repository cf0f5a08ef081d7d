"""Cross-validation: each fold is measured with a model of the others, and models are compared with references on all folds together."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from anymod.cohorts import Cohort
from anymod.errors import CohortError, ConfigurationError, OutputError
from anymod.evaluation.calibration import read_report
from anymod.evaluation.options import EvaluationOptions
from anymod.evaluation.protocol import evaluate
from anymod.evaluation.report import write_report
from anymod.evaluation.scores import METHODS, MODEL, Score
from anymod.evaluation.summary import ALL, METRICS
from anymod.files import write_text
from anymod.folders import staged_folder
from anymod.models import find_model, load_model
from anymod.reports.intervals import INTERVALS, Mean, bootstrap_mean, subject_means
from anymod.reports.tables import format_mean, markdown_table, write_rows
from anymod.training import Recipe, train

DIFFERENCES = "differences.csv"
SHOWN_METRICS = ("psnr_db", "ssim", "lpips")
Cell = tuple[str, str, str, str]
"""Shown subset (or `all`), target (or `all`), kind and reference."""

logger = logging.getLogger(__name__)


def cross_validate(
    recipe: Recipe,
    cohort: Cohort,
    out: Path,
    options: EvaluationOptions,
    *,
    folds: Sequence[int] = (),
) -> dict[Cell, dict[str, Mean]]:
    """Train and measure each fold that is not measured yet, then write and return the differences between model and references.

    In `training.start_from`, `{fold}` stands for the fold's number, so that each fold can go on from a model that has not seen it either.
    `out` gets `fold-K/run` (as of `train`) and `fold-K/report` (as of `evaluate`) for each fold, `summary.md` and
    `differences.csv`, both over all folds that are measured. The same call goes on where one was stopped. `folds` names some only.

    Raises CohortError if the cohort has no such folds, OutputError if a report in `out` was made with another model or other options, or
    measures a model on subjects that it has seen.
    """
    there = sorted({int(subject.split) for subject in cohort.subjects if subject.split.isdigit()})
    for fold in folds:
        cohort.held_out(fold)  # raises where there is none
    chosen = sorted(set(folds)) or there
    if not chosen:
        remedy = "draw folds with `anymod prepare --folds`, or write fold numbers as splits"
        raise CohortError("no folds", cohort.root / "subjects.csv", "no split is a number", remedy)
    if options.draws.realistic and recipe.model.settings.realistic is None:
        why = "the recipe trains none"
        raise ConfigurationError(
            "no realistic images", "--realistic", why, "leave it out, or set model.settings.realistic"
        )
    for fold in chosen:
        if (start := _of_fold(recipe, fold).training.start_from) is not None:
            find_model(start)  # raises before any fold is trained
    for fold in chosen:
        logger.info("fold %d of %s", fold, ", ".join(map(str, there)))
        place, held = out / f"fold-{fold}", cohort.held_out(fold)
        train(_of_fold(recipe, fold), held, place / "run", resume=True, device=options.device)
        _measure(place / "run/model", held, options, place / "report")
    reports = [out / f"fold-{fold}" / "report" for fold in there]
    scores = [score for report in reports if report.exists() for score in _read_scores(report)]
    found = differences(scores, options.seed)
    write_rows(out / DIFFERENCES, [_as_row(cell, means) for cell, means in _ordered(found, cohort.modality_names)])
    write_text(out / "summary.md", summary_text(found, cohort, len({score.subject for score in scores})))
    return found


def _of_fold(recipe: Recipe, fold: int) -> Recipe:
    """Return the recipe with the fold's number in the place of `{fold}` in the path of the initial weights."""
    start = recipe.training.start_from
    if start is None:
        return recipe
    training = recipe.training.model_copy(update={"start_from": start.replace("{fold}", str(fold))})
    return recipe.model_copy(update={"training": training})


def _measure(model: Path, cohort: Cohort, options: EvaluationOptions, report: Path) -> None:
    """Write the report of one fold, unless it is there."""
    _, description = load_model(model)
    if report.exists():
        facts, _ = read_report(report)
        if (facts["model_fingerprint"], facts["draws"]) != (description.fingerprint(), options.draws.draws()):
            why = "it measures another model, or was made with other options"
            raise OutputError("cannot go on", report, why, "remove it, or choose another --out")
        return
    with staged_folder(report, overwrite=False) as folder:
        write_report(evaluate(model, cohort, options), folder, figures=options.figures)


def _read_scores(report: Path) -> list[Score]:
    facts, rows = read_report(report)
    if facts["training_subjects"]:
        why = f"its model, or the one that it started from, was trained on {facts['training_subjects'][0]}"
        remedy = "start each fold from its own model: training.start_from=before/fold-{fold}/run/model"
        raise OutputError("not held out", report, why, remedy)
    kinds = {each.name: {"float": float, "int": int}.get(str(each.type), str) for each in fields(Score)}
    return [Score(**{name: kind(row.get(name) or "nan") for name, kind in kinds.items()}) for row in rows]


def differences(scores: Iterable[Score], seed: int) -> dict[Cell, dict[str, Mean]]:
    """Return for each metric the model's value minus each reference's on the same cells: means over subjects."""
    cells: dict[tuple[str, str, str, str], dict[str, Score]] = defaultdict(dict)
    for score in scores:
        cells[score.subject, score.shown, score.target, score.kind][score.method] = score
    gathered: dict[Cell, dict[str, list[tuple[str, float]]]] = defaultdict(lambda: defaultdict(list))
    for (subject, shown, target, kind), methods in cells.items():
        for method in methods.keys() - {MODEL} if MODEL in methods else ():
            for metric in METRICS:
                value = getattr(methods[MODEL], metric) - getattr(methods[method], metric)
                for cell in ((shown, target), (ALL, target), (ALL, ALL)):
                    gathered[*cell, kind, method][metric].append((subject, value))
    return {
        cell: {metric: bootstrap_mean(subject_means(values), seed) for metric, values in metrics.items()}
        for cell, metrics in gathered.items()
    }


def _ordered(found: dict[Cell, dict[str, Mean]], modalities: Sequence[str]) -> list[tuple[Cell, dict[str, Mean]]]:
    """Return the cells by size of the subset, target, kind and reference; those over all subsets and targets come first."""
    places = {name: place for place, name in enumerate(modalities)}

    def order(entry: tuple[Cell, Any]) -> tuple[object, ...]:
        shown, target, kind, method = entry[0]
        names = [] if shown == ALL else [places[name] for name in shown.split("+")]
        return kind, len(names), names, places.get(target, -1), METHODS.index(method)

    return sorted(found.items(), key=order)


def summary_text(found: dict[Cell, dict[str, Mean]], cohort: Cohort, subjects: int) -> str:
    """Return the differences for hidden targets as Markdown tables."""
    titles = [METRICS[metric][0] for metric in SHOWN_METRICS]
    parts = [
        f"# Cross-validation on cohort `{cohort.name}`",
        "",
        f"The model's score minus that of each reference, on {subjects} subjects that it was not trained on: means with 95 % intervals"
        f" ({INTERVALS}). Hidden targets. A lower LPIPS is better.",
    ]
    for heading, overall in (("Over all shown subsets", True), ("By shown subset", False)):
        rows = []
        for (shown, target, kind, method), means in _ordered(found, cohort.modality_names):
            if kind == "hidden" and (shown == ALL) == overall:
                values = [format_mean(means[metric], "+" + METRICS[metric][1]) for metric in SHOWN_METRICS]
                rows.append([shown, target, method, *values, str(means["psnr_db"].count)])
        if rows:
            parts += [
                "",
                f"## {heading}",
                "",
                markdown_table(["shown", "target", "reference", *titles, "subjects"], rows, 3),
            ]
    return "\n".join(parts) + "\n"


def _as_row(cell: Cell, means: dict[str, Mean]) -> dict[str, Any]:
    row: dict[str, Any] = dict(zip(("shown", "target", "kind", "reference"), cell, strict=True))
    row["subjects"] = means["psnr_db"].count
    for metric, mean in means.items():
        row.update({metric: mean.value, f"{metric}_low": mean.low, f"{metric}_high": mean.high})
    return row
