"""Evaluation protocol `dorent2024`: the scores of the paper's published code, for comparison with its tables (deviations E1 to E6).

Images are 8-bit integers. Whole slices with their background are scored if the target is not blank, with the data range of each true
slice, row-wise SSIM, and one draw at temperature 0.7; shown targets are scored too. An image is background where the first shown one is
(deviation A5), and a blank image counts as shown (deviation A6). LPIPS, the authors' fourth score, is left out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from anymod.cohorts import Cohort
from anymod.core.fidelity import psnr, row_ssim
from anymod.core.foregrounds import masked
from anymod.core.noise import USUAL_TEMPERATURE
from anymod.core.subsets import as_mask, as_row, positions
from anymod.evaluation.protocol import EvaluationOptions, Origin, measured, nothing_to_measure
from anymod.evaluation.scores import Reading
from anymod.files import write_json, write_text
from anymod.models import first_foreground
from anymod.reports.intervals import INTERVALS, Mean, bootstrap_mean, subject_means
from anymod.reports.tables import format_mean, json_rows, markdown_table, write_rows
from anymod.synthesis import SynthesisOptions, draw_images, slices_at_once

METRICS = {"psnr_db": ("PSNR [dB]", ".1f"), "row_ssim": ("SSIM by rows", ".3f"), "l1": ("L1 of 255", ".2f")}
"""Title and number format of each column."""


@dataclass(frozen=True)
class SliceScore:
    """Scores of one image of one slice: one row of `scores.csv`. `shown` holds names joined by `+`, in the user's order."""

    subject: str
    slice: int
    shown: str
    target: str
    kind: Literal["hidden", "shown"]
    psnr_db: float
    row_ssim: float
    l1: float


@dataclass(frozen=True)
class SliceLine:
    """One line of the table: mean and standard deviation over slices, as in the paper, and the mean over subjects with its interval."""

    shown: str
    target: str
    kind: str
    slices: int
    over_slices: dict[str, tuple[float, float]]
    over_subjects: dict[str, Mean]


@dataclass(frozen=True)
class Dorent2024Evaluation:
    """The scores of a model on a split by the protocol `dorent2024`."""

    scores: list[SliceScore]
    origin: Origin


def evaluate_dorent2024(
    model: str | Path, cohort: Cohort, options: EvaluationOptions, cache_folder: Path | None = None
) -> Dorent2024Evaluation:
    """Return the scores of every slice. The first image that `options.show` names in a subset decides the background."""
    draws = SynthesisOptions(
        temperature=USUAL_TEMPERATURE, seed=options.seed, noise="slice", strict=options.draws.strict
    )
    options = replace(options, draws=draws)
    found = measured(model, cohort, options, score_slices, cache_folder, references=False)
    scores = [score for each in found.results for score in each]
    if not scores:
        raise nothing_to_measure(cohort)
    return Dorent2024Evaluation(scores, found.origin)


@torch.inference_mode()
def score_slices(reading: Reading, subject: int) -> list[SliceScore]:
    """Return the scores of every slice, subset and observed target of one subject (an index)."""
    cache, names, model = reading.cache, reading.cache.modalities, reading.synthesizer.model
    device = reading.synthesizer.device
    targets = positions(as_mask(cache.records[subject].observed))
    scores = []
    size = slices_at_once(math.prod(reading.synthesizer.description.image_size))
    every = np.arange(cache.slice_count(subject))
    for chunk in (every[start : start + size] for start in range(0, len(every), size)):
        batch = cache.read(np.full(len(chunk), subject), chunk, model.spec.context_slices)
        on_device, truths = batch.to(device), as_bytes(batch.targets)
        encoding = model.encode(on_device.images, on_device.observed)
        middle = batch.images[:, :, model.spec.context_slices]
        for order in reading.shown_of(subject):
            row = torch.tensor(as_row(sum(1 << place for place in order), len(names)), device=device)
            drawn, _ = draw_images(encoding, row.expand(len(chunk), -1), targets, reading.options, chunk.tolist())
            inside = first_foreground(middle, order)
            images = as_bytes(masked(drawn.cpu(), inside))
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
    """Return images in [-1, 1] as integers from 0 to 255, rounded down (float64)."""
    return (255 * (images.double().clamp(-1, 1) + 1) / 2).trunc()


