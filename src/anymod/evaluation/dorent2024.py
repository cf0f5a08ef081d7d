"""The protocol `dorent2024`: a model scored as the paper's authors score theirs, to be set beside their tables (deviations E1 to E6).

Images as 8-bit numbers, whole slices with their background, slices on which the target is not blank; the range of each target slice; SSIM
row by row; one draw at temperature 0.7; what is shown is scored, too. An image is background where the first shown one is (deviation A5),
and a blank one counts as shown (deviation A6). LPIPS, the fourth of their scores, needs weights from elsewhere and is not here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from anymod.cohorts import Cohort
from anymod.core.fidelity import row_ssim
from anymod.core.noise import USUAL_TEMPERATURE
from anymod.core.subsets import as_mask, as_row, non_empty_subsets
from anymod.evaluation.protocol import EvaluationOptions, measured, nothing_to_measure
from anymod.evaluation.scores import Reading
from anymod.files import write_json, write_text
from anymod.models import ModelDescription, first_foreground
from anymod.reports.intervals import Mean, bootstrap_mean
from anymod.reports.tables import aligned, format_mean, plain, write_rows
from anymod.synthesis import SynthesisOptions, draw_images, slices_at_once

METRICS = {"psnr_db": ("PSNR [dB]", 1), "row_ssim": ("SSIM by rows", 3), "l1": ("L1 of 255", 2)}


@dataclass(frozen=True)
class SliceScore:
    """One image of one slice: one row of `scores.csv`. `shown` holds names joined by `+`, in the order in which they were given."""

    subject: str
    slice: int
    shown: str
    target: str
    kind: Literal["hidden", "shown"]
    psnr_db: float
    row_ssim: float
    l1: float


@dataclass(frozen=True)
class AuthorsLine:
    """One cell of the table: mean and deviation over slices, as the authors print them, and over subjects with an interval."""

    shown: str
    target: str
    kind: str
    slices: int
    over_slices: dict[str, tuple[float, float]]
    over_subjects: dict[str, Mean]


@dataclass(frozen=True)
class AuthorsEvaluation:
    """The scores of a model on a split by the protocol `dorent2024`."""

    scores: list[SliceScore]
    description: ModelDescription
    cohort: str
    options: EvaluationOptions


def evaluate_as_authors(
    model: str | Path, cohort: Cohort, options: EvaluationOptions, cache_folder: Path | None = None
) -> AuthorsEvaluation:
    """Return the scores of every slice. `options.show` may name a subset in any order: the first image named decides the background."""
    draws = SynthesisOptions(temperature=USUAL_TEMPERATURE, seed=options.seed, noise="slice")
    options = replace(options, draws=draws)
    description, backend, results, _ = measured(model, cohort, options, score_slices, cache_folder, references=False)
    scores = [score for each in results for score in each]
    if not scores:
        raise nothing_to_measure(cohort)
    return AuthorsEvaluation(scores, description, cohort.name, replace(options, backend=backend))


@torch.inference_mode()
def score_slices(reading: Reading, subject: int) -> list[SliceScore]:
    """Return the scores of every slice, subset and observed target of one subject (an index)."""
    cache, names = reading.cache, reading.cache.modalities
    observed = cache.records[subject].observed
    targets = tuple(place for place in range(len(names)) if observed[place])
    given = reading.given or tuple(
        tuple(place for place in range(len(names)) if subset >> place & 1)
        for subset in non_empty_subsets(as_mask(observed))
    )
    scores = []
    size = slices_at_once(math.prod(cache.settings.image_size))
    every = np.arange(cache.slice_count(subject))
    for chunk in (every[start : start + size] for start in range(0, len(every), size)):
        batch = cache.read(np.full(len(chunk), subject), chunk, reading.model.spec.context_slices)
        on_device, truths = batch.to(reading.device), as_bytes(batch.targets)
        encoding = reading.model.encode(on_device.images, on_device.observed)
        middle = batch.images[:, :, reading.model.spec.context_slices]
        for order in given:
            if not set(order) <= set(targets):
                continue
            row = torch.tensor(as_row(sum(1 << place for place in order), len(names)), device=reading.device)
            drawn, _ = draw_images(encoding, row.expand(len(chunk), -1), targets, reading.options, chunk.tolist())
            inside = first_foreground(middle, order)
            images = as_bytes(torch.where(inside[:, None], drawn.cpu(), -1.0))
            shown = "+".join(names[place] for place in order)
            for number, target in enumerate(targets):
                kind: Literal["hidden", "shown"] = "shown" if target in order else "hidden"
                for place, slice_number in enumerate(chunk.tolist()):
                    truth = truths[place, target]
                    if bool((truth > 0).any()):
                        about = (cache.subjects[subject], slice_number, shown, names[target], kind)
                        scores.append(SliceScore(*about, *slice_scores(images[place, number], truth)))
    return scores


def as_bytes(images: Tensor) -> Tensor:
    """Return images in [-1, 1] as whole numbers from 0 to 255, cut off below (float64)."""
    return (255 * (images.double().clamp(-1, 1) + 1) / 2).trunc()


def slice_scores(image: Tensor, truth: Tensor) -> tuple[float, float, float]:
    """Return (PSNR [dB], SSIM by rows, mean absolute error) of two (h, w) images of 0 to 255; the range is the true slice's own.

    PSNR of equal images is infinite; of a true slice of one value both are NaN.
    """
    data_range = float(truth.max() - truth.min())
    squared, absolute = float((image - truth).square().mean()), float((image - truth).abs().mean())
    if data_range == 0:
        return math.nan, math.nan, absolute
    psnr_db = 10 * math.log10(data_range**2 / squared) if squared else math.inf
    return psnr_db, row_ssim(image, truth, data_range), absolute


def summarize_as_authors(scores: Sequence[SliceScore], seed: int) -> list[AuthorsLine]:
    """Return one line for each shown subset and target, in the order in which they were measured."""
    cells: dict[tuple[str, str, str], list[SliceScore]] = defaultdict(list)
    for score in scores:
        cells[score.shown, score.target, score.kind].append(score)
    lines = []
    for cell, group in cells.items():
        over_slices, over_subjects = {}, {}
        for metric in METRICS:
            by_subject = defaultdict(list)
            for score in group:
                by_subject[score.subject].append(getattr(score, metric))
            values = np.concatenate([np.array(each) for each in by_subject.values()])
            over_slices[metric] = (float(np.nanmean(values)), float(np.nanstd(values)))
            over_subjects[metric] = bootstrap_mean(np.array([np.nanmean(each) for each in by_subject.values()]), seed)
        lines.append(AuthorsLine(*cell, len(group), over_slices, over_subjects))
    return lines


def write_authors_report(evaluation: AuthorsEvaluation, folder: Path) -> dict[str, Any]:
    """Write `scores.csv`, a row for each slice, `summary.csv`, `summary.md` and `summary.json` into a folder; return what the last says."""
    rows = [asdict(score) for score in evaluation.scores]
    write_rows(folder / "scores.csv", rows, [each.name for each in fields(SliceScore)])
    lines = summarize_as_authors(evaluation.scores, evaluation.options.seed)
    summary = [_as_row(line) for line in lines]
    write_rows(folder / "summary.csv", summary, list(summary[0]))
    told = {
        "protocol": "dorent2024",
        "model_sha256": evaluation.description.weights_sha256,
        "model_fingerprint": evaluation.description.fingerprint(),
        "modalities": list(evaluation.description.names),
        "targets": evaluation.description.targets,
        "cohort": evaluation.cohort,
        "split": evaluation.options.split,
        "subjects": len({score.subject for score in evaluation.scores}),
        "seed": evaluation.options.seed,
        "draws": evaluation.options.draws.draws(),
        "backend": evaluation.options.backend,
        "summary": [{key: plain(value) for key, value in row.items()} for row in summary],
    }
    write_json(folder / "summary.json", told)
    write_text(folder / "summary.md", authors_text(evaluation, lines))
    return {"format": 1, **told}


def authors_text(evaluation: AuthorsEvaluation, lines: Sequence[AuthorsLine] | None = None) -> str:
    """Return the report's page in Markdown."""
    lines = summarize_as_authors(evaluation.scores, evaluation.options.seed) if lines is None else lines
    subjects = len({score.subject for score in evaluation.scores})
    header = ["shown", "target", "kind", *(name for name, _ in METRICS.values()), "slices"]
    header += [f"{name}, subjects" for name, _ in METRICS.values()]
    rows = [header, ["---"] * 3 + ["---:"] * (2 * len(METRICS) + 1)]
    for line in lines:
        cells = [
            "{:.{d}f} ({:.{d}f})".format(*line.over_slices[metric], d=digits) for metric, (_, digits) in METRICS.items()
        ]
        means = [format_mean(line.over_subjects[metric], digits) for metric, (_, digits) in METRICS.items()]
        rows.append([line.shown, line.target, line.kind, *cells, str(line.slices), *means])
    return "\n".join(
        [
            "# Evaluation, protocol dorent2024",
            "",
            f"Cohort `{evaluation.cohort}`, split `{evaluation.options.split}`, {subjects} subject(s); model"
            f" `{evaluation.description.weights_sha256[:12]}`.",
            "",
            "To be set beside the paper's tables, and beside nothing else: numbers from 0 to 255, whole slices with their background,"
            " slices on which the target is not blank, the range of each true slice, SSIM of each row as a signal of its own. One draw"
            " at temperature 0.7; background where the first shown image has it. Mean (deviation) over slices, as the paper prints"
            " them; then means over subjects with 95 % bootstrap intervals.",
            "",
            *aligned(rows),
            "",
        ]
    )


def _as_row(line: AuthorsLine) -> dict[str, Any]:
    row: dict[str, Any] = {"shown": line.shown, "target": line.target, "kind": line.kind, "slices": line.slices}
    for metric in METRICS:
        mean, deviation = line.over_slices[metric]
        subjects = line.over_subjects[metric]
        row |= {metric: mean, f"{metric}_deviation": deviation, f"{metric}_of_subjects": subjects.value}
        row |= {f"{metric}_low": subjects.low, f"{metric}_high": subjects.high}
    return row
