"""A report folder: `scores.csv`, `summary.csv`, `summary.md`, `summary.json`, `best-and-worst.png`, `figures/`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from anymod.evaluation.figures import draw_example, draw_extremes
from anymod.evaluation.protocol import Evaluation
from anymod.evaluation.scores import AFFINE, Score
from anymod.evaluation.summary import ALL, METRICS, SummaryLine, differences, summarize
from anymod.files import write_json, write_text
from anymod.reports.intervals import Mean
from anymod.reports.tables import aligned, format_mean, plain, write_rows

NAMES = {
    "psnr_db": "PSNR [dB]",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "mae": "MAE",
    "structure_psnr_db": "structure [dB]",
    "spectrum_error": "spectrum error",
    "through_plane": "through plane",
}
DIGITS = {
    "psnr_db": 2,
    "ssim": 3,
    "ms_ssim": 3,
    "mae": 4,
    "structure_psnr_db": 2,
    "spectrum_error": 2,
    "through_plane": 2,
}
KINDS = {"hidden": "Hidden targets (synthesized from other modalities)", "shown": "Shown targets (reconstructed)"}


def write_report(evaluation: Evaluation, folder: Path, *, figures: int) -> dict[str, Any]:
    """Write the report into a folder that exists; return what `summary.json` says.

    Pictures show the first `figures` subjects, and each target's best and worst case; none with `figures` 0.
    """
    lines = summarize(evaluation.scores, evaluation.seed, evaluation.description.names)
    write_rows(
        folder / "scores.csv", [asdict(score) for score in evaluation.scores], [each.name for each in fields(Score)]
    )
    rows = [_as_row(line) for line in lines]
    write_rows(folder / "summary.csv", rows, list(rows[0]))
    write_text(folder / "summary.md", summary_text(evaluation, lines))
    content = {**facts(evaluation), "summary": [{key: plain(value) for key, value in row.items()} for row in rows]}
    write_json(folder / "summary.json", content)
    for example in evaluation.examples[:figures]:
        draw_example(folder / "figures" / f"{example.subject}.png", example, evaluation.description.names)
    if figures:
        draw_extremes(
            folder / "best-and-worst.png", evaluation.examples, evaluation.scores, evaluation.description.names
        )
    return {"format": 1, **content}


def facts(evaluation: Evaluation) -> dict[str, Any]:
    """Return what was measured, and against what."""
    return {
        "protocol": "standard",
        "model_sha256": evaluation.description.weights_sha256,
        "model_fingerprint": evaluation.description.fingerprint(),
        "modalities": list(evaluation.description.names),
        "cohort": evaluation.cohort,
        "split": evaluation.split,
        "subjects": len({score.subject for score in evaluation.scores}),
        "references_fitted_on": evaluation.training,
        "data_range": 2.0,
        "seed": evaluation.seed,
        "draws": evaluation.draws.draws(),
        "backend": evaluation.backend,
    }


def summary_text(evaluation: Evaluation, lines: Sequence[SummaryLine]) -> str:
    """Return the report's page in Markdown."""
    told = facts(evaluation)
    parts = [
        "# Evaluation, protocol standard",
        "",
        f"Cohort `{told['cohort']}`, split `{told['split']}`, {told['subjects']} subject(s); model `{told['model_sha256'][:12]}`.",
        f"References fitted on {told['references_fitted_on']}.",
        "Images drawn with " + ", ".join(f"{name} {value}" for name, value in told["draws"].items()) + ".",
        "",
        "Means over subjects with 95 % bootstrap intervals, in the model's grid, inside the foreground (the target's own, where something"
        " shown has foreground too). Intensities in [-1, 1], data range 2; PSNR of equal images counts as 100 dB. SSIM is two-dimensional"
        " (Gaussian window, sigma 1.5 pixels). Structure is the PSNR after the best affine map of a volume's intensities: what lies between"
        " it and PSNR is an error of scale. Spectrum error is the largest relative deviation of the power spectrum within slices, up to"
        " half of Nyquist's frequency (0: as fine as the truth); through plane is the change from slice to slice as a part of the true"
        " one (1: as true; more: slices do not fit together). Higher is better, except for MAE and these two.",
        "",
    ]
    for kind, title in KINDS.items():
        chosen = [line for line in lines if line.kind == kind]
        if chosen:
            parts += [f"## {title}", "", overall_text(evaluation, chosen, kind), ""]
            parts += ["### By target, over all shown subsets", "", _table(_select(chosen, overall=False)), ""]
            parts += ["### By shown subset", "", _table([line for line in chosen if line.shown != ALL]), ""]
    return "\n".join(parts)


def printed_text(evaluation: Evaluation) -> str:
    """Return what a terminal shows: where the references were fitted, then the tables over all shown subsets."""
    lines = summarize(evaluation.scores, evaluation.seed, evaluation.description.names)
    told = facts(evaluation)
    parts = [
        f"{told['subjects']} subject(s) of split '{told['split']}'; references fitted on {told['references_fitted_on']}"
    ]
    for kind, title in KINDS.items():
        chosen = [line for line in lines if line.kind == kind]
        if chosen:
            parts += [f"\n{title}", overall_text(evaluation, chosen, kind), "", _table(_select(chosen, overall=False))]
    return "\n".join(parts)


def overall_text(evaluation: Evaluation, lines: Sequence[SummaryLine], kind: str) -> str:
    """Return the table over all subsets and targets of one kind, and how far the model is from its references."""
    overall = [line for line in _select(lines, overall=True) if line.kind == kind]
    if not overall:
        return "No cell has a row of every method."
    text = [_table(overall)]
    for method, mean in differences(evaluation.scores, kind, "psnr_db", evaluation.seed).items():
        if kind == "shown" and method == AFFINE:
            continue  # it copies what it is shown
        text.append(f"\nModel less {method}, same subjects: {_signed(mean)} dB.")
    return "\n".join(text)


def _select(lines: Sequence[SummaryLine], *, overall: bool) -> list[SummaryLine]:
    return [line for line in lines if line.shown == ALL and (line.target == ALL) == overall]


def _table(lines: Sequence[SummaryLine]) -> str:
    """Return a Markdown table; the columns that are the same in all lines (`all`) are left out."""
    leading = [name for name in ("shown", "target") if any(getattr(line, name) != ALL for line in lines)]
    header = [*leading, "method", *(NAMES[metric] for metric in METRICS), "subjects"]
    rows = [header, ["---"] * len(leading) + ["---"] + ["---:"] * (len(METRICS) + 1)]
    for line in lines:
        cells = [format_mean(line.means[metric], DIGITS[metric]) for metric in METRICS]
        rows.append([*(getattr(line, name) for name in leading), line.method, *cells, str(line.means["psnr_db"].count)])
    return "\n".join(aligned(rows))


def _signed(mean: Mean) -> str:
    return f"{mean.value:+.2f}" + ("" if math.isnan(mean.low) else f" [{mean.low:+.2f}, {mean.high:+.2f}]")


def _as_row(line: SummaryLine) -> dict[str, Any]:
    row: dict[str, Any] = {"shown": line.shown, "target": line.target, "kind": line.kind, "method": line.method}
    row["subjects"] = line.means["psnr_db"].count
    for metric, mean in line.means.items():
        row.update({metric: mean.value, f"{metric}_low": mean.low, f"{metric}_high": mean.high})
    return row