def slice_scores(image: Tensor, truth: Tensor) -> tuple[float, float, float]:
    """Return (PSNR [dB], SSIM by rows, mean absolute error) of two (h, w) images from 0 to 255; the data range is that of the true slice.

    PSNR and SSIM are NaN where the true slice is constant.
    """
    data_range, error = float(truth.max() - truth.min()), image - truth
    similarity = row_ssim(image, truth, data_range) if data_range else math.nan
    return psnr(float(error.square().mean()), data_range), similarity, float(error.abs().mean())


def summarize_slices(scores: Sequence[SliceScore], seed: int) -> list[SliceLine]:
    """Return one line for each shown subset and target, in the order of the scores."""
    cells: dict[tuple[str, str, str], list[SliceScore]] = defaultdict(list)
    for score in scores:
        cells[score.shown, score.target, score.kind].append(score)
    lines = []
    for cell, group in cells.items():
        over_slices, over_subjects = {}, {}
        for metric in METRICS:
            values = [(score.subject, getattr(score, metric)) for score in group]
            slices = [value for _, value in values]
            over_slices[metric] = (float(np.nanmean(slices)), float(np.nanstd(slices)))
            over_subjects[metric] = bootstrap_mean(subject_means(values), seed)
        lines.append(SliceLine(*cell, len(group), over_slices, over_subjects))
    return lines


def write_dorent2024_report(evaluation: Dorent2024Evaluation, folder: Path) -> dict[str, Any]:
    """Write `scores.csv` (a row per slice) and `summary.{csv,md,json}` into a folder; return the content of the JSON."""
    rows = [_as_row(line) for line in summarize_slices(evaluation.scores, evaluation.origin.options.seed)]
    write_rows(folder / "scores.csv", [asdict(score) for score in evaluation.scores])
    write_rows(folder / "summary.csv", rows)
    facts = {**evaluation.origin.facts(evaluation.scores), "targets": evaluation.origin.description.targets}
    content = {"protocol": "dorent2024", **facts, "summary": json_rows(rows)}
    write_json(folder / "summary.json", content)
    write_text(folder / "summary.md", dorent2024_text(evaluation))
    return {"format": 1, **content}


def dorent2024_text(evaluation: Dorent2024Evaluation) -> str:
    """Return the report's page in Markdown."""
    titles = [title for title, _ in METRICS.values()]
    header = ["shown", "target", "kind", *titles, "slices", *(f"{title}, subjects" for title in titles)]
    rows = []
    for line in summarize_slices(evaluation.scores, evaluation.origin.options.seed):
        cells = ["{:{s}} ({:{s}})".format(*line.over_slices[metric], s=spec) for metric, (_, spec) in METRICS.items()]
        means = [format_mean(line.over_subjects[metric], spec) for metric, (_, spec) in METRICS.items()]
        rows.append([line.shown, line.target, line.kind, *cells, str(line.slices), *means])
    return "\n".join(
        [
            "# Evaluation, protocol dorent2024",
            "",
            evaluation.origin.text(evaluation.scores),
            "",
            "Comparable with the tables of the paper only. Intensities from 0 to 255; whole slices with their background, if the target is"
            " not blank; the data range of each true slice; SSIM of each row as a separate signal. One draw at temperature 0.7, set to"
            " background where the first shown image is. Mean (standard deviation) over slices, as in the paper, then means over subjects"
            f" with 95 % intervals ({INTERVALS}).",
            "",
            markdown_table(header, rows, labels=3),
            "",
        ]
    )


def _as_row(line: SliceLine) -> dict[str, Any]:
    row: dict[str, Any] = {"shown": line.shown, "target": line.target, "kind": line.kind, "slices": line.slices}
    for metric in METRICS:
        mean, deviation = line.over_slices[metric]
        subjects = line.over_subjects[metric]
        row |= {metric: mean, f"{metric}_deviation": deviation, f"{metric}_of_subjects": subjects.value}
        row |= {f"{metric}_low": subjects.low, f"{metric}_high": subjects.high}
    return row
